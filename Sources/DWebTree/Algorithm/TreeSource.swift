/// Where algorithms take blocks from: memory. What is not there is reported as missing, loaded by the caller, and the
/// step is tried again.
package protocol TreeSource {
    /// The block with this index.
    func block(_ sequence: UInt64) throws(TreeStop) -> TreeBlock
}

extension TreeSource {
    /// The node at an address.
    package func node(_ pointer: TreePointer) throws(TreeStop) -> TreeNode {
        let block = try block(pointer.block)
        do throws(TreeFault) {
            return try block.node(at: pointer.offset)
        } catch {
            throw .fault(error, block: pointer.block)
        }
    }

    /// A node that is not the root: it must not be empty.
    package func child(_ pointer: TreePointer) throws(TreeStop) -> TreeNode {
        let node = try node(pointer)
        guard !node.keys.isEmpty else { throw .fault(.invalidStructure, block: pointer.block) }
        return node
    }

    /// The root of a version; nil for a version below 2, which is empty.
    package func root(version: UInt64) throws(TreeStop) -> TreeNode? {
        guard version >= 2 else { return nil }
        let block = try block(version - 1)
        do throws(TreeFault) {
            guard try !block.nodes().isEmpty else { throw .notAVersion }
            return try block.node(at: 0)
        } catch {
            throw .fault(error, block: version - 1)
        }
    }
}

/// Decoded blocks of one log, of bounded size: what was used most recently.
///
/// Two generations: when the young one is full it becomes the old one, and the old one is forgotten.
package final class TreeCache: TreeSource {
    private var young: [UInt64: TreeBlock] = [:]
    private var old: [UInt64: TreeBlock] = [:]
    private var youngCost = 0
    private let generationByteCount: Int
    /// The block that was loaded last stays until the next one: a step that asked for it must find it.
    private var latest: TreeBlock?

    /// An empty cache of at most twice `generationByteCount` bytes.
    package init(generationByteCount: Int = TreeLimits.cacheByteCount) {
        self.generationByteCount = generationByteCount
    }

    package func block(_ sequence: UInt64) throws(TreeStop) -> TreeBlock {
        if let block = young[sequence] { return block }
        if let block = old[sequence] {
            keep(block)
            return block
        }
        if let latest, latest.sequence == sequence { return latest }
        throw .missing(sequence)
    }

    /// Whether the block is in memory.
    package func contains(_ sequence: UInt64) -> Bool { young[sequence] != nil || old[sequence] != nil }

    /// Adds a block.
    package func insert(_ block: TreeBlock) {
        let trimmed = block.trimmed
        latest = trimmed
        keep(trimmed)
    }

    /// Makes sure that the block stays until the next one is added.
    package func touch(_ sequence: UInt64) { latest = young[sequence] ?? old[sequence] ?? latest }

    /// Forgets every block.
    package func removeAll() {
        young = [:]
        old = [:]
        youngCost = 0
        latest = nil
    }

    private func keep(_ block: TreeBlock) {
        guard young.updateValue(block, forKey: block.sequence) == nil else { return }
        youngCost += block.cost
        guard youngCost > generationByteCount else { return }
        old = young
        young = [:]
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

    package func block(_ sequence: UInt64) throws(TreeStop) -> TreeBlock {
        let block = try source.block(sequence)
        if sequences.count < limit, seen.insert(sequence).inserted { sequences.append(sequence) }
        return block
    }
}
