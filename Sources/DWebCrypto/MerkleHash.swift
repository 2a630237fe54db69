public import DWebBase

/// The hashes of a log's Merkle tree, each with its own leading type byte; spec 00 section 3.2.
public enum MerkleHash {
    /// The hash of a leaf whose block is `block` as stored: `B2(32, 00 || u64le(size) || block)`.
    public static func leaf(_ block: [UInt8]) -> Bytes32 { block.withUnsafeBytes { leaf($0) } }

    /// The hash of a leaf whose block is the part of `bytes` in `range`; copies nothing.
    package static func leaf(_ bytes: [UInt8], range: Range<Int>) -> Bytes32 {
        bytes.withUnsafeBytes { leaf(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    /// The hash of a leaf over raw memory.
    package static func leaf(_ block: UnsafeRawBufferPointer) -> Bytes32 {
        var hasher = Blake2bHasher(byteCount: Bytes32.byteCount)
        hasher.update(byte: 0)
        hasher.update(UInt64(block.count))
        hasher.update(block)
        return hasher.finalize32()
    }

    /// The hash of a parent: `B2(32, 01 || u64le(byteCount) || left || right)`.
    ///
    /// - Parameters:
    ///   - byteCount: The sum of both children's sizes.
    ///   - left: The hash of the child with the smaller tree index.
    ///   - right: The hash of the child with the larger tree index.
    public static func parent(byteCount: UInt64, left: Bytes32, right: Bytes32) -> Bytes32 {
        var hasher = Blake2bHasher(byteCount: Bytes32.byteCount)
        hasher.update(byte: 1)
        hasher.update(byteCount)
        hasher.update(left)
        hasher.update(right)
        return hasher.finalize32()
    }

    /// The hash of a whole tree by its roots in ascending order: what a log's signature covers.
    public static func tree(_ roots: some Sequence<(hash: Bytes32, index: UInt64, byteCount: UInt64)>) -> Bytes32 {
        var hasher = TreeHasher()
        for root in roots { hasher.add(root.hash, index: root.index, byteCount: root.byteCount) }
        return hasher.finalize()
    }

    /// The hash of a tree, fed root by root in ascending order.
    public struct TreeHasher: Sendable {
        private var hasher = Blake2bHasher(byteCount: Bytes32.byteCount)

        /// A tree without roots.
        public init() { hasher.update(byte: 2) }

        /// Feeds the next root.
        public mutating func add(_ hash: Bytes32, index: UInt64, byteCount: UInt64) {
            hasher.update(hash)
            hasher.update(index)
            hasher.update(byteCount)
        }

        /// The hash of what was fed.
        public func finalize() -> Bytes32 { hasher.finalize32() }
    }
}
