/// A block of a tree: one change, with the nodes that it rewrote; spec 50 section 2.2.
///
/// Nodes are decoded when they are asked for.
package struct TreeBlock: Sendable {
    /// The block's index in the log.
    package let sequence: UInt64
    /// The bytes, or, of a large block, those of key and index only.
    let bytes: [UInt8]
    let index: Range<Int>
    let keyRange: Range<Int>
    let valueState: ValueState

    enum ValueState {
        case absent
        case present(Range<Int>)
        /// There is a value, but it is not kept in memory.
        case elided
    }

    /// What is known of the value of a change.
    package enum Value: Sendable {
        /// The change stores none.
        case absent
        /// The change stores this one.
        case present([UInt8])
        /// There is a value, but it is not kept in memory: the block must be read again.
        case elided
    }

    init(sequence: UInt64, bytes: [UInt8], index: Range<Int>, key: Range<Int>, value: ValueState) {
        self.sequence = sequence
        self.bytes = bytes
        self.index = index
        keyRange = key
        valueState = value
    }

    /// Reads the fields of a block.
    package init(sequence: UInt64, decoding bytes: [UInt8]) throws(TreeFault) {
        guard let first = bytes.first else { throw .malformed }
        guard first == 0x0a else { throw .unsupportedFormat(first) }
        var index: Range<Int>?
        var key: Range<Int>?
        var value: Range<Int>?
        var reader = ProtobufReader(bytes)
        while let (number, content) = try reader.readField() {
            switch number {
            case 1: index = try content.range
            case 2: key = try content.range
            case 3: value = try content.range
            default: continue
            }
        }
        guard let index, let key else { throw .malformed }
        guard index.count <= TreeLimits.indexByteCount else { throw .invalidStructure }
        guard key.count <= TreeLimits.keyByteCount else { throw .keyTooLarge }
        self.init(
            sequence: sequence, bytes: bytes, index: index, key: key, value: value.map { .present($0) } ?? .absent)
    }

    /// The key, prefixes included.
    package var key: [UInt8] { Array(bytes[keyRange]) }

    /// Whether the change stores a value, be it empty.
    package var hasValue: Bool {
        switch valueState {
        case .absent: false
        case .present, .elided: true
        }
    }

    /// What is known of the value.
    package var value: Value {
        switch valueState {
        case .absent: .absent
        case .present(let range): .present(Array(bytes[range]))
        case .elided: .elided
        }
    }

    /// The same block without its value, if that is large.
    package var trimmed: TreeBlock {
        guard case .present(let range) = valueState, range.count > TreeLimits.cachedValueByteCount else { return self }
        return TreeBlock(
            sequence: sequence, bytes: Array(bytes[index]) + Array(bytes[keyRange]), index: 0..<index.count,
            key: index.count..<index.count + keyRange.count, value: .elided)
    }

    /// The nodes that the change rewrote; nil for those that cannot be.
    package func nodes() throws(TreeFault) -> [TreeNode?] { try TreeNode.decode(bytes, index, block: sequence) }

    /// The node at `offset`.
    package func node(at offset: UInt64) throws(TreeFault) -> TreeNode {
        let nodes = try nodes()
        // Offset 0 is asked for as a root as well: a block without nodes ends inside a batch.
        if offset == 0, nodes.isEmpty { throw .notAVersion }
        guard offset < UInt64(nodes.count), let node = nodes[Int(offset)] else { throw .invalidStructure }
        return node
    }

    /// Whether the block records a deletion: no value, and no node that names the block itself; spec 50 section 2.4.
    package func isDeletion() throws(TreeFault) -> Bool {
        if hasValue { return false }
        return !(try nodes()).contains { $0?.keys.contains(sequence) ?? false }
    }

    /// The block's bytes: index, key, value, in this order.
    package static func encode(index: [UInt8], key: [UInt8], value: [UInt8]?) -> [UInt8] {
        var writer = ProtobufWriter(capacity: index.count + key.count + (value?.count ?? 0) + 24)
        writer.writeField(1, bytes: index)
        writer.writeField(2, bytes: key)
        if let value { writer.writeField(3, bytes: value) }
        return writer.bytes
    }
}
