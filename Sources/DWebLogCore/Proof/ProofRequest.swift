/// Which parts of a log's tree a proof shall cover; spec 30 section D.1.
package struct ProofRequest: Sendable, Hashable {
    /// A block's value and the siblings needed to climb from its leaf.
    package struct Block: Sendable, Hashable {
        /// The block.
        package var index: UInt64
        /// How many levels to climb: up to the nearest ancestor the requester stores; 0 if it has the leaf's hash.
        package var nodes: UInt64

        /// Asks for a block.
        package init(index: UInt64, nodes: UInt64) {
            self.index = index
            self.nodes = nodes
        }
    }

    /// A tree node and the siblings needed to climb from it.
    package struct Hash: Sendable, Hashable {
        /// The *tree index* of the node.
        package var index: UInt64
        /// How many levels to climb.
        package var nodes: UInt64

        /// Asks for a node.
        package init(index: UInt64, nodes: UInt64) {
            self.index = index
            self.nodes = nodes
        }
    }

    /// Nodes that help to locate the block with a byte offset.
    package struct Seek: Sendable, Hashable {
        /// The byte offset, not counting `padding` bytes per block.
        package var bytes: UInt64
        /// Bytes at the start of every block that do not count; 8 in encrypted logs.
        package var padding: UInt64

        /// Asks for a byte offset.
        package init(bytes: UInt64, padding: UInt64 = 0) {
            self.bytes = bytes
            self.padding = padding
        }
    }

    /// The connection from a shorter tree to a longer one, and its signature.
    package struct Upgrade: Sendable, Hashable {
        /// The blocks the requester has.
        package var start: UInt64
        /// The blocks to add.
        package var length: UInt64

        /// Asks for an upgrade.
        package init(start: UInt64, length: UInt64) {
            self.start = start
            self.length = length
        }
    }

    /// The block, if one is asked for. Excludes ``hash``; if both are set, the block counts.
    package var block: Block?
    private var rest: Boxed<Rest>?

    /// Everything but a block, which is all that nearly every message has.
    private struct Rest: Sendable, Hashable {
        var hash: Hash?
        var seek: Seek?
        var upgrade: Upgrade?

        var isEmpty: Bool { hash == nil && seek == nil && upgrade == nil }
    }

    private var sections: Rest {
        get { rest?.value ?? Rest() }
        set { rest = newValue.isEmpty ? nil : Boxed(newValue) }
    }

    /// The node, if one is asked for.
    package var hash: Hash? {
        get { rest?.value.hash }
        set { sections.hash = newValue }
    }
    /// The byte offset, if one is sought.
    package var seek: Seek? {
        get { rest?.value.seek }
        set { sections.seek = newValue }
    }
    /// The upgrade, if one is asked for.
    package var upgrade: Upgrade? {
        get { rest?.value.upgrade }
        set { sections.upgrade = newValue }
    }
    /// Whether nothing but a block may be asked for.
    package var hasOnlyBlock: Bool { rest == nil }

    /// Puts a request together.
    package init(block: Block? = nil, hash: Hash? = nil, seek: Seek? = nil, upgrade: Upgrade? = nil) {
        self.block = block
        if hash != nil || seek != nil || upgrade != nil {
            sections = Rest(hash: hash, seek: seek, upgrade: upgrade)
        }
    }

    /// Whether nothing is asked for (a request for the manifest alone).
    package var isEmpty: Bool { block == nil && hasOnlyBlock }
}
