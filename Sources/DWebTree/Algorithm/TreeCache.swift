/// Keys, nodes and blocks of one log that were used most recently, each of bounded size.
///
/// Keys and nodes are what every lookup needs; they are kept apart from the blocks that they came in, whose values are
/// seldom needed twice, and take a few dozen bytes each.
package final class TreeCache: TreeSource {
    private var keys = ByteTable(generationByteCount: TreeLimits.cachedKeysByteCount)
    private var nodes = ByteTable(generationByteCount: TreeLimits.cachedNodesByteCount)
    private var blocks = ByteTable(generationByteCount: TreeLimits.cachedBlocksByteCount)
    /// The block that was loaded last stays until the next one: a step that asked for it must find it.
    private var latest: TreeBlock?

    /// An empty cache.
    package init() {}

    package func key(_ sequence: UInt64) throws(TreeStop) -> [UInt8] {
        if let key = keys.withBytes(sequence, { Array($0) }) { return key }
        let key = try content(sequence).key
        insert(key: key, of: sequence)
        return key
    }

    package func withKey<Result>(
        _ sequence: UInt64, _ body: (UnsafeRawBufferPointer) -> Result
    ) throws(TreeStop) -> Result {
        if let result = keys.withBytes(sequence, body) { return result }
        let key = try key(sequence)
        return key.withUnsafeBytes { body($0) }
    }

    package func node(_ pointer: TreePointer) throws(TreeStop) -> TreeNode {
        let number = TreeCache.number(of: pointer)
        if let number, let node = nodes.withBytes(number, { TreeNode(packed: $0) }) { return node }
        let node = try node(pointer, of: try block(pointer.block))
        if number != nil { insert(node, at: pointer) }
        return node
    }

    package func block(_ sequence: UInt64) throws(TreeStop) -> TreeBlock {
        if let block = blocks.withBytes(sequence, { PackedBlock($0).block(sequence) }) { return block }
        if let latest, latest.sequence == sequence { return latest }
        throw .missing(sequence)
    }

    package func content(_ sequence: UInt64) throws(TreeStop) -> TreeContent {
        let content = blocks.withBytes(sequence) { bytes in
            let block = PackedBlock(bytes)
            return TreeContent(sequence: sequence, key: block.key, value: block.value)
        }
        return if let content { content } else { TreeContent(try block(sequence)) }
    }

    package func holds(_ sequence: UInt64) -> Bool { contains(sequence) || latest?.sequence == sequence }

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
    package func containsKey(_ sequence: UInt64) -> Bool { keys.contains(sequence) || contains(sequence) }

    /// Adds a block for the step that asked for it, which takes out of it what is kept.
    package func insertBriefly(_ block: TreeBlock) { latest = block.trimmed }

    /// Adds a block.
    package func insert(_ block: TreeBlock) {
        let trimmed = block.trimmed
        latest = trimmed
        PackedBlock.pack(trimmed) { blocks.insert($0, for: block.sequence) }
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

    /// Forgets everything.
    package func removeAll() {
        keys.removeAll()
        nodes.removeAll()
        blocks.removeAll()
        latest = nil
    }
}

extension TreeNode {
    /// The node in one run of bytes: how many keys and children, and their numbers, each with four bytes where that is
    /// enough for all of them.
    fileprivate func withPacked(_ body: (UnsafeRawBufferPointer) -> Void) {
        let largest = max(keys.max() ?? 0, children.reduce(0) { max($0, $1.block) })
        let width = largest <= UInt64(UInt32.max) ? 4 : 8
        let byteCount = 3 + keys.count * width + children.count * (width + 1)
        withUnsafeTemporaryAllocation(byteCount: byteCount, alignment: 1) { buffer in
            var position = 3
            func write(_ value: UInt64) {
                if width == 4 {
                    buffer.storeBytes(of: UInt32(value), toByteOffset: position, as: UInt32.self)
                } else {
                    buffer.storeBytes(of: value, toByteOffset: position, as: UInt64.self)
                }
                position += width
            }
            buffer[0] = UInt8(keys.count)
            buffer[1] = UInt8(children.count)
            buffer[2] = UInt8(width)
            for key in keys { write(key) }
            for child in children {
                write(child.block)
                // Less than `TreeLimits.nodesPerBlock`.
                buffer[position] = UInt8(child.offset)
                position += 1
            }
            body(UnsafeRawBufferPointer(buffer))
        }
    }

    fileprivate init(packed bytes: UnsafeRawBufferPointer) {
        let (keyCount, childCount, width) = (Int(bytes[0]), Int(bytes[1]), Int(bytes[2]))
        @inline(__always) func number(at position: Int) -> UInt64 {
            width == 4
                ? UInt64(bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self))
                : bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)
        }
        keys = [UInt64](unsafeUninitializedCapacity: keyCount) { buffer, count in
            for index in 0..<keyCount { buffer.initializeElement(at: index, to: number(at: 3 + index * width)) }
            count = keyCount
        }
        guard childCount > 0 else {
            children = []
            return
        }
        let start = 3 + keyCount * width
        children = [TreePointer](unsafeUninitializedCapacity: childCount) { buffer, count in
            for index in 0..<childCount {
                let position = start + index * (width + 1)
                let child = TreePointer(block: number(at: position), offset: UInt64(bytes[position + width]))
                buffer.initializeElement(at: index, to: child)
            }
            count = childCount
        }
    }
}
