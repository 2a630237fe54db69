/// Where algorithms take keys and nodes from: memory. What is not there is reported as missing, loaded by the caller,
/// and the step is tried again.
package protocol TreeSource {
    /// The key that a block holds.
    func key(_ sequence: UInt64) throws(TreeStop) -> [UInt8]
    /// The node at an address.
    func node(_ pointer: TreePointer) throws(TreeStop) -> TreeNode
    /// The block with this index.
    func block(_ sequence: UInt64) throws(TreeStop) -> TreeBlock
}

extension TreeSource {
    /// A node that is not the root: it must not be empty.
    package func child(_ pointer: TreePointer) throws(TreeStop) -> TreeNode {
        let node = try node(pointer)
        guard !node.keys.isEmpty else { throw .fault(.invalidStructure, block: pointer.block) }
        return node
    }

    /// The root of a version; nil for a version below 2, which is empty.
    package func root(version: UInt64) throws(TreeStop) -> TreeNode? {
        guard version >= 2 else { return nil }
        return try node(TreePointer(block: version - 1, offset: 0))
    }

    /// A node of a block that is in memory.
    package func node(_ pointer: TreePointer, of block: TreeBlock) throws(TreeStop) -> TreeNode {
        do throws(TreeFault) {
            // Offset 0 is asked for as a root as well: a block without nodes ends inside a batch.
            if pointer.offset == 0, try block.nodes().isEmpty { throw .notAVersion }
            return try block.node(at: pointer.offset)
        } catch {
            throw .fault(error, block: pointer.block)
        }
    }
}

/// Keys, nodes and blocks of one log that were used most recently, each of bounded size.
package final class TreeCache: TreeSource {
    private var keys = GenerationCache<UInt64, [UInt8]>(generationCost: TreeLimits.cachedKeysByteCount)
    private var nodes = GenerationCache<TreePointer, TreeNode>(generationCost: TreeLimits.cachedNodesByteCount)
    private var blocks = GenerationCache<UInt64, TreeBlock>(generationCost: TreeLimits.cachedBlocksByteCount)
    /// The block that was loaded last stays until the next one: a step that asked for it must find it.
    private var latest: TreeBlock?

    /// An empty cache.
    package init() {}

    package func key(_ sequence: UInt64) throws(TreeStop) -> [UInt8] {
        if let key = keys[sequence] { return key }
        let key = try block(sequence).key
        // The header of an array, the entry of a dictionary, and the bytes.
        keys.insert(key, for: sequence, cost: 80 + key.count)
        return key
    }

    package func node(_ pointer: TreePointer) throws(TreeStop) -> TreeNode {
        if let node = nodes[pointer] { return node }
        let node = try node(pointer, of: try block(pointer.block))
        nodes.insert(node, for: pointer, cost: 160 + 8 * node.keys.count + 16 * node.children.count)
        return node
    }

    package func block(_ sequence: UInt64) throws(TreeStop) -> TreeBlock {
        if let block = blocks[sequence] { return block }
        if let latest, latest.sequence == sequence { return latest }
        throw .missing(sequence)
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

/// Notes which blocks an algorithm visits, in the order of the first visits.
package final class TreeVisits<Source: TreeSource>: TreeSource {
    private let source: Source
    private let limit: Int
    private var seen: Set<UInt64> = []
    /// The visited blocks.
    package private(set) var sequences: [UInt64] = []

    /// Notes at most `limit` visits to `source`.
    package init(_ source: Source, limit: Int) {
        self.source = source
        self.limit = limit
    }

    /// Whether no more visits are noted.
    package var isFull: Bool { sequences.count >= limit }

    package func key(_ sequence: UInt64) throws(TreeStop) -> [UInt8] {
        let key = try source.key(sequence)
        note(sequence)
        return key
    }

    package func node(_ pointer: TreePointer) throws(TreeStop) -> TreeNode {
        let node = try source.node(pointer)
        note(pointer.block)
        return node
    }

    package func block(_ sequence: UInt64) throws(TreeStop) -> TreeBlock {
        let block = try source.block(sequence)
        note(sequence)
        return block
    }

    private func note(_ sequence: UInt64) {
        if sequences.count < limit, seen.insert(sequence).inserted { sequences.append(sequence) }
    }
}
