/// Keys, nodes and blocks of one log that were used most recently, each of bounded size.
///
/// Keys and nodes are what every lookup needs; they are kept apart from the blocks that they came in, whose values are
/// seldom needed twice, and take a few dozen bytes each.
package final class TreeCache: TreeSource {
    private var keys = ByteTable(generationByteCount: TreeLimits.cachedKeysByteCount)
    private var nodes = ByteTable(generationByteCount: TreeLimits.cachedNodesByteCount)
    private var blocks = GenerationCache<UInt64, TreeBlock>(generationCost: TreeLimits.cachedBlocksByteCount)
    /// The block that was loaded last stays until the next one: a step that asked for it must find it.
    private var latest: TreeBlock?

    /// An empty cache.
    package init() {}

    package func key(_ sequence: UInt64) throws(TreeStop) -> [UInt8] {
        if let key = keys.withBytes(sequence, { Array($0) }) { return key }
        let key = try block(sequence).key
        insert(key: key, of: sequence)
        return key
    }

    package func order(of sequence: UInt64, against key: [UInt8]) throws(TreeStop) -> Int {
        let known = key.withUnsafeBytes { key in keys.withBytes(sequence) { KeyOrder.compare($0, key) } }
        if let known { return known }
        return KeyOrder.compare(try self.key(sequence), key)
    }

    package func node(_ pointer: TreePointer) throws(TreeStop) -> TreeNode {
        let number = TreeCache.number(of: pointer)
        if let number, let node = nodes.withBytes(number, { TreeNode(packed: $0) }) { return node }
        let node = try node(pointer, of: try block(pointer.block))
        if number != nil { insert(node, at: pointer) }
        return node
    }

    package func block(_ sequence: UInt64) throws(TreeStop) -> TreeBlock {
        if let block = blocks[sequence] { return block }
        if let latest, latest.sequence == sequence { return latest }
        throw .missing(sequence)
    }

    /// A node's address as one number; nil for an address that no node can have.
    private static func number(of pointer: TreePointer) -> UInt64? {
        guard pointer.offset < UInt64(TreeLimits.nodesPerBlock), pointer.block > 0, pointer.block < 1 << 56 else {
            return nil
        }
        return pointer.block * UInt64(TreeLimits.nodesPerBlock) + pointer.offset
    }

    /// Whether the block is in memory.
    package func contains(_ sequence: UInt64) -> Bool { blocks.contains(sequence) }

    /// Whether the key of a block is in memory.
    package func containsKey(_ sequence: UInt64) -> Bool { keys.contains(sequence) || blocks.contains(sequence) }

    /// Adds a block.
    package func insert(_ block: TreeBlock) {
        let trimmed = block.trimmed
        latest = trimmed
        blocks.insert(trimmed, for: block.sequence, cost: trimmed.cost)
    }

    /// Adds the key of a block.
    package func insert(key: [UInt8], of sequence: UInt64) {
        key.withUnsafeBytes { keys.insert($0, for: sequence) }
    }

    /// Adds a node.
    package func insert(_ node: TreeNode, at pointer: TreePointer) {
        guard let number = TreeCache.number(of: pointer) else { return }
        node.withPacked { nodes.insert($0, for: number) }
    }

    /// Makes sure that the block stays until the next one is added.
    package func touch(_ sequence: UInt64) { latest = blocks[sequence] ?? latest }

    /// Forgets everything.
    package func removeAll() {
        keys.removeAll()
        nodes.removeAll()
        blocks.removeAll()
        latest = nil
    }
}

/// A dictionary of bounded size that keeps what was used most recently.
///
/// Two generations: when the young one is full it becomes the old one, and the old one is forgotten.
struct GenerationCache<Key: Hashable, Value> {
    private var young: [Key: Value] = [:]
    private var old: [Key: Value] = [:]
    private var youngCost = 0
    private var averageCost = 0
    private let generationCost: Int

    init(generationCost: Int) { self.generationCost = generationCost }

    subscript(key: Key) -> Value? {
        mutating get {
            if let value = young[key] { return value }
            guard !old.isEmpty, let value = old.removeValue(forKey: key) else { return nil }
            insert(value, for: key, cost: averageCost)
            return value
        }
    }

    func contains(_ key: Key) -> Bool { young[key] != nil || old[key] != nil }

    mutating func insert(_ value: Value, for key: Key, cost: Int) {
        guard young.updateValue(value, forKey: key) == nil else { return }
        youngCost += cost
        guard youngCost > generationCost else { return }
        averageCost = youngCost / young.count
        old = young
        young = [:]
        youngCost = 0
    }

    mutating func removeAll() {
        young = [:]
        old = [:]
        youngCost = 0
    }
}

extension TreeNode {
    /// The node in few bytes: how many keys and children, and their numbers in base 128.
    fileprivate func withPacked(_ body: (UnsafeRawBufferPointer) -> Void) {
        // A number takes ten bytes at most.
        let capacity = 2 + 10 * keys.count + 20 * children.count
        withUnsafeTemporaryAllocation(byteCount: capacity, alignment: 1) { buffer in
            var count = 2
            func write(_ value: UInt64) {
                var rest = value
                while rest >= 0x80 {
                    buffer[count] = UInt8(truncatingIfNeeded: rest) | 0x80
                    count += 1
                    rest >>= 7
                }
                buffer[count] = UInt8(rest)
                count += 1
            }
            buffer[0] = UInt8(keys.count)
            buffer[1] = UInt8(children.count)
            for key in keys { write(key) }
            for child in children {
                write(child.block)
                write(child.offset)
            }
            body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }

    fileprivate init(packed bytes: UnsafeRawBufferPointer) {
        var position = 2
        func read() -> UInt64 {
            var value: UInt64 = 0
            var shift: UInt64 = 0
            while true {
                let byte = bytes[position]
                position += 1
                value |= UInt64(byte & 0x7f) << shift
                if byte < 0x80 { return value }
                shift += 7
            }
        }
        let (keyCount, childCount) = (Int(bytes[0]), Int(bytes[1]))
        keys = [UInt64](unsafeUninitializedCapacity: keyCount) { buffer, count in
            for index in 0..<keyCount { buffer.initializeElement(at: index, to: read()) }
            count = keyCount
        }
        children = [TreePointer](unsafeUninitializedCapacity: childCount) { buffer, count in
            for index in 0..<childCount {
                let block = read()
                buffer.initializeElement(at: index, to: TreePointer(block: block, offset: read()))
            }
            count = childCount
        }
    }
}
