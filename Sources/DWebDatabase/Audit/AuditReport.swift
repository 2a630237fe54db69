extension DDatabase {
    /// What an audit of a stored log found; see ``DDatabase/audit(repairing:)``.
    public struct AuditReport: Sendable, Hashable {
        /// One thing that is not as it should be.
        public enum Fault: Sendable, Hashable {
            /// The stored bytes of a block are not those that the tree vouches for.
            case damagedBlock(UInt64)
            /// A block counts as stored but is not.
            case missingBlock(UInt64)
            /// A block is stored but does not count as such.
            case unmarkedBlock(UInt64)
            /// A block or tree node is stored behind the log's end, or cannot belong to it.
            case strayRecord(index: UInt64)
            /// A tree node is missing or contradicts the node above it.
            case damagedNode(UInt64)
            /// The head is not signed as the log's manifest demands.
            case invalidSignature
            /// The number of leading blocks that are all stored was kept too large.
            case wrongContiguousLength
        }

        /// The most faults that are listed.
        public static let faultLimit = 1_000

        /// The stored blocks that were read.
        public internal(set) var blockCount: UInt64 = 0
        /// The bytes of those blocks.
        public internal(set) var byteCount: UInt64 = 0
        /// The tree nodes that were checked.
        public internal(set) var nodeCount: UInt64 = 0
        /// Stored blocks that cannot be proven to peers, since the tree around them is not stored. A log that followed
        /// its writer through a truncation may have some; they are no fault.
        public internal(set) var unprovenBlockCount: UInt64 = 0
        /// The number of faults.
        public internal(set) var faultCount = 0
        /// The first ``faultLimit`` faults.
        public internal(set) var faults: [Fault] = []
        /// Blocks that a repair gave up, to be downloaded again.
        public internal(set) var droppedBlockCount: UInt64 = 0
        /// Tree nodes that a repair computed anew from blocks.
        public internal(set) var rebuiltNodeCount: UInt64 = 0

        /// Whether nothing is wrong.
        public var isSound: Bool { faultCount == 0 }

        init() {}

        mutating func note(_ fault: Fault) {
            faultCount += 1
            if faults.count < AuditReport.faultLimit { faults.append(fault) }
        }
    }

    /// Checks every stored block and tree node of the log against its signed head, reading all of it.
    ///
    /// Changes of the log wait meanwhile. With `repairing` what is wrong is put right as far as the stored blocks
    /// allow: tree nodes are computed anew, and what contradicts the signed tree is given up, so that it counts as not
    /// stored and can be downloaded again.
    ///
    /// - Throws: ``DDatabaseError`` with code `storage` or `closed`.
    public func audit(repairing: Bool = false) async throws(DDatabaseError) -> AuditReport {
        try checkOpen()
        return try await engine.audit(repairing: repairing)
    }
}
