import Synchronization

/// Keys and values that one scan read ahead: there are many, and each is needed about once.
///
/// Each scan has its own, so that scans at the same time do not take from each other.
final class ScanAhead: Sendable {
    private let map = Mutex(ByteMap())

    /// Whether there is no room for more.
    var isFull: Bool { map.withLock { $0.byteCount >= TreeLimits.aheadByteCount } }

    func contains(_ sequence: UInt64) -> Bool { map.withLock { $0.contains(sequence) } }

    /// Key and value of a block that was read ahead.
    func content(_ sequence: UInt64) -> TreeContent? {
        map.withLock { map in
            map.withBytes(sequence) { bytes in
                let block = PackedBlock(bytes)
                return TreeContent(sequence: sequence, key: block.key, value: block.value)
            }
        }
    }

    /// Adds key and value of a block, if there is room. Returns the bytes that they take.
    func insert(_ block: TreeBlock) -> Int {
        PackedBlock.withContent(of: block.trimmed) { bytes in
            map.withLock { map in
                if map.byteCount < TreeLimits.aheadByteCount {
                    map.insert(bytes, for: block.sequence, capacity: TreeLimits.aheadByteCount)
                }
            }
            return bytes.count
        }
    }

    /// Forgets all but these.
    func keep(_ sequences: [UInt64]) {
        map.withLock { map in
            var kept = ByteMap()
            for sequence in sequences {
                map.withBytes(sequence) { kept.insert($0, for: sequence, capacity: TreeLimits.aheadByteCount) }
            }
            map = kept
        }
    }
}

/// What a scan walks through: what the tree has in memory, and what was read ahead for it.
struct ScanSource: TreeSource {
    let cache: TreeCache
    let ahead: ScanAhead

    func key(_ sequence: UInt64) throws(TreeStop) -> [UInt8] { try cache.key(sequence) }

    func withKey<Result>(
        _ sequence: UInt64, _ body: (UnsafeRawBufferPointer) -> Result
    ) throws(TreeStop) -> Result {
        try cache.withKey(sequence, body)
    }

    func node(_ pointer: TreePointer) throws(TreeStop) -> TreeNode { try cache.node(pointer) }

    func block(_ sequence: UInt64) throws(TreeStop) -> TreeBlock { try cache.block(sequence) }

    func content(_ sequence: UInt64) throws(TreeStop) -> TreeContent {
        if let content = ahead.content(sequence) { return content }
        return try cache.content(sequence)
    }

    func holds(_ sequence: UInt64) -> Bool { ahead.contains(sequence) || cache.holds(sequence) }
}
