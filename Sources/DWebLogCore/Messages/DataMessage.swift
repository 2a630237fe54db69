package import DWebBase

/// Parts of a log with their proof: the answer to a request, or a push; spec 30 sections C.2 and D.
package struct DataMessage: Sendable, Hashable {
    /// A block with the siblings on the way up.
    package struct Block: Sendable, Hashable {
        /// The block's index.
        package var index: UInt64
        /// The block as stored, encrypted where the log is.
        package var value: [UInt8]
        /// The siblings from below.
        package var nodes: [TreeNode]

        /// Puts a section together.
        package init(index: UInt64, value: [UInt8], nodes: [TreeNode]) {
            self.index = index
            self.value = value
            self.nodes = nodes
        }
    }

    /// A tree node, then the siblings on the way up.
    package struct Hash: Sendable, Hashable {
        /// The tree index of the node.
        package var index: UInt64
        /// The node itself, then siblings from below.
        package var nodes: [TreeNode]

        /// Puts a section together.
        package init(index: UInt64, nodes: [TreeNode]) {
            self.index = index
            self.nodes = nodes
        }
    }

    /// The node at a byte offset, then the siblings on the way up to where another section needs its ancestor.
    package struct Seek: Sendable, Hashable {
        /// The byte offset that was asked for.
        package var bytes: UInt64
        /// The node, then siblings from below.
        package var nodes: [TreeNode]

        /// Puts a section together.
        package init(bytes: UInt64, nodes: [TreeNode]) {
            self.bytes = bytes
            self.nodes = nodes
        }
    }

    /// What connects a tree of `start` blocks with the sender's.
    package struct Upgrade: Sendable, Hashable {
        /// The blocks the receiver has.
        package var start: UInt64
        /// The blocks that `nodes` add.
        package var length: UInt64
        /// The nodes that lead to the tree of `start + length` blocks.
        package var nodes: [TreeNode]
        /// The nodes that lead from there to the sender's whole tree.
        package var additionalNodes: [TreeNode]
        /// The signature of the sender's whole tree; nil where a prologue makes one unnecessary.
        package var signature: [UInt8]?

        /// Puts a section together.
        package init(
            start: UInt64, length: UInt64, nodes: [TreeNode], additionalNodes: [TreeNode], signature: [UInt8]?
        ) {
            self.start = start
            self.length = length
            self.nodes = nodes
            self.additionalNodes = additionalNodes
            self.signature = signature
        }

        /// The length of the tree after all nodes, if the section is what it claims to be.
        package var claimedLength: UInt64 {
            additionalNodes.last.map { FlatTree.rightSpan($0.index) / 2 &+ 1 } ?? start &+ length
        }
    }

    /// The id of the request; 0 if nobody asked.
    package var request: UInt64
    /// The sender's fork.
    package var fork: UInt64
    /// The block, if there is one.
    package var block: Block?
    private var rest: Boxed<Rest>?

    /// Everything but a block, which is all that nearly every message has.
    private struct Rest: Sendable, Hashable {
        var hash: Hash?
        var seek: Seek?
        var upgrade: Upgrade?
        var manifest: Manifest?

        var isEmpty: Bool { hash == nil && seek == nil && upgrade == nil && manifest == nil }
    }

    private var sections: Rest {
        get { rest?.value ?? Rest() }
        set { rest = newValue.isEmpty ? nil : Boxed(newValue) }
    }

    /// The node, if there is one.
    package var hash: Hash? {
        get { rest?.value.hash }
        set { sections.hash = newValue }
    }
    /// The sought node, if there is one.
    package var seek: Seek? {
        get { rest?.value.seek }
        set { sections.seek = newValue }
    }
    /// The upgrade, if there is one.
    package var upgrade: Upgrade? {
        get { rest?.value.upgrade }
        set { sections.upgrade = newValue }
    }
    /// The manifest, if it was asked for.
    package var manifest: Manifest? {
        get { rest?.value.manifest }
        set { sections.manifest = newValue }
    }
    /// Whether there is nothing but a block.
    package var hasOnlyBlock: Bool { rest == nil }

    private enum Flag {
        static let block: UInt64 = 1
        static let hash: UInt64 = 2
        static let seek: UInt64 = 4
        static let upgrade: UInt64 = 8
        static let manifest: UInt64 = 16
    }

    /// Puts a message together.
    package init(
        request: UInt64, fork: UInt64, block: Block? = nil, hash: Hash? = nil, seek: Seek? = nil,
        upgrade: Upgrade? = nil, manifest: Manifest? = nil
    ) {
        self.request = request
        self.fork = fork
        self.block = block
        if hash != nil || seek != nil || upgrade != nil || manifest != nil {
            sections = Rest(hash: hash, seek: seek, upgrade: upgrade, manifest: manifest)
        }
    }

    /// Reads the payload. The block's value is copied once.
    package init(from reader: inout ByteReader) throws(CodecError) {
        let flags = try reader.readUInt()
        request = try reader.readUInt()
        fork = try reader.readUInt()
        if flags & Flag.block != 0 {
            block = Block(
                index: try reader.readUInt(), value: try reader.readBuffer(), nodes: try DataMessage.readNodes(&reader))
        }
        guard flags & (Flag.hash | Flag.seek | Flag.upgrade | Flag.manifest) != 0 else { return }
        var sections = Rest()
        if flags & Flag.hash != 0 {
            sections.hash = Hash(index: try reader.readUInt(), nodes: try DataMessage.readNodes(&reader))
        }
        if flags & Flag.seek != 0 {
            sections.seek = Seek(bytes: try reader.readUInt(), nodes: try DataMessage.readNodes(&reader))
        }
        if flags & Flag.upgrade != 0 {
            sections.upgrade = Upgrade(
                start: try reader.readUInt(), length: try reader.readUInt(), nodes: try DataMessage.readNodes(&reader),
                additionalNodes: try DataMessage.readNodes(&reader), signature: try reader.readOptionalBuffer())
        }
        if flags & Flag.manifest != 0 { sections.manifest = try Manifest(from: &reader) }
        self.sections = sections
    }

    private static func readNodes(_ reader: inout ByteReader) throws(CodecError) -> [TreeNode] {
        try [TreeNode](from: &reader, limit: LogLimits.proofNodeCount)
    }

    /// Writes the payload.
    package func encode(into writer: inout ByteWriter) {
        var flags = block == nil ? 0 : Flag.block
        if let sections = rest?.value {
            flags |= (sections.hash == nil ? 0 : Flag.hash) | (sections.seek == nil ? 0 : Flag.seek)
            flags |= (sections.upgrade == nil ? 0 : Flag.upgrade) | (sections.manifest == nil ? 0 : Flag.manifest)
        }
        writer.writeUInt(flags)
        writer.writeUInt(request)
        writer.writeUInt(fork)
        if let block {
            writer.writeUInt(block.index)
            writer.writeBuffer(block.value)
            block.nodes.encode(into: &writer)
        }
        guard !hasOnlyBlock else { return }
        if let hash {
            writer.writeUInt(hash.index)
            hash.nodes.encode(into: &writer)
        }
        if let seek {
            writer.writeUInt(seek.bytes)
            seek.nodes.encode(into: &writer)
        }
        if let upgrade {
            writer.writeUInt(upgrade.start)
            writer.writeUInt(upgrade.length)
            upgrade.nodes.encode(into: &writer)
            upgrade.additionalNodes.encode(into: &writer)
            writer.writeOptionalBuffer(upgrade.signature)
        }
        if let manifest { manifest.encode(into: &writer) }
    }
}
