/// Where algorithms take keys and nodes from: memory. What is not there is reported as missing, loaded by the caller,
/// and the step is tried again.
package protocol TreeSource {
    /// The key that a block holds.
    func key(_ sequence: UInt64) throws(TreeStop) -> [UInt8]
    /// Gives `body` the key that a block holds; cheaper than ``key(_:)``.
    func withKey<Result>(
        _ sequence: UInt64, _ body: (UnsafeRawBufferPointer) -> Result
    ) throws(TreeStop) -> Result
    /// Below zero, zero or above zero as that key comes before, equals or follows `key`.
    func order(of sequence: UInt64, against key: [UInt8]) throws(TreeStop) -> Int
    /// The node at an address.
    func node(_ pointer: TreePointer) throws(TreeStop) -> TreeNode
    /// The block with this index.
    func block(_ sequence: UInt64) throws(TreeStop) -> TreeBlock
    /// What a block holds besides nodes; cheaper than ``block(_:)``.
    func content(_ sequence: UInt64) throws(TreeStop) -> TreeContent
    /// Whether ``content(_:)`` has the block.
    func holds(_ sequence: UInt64) -> Bool
}

/// A key with what is known of its value.
package struct TreeContent: Sendable {
    /// The block that holds it.
    package let sequence: UInt64
    /// The key, prefixes included.
    package let key: [UInt8]
    /// The value, which memory may not keep.
    package let value: TreeBlock.Value
}

extension TreeContent {
    /// Key and value of a block.
    package init(_ block: TreeBlock) { self.init(sequence: block.sequence, key: block.key, value: block.value) }
}

extension TreeSource {
    package func content(_ sequence: UInt64) throws(TreeStop) -> TreeContent { TreeContent(try block(sequence)) }

    package func holds(_ sequence: UInt64) -> Bool {
        do throws(TreeStop) {
            _ = try content(sequence)
            return true
        } catch {
            return false
        }
    }

    package func withKey<Result>(
        _ sequence: UInt64, _ body: (UnsafeRawBufferPointer) -> Result
    ) throws(TreeStop) -> Result {
        let key = try key(sequence)
        return key.withUnsafeBytes { body($0) }
    }

    package func order(of sequence: UInt64, against key: [UInt8]) throws(TreeStop) -> Int {
        try withKey(sequence) { probe in key.withUnsafeBytes { KeyOrder.compare(probe, $0) } }
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
        return try node(TreePointer(block: version - 1, offset: 0))
    }

    /// A node of a block that is in memory.
    package func node(_ pointer: TreePointer, of block: TreeBlock) throws(TreeStop) -> TreeNode {
        do throws(TreeFault) {
            return try block.node(at: pointer.offset)
        } catch {
            throw .fault(error, block: pointer.block)
        }
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
