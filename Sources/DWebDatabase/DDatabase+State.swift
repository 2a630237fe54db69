extension DDatabase {
    /// The state of a log at one moment.
    public struct Head: Sendable, Hashable {
        /// The number of blocks in the log, stored locally or not.
        public package(set) var length: UInt64 = 0
        /// The number of bytes in all blocks.
        public package(set) var byteLength: UInt64 = 0
        /// How often the writer truncated the log.
        public package(set) var fork: UInt64 = 0
        /// The number of leading blocks that are all stored locally.
        public package(set) var contiguousLength: UInt64 = 0

        /// The state of an empty log.
        package init() {}
    }

    /// What a log did since it was opened.
    public struct Statistics: Sendable, Hashable {
        /// Blocks received from peers, verified and stored.
        public package(set) var downloadedBlockCount: UInt64 = 0
        /// The bytes of those blocks.
        public package(set) var downloadedByteCount: UInt64 = 0
        /// Blocks given to peers.
        public package(set) var uploadedBlockCount: UInt64 = 0
        /// The bytes of those blocks.
        public package(set) var uploadedByteCount: UInt64 = 0
        /// Messages of peers that did not verify.
        public package(set) var invalidProofCount: UInt64 = 0
        /// Events that were dropped because somebody took them too slowly.
        public package(set) var droppedEventCount: UInt64 = 0

        /// Nothing counted yet.
        package init() {}

        mutating func noteUpload(byteCount: Int) {
            uploadedBlockCount += 1
            uploadedByteCount += UInt64(byteCount)
        }

        mutating func noteDownload(byteCount: Int) {
            downloadedBlockCount += 1
            downloadedByteCount += UInt64(byteCount)
        }
    }
}

/// A position in a log's bytes.
public struct BytePosition: Sendable, Hashable {
    /// The block that contains the byte; the log's length if the position is the end.
    public let blockIndex: UInt64
    /// The byte's distance from the start of the block.
    public let byteOffset: UInt64

    /// A position.
    public init(blockIndex: UInt64, byteOffset: UInt64) {
        self.blockIndex = blockIndex
        self.byteOffset = byteOffset
    }
}
