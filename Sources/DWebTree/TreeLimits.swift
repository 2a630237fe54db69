/// The bounds that decoding and walking a tree keep, whatever its author wrote; spec 50 sections 1.5 and 11.
package enum TreeLimits {
    /// The fewest keys of a node that is not the root.
    package static let minimumKeyCount = 4
    /// The most keys of a stored node.
    package static let keyCount = 8
    /// Nodes in one block: a mutation rewrites two or three nodes on each of at most ``depth`` floors.
    package static let nodesPerBlock = 128
    /// Floors of a tree: a valid tree of 2^53 keys needs fewer.
    package static let depth = 24
    /// Bytes of a block's index: nodes take 220 each at most, and some more with fields that nobody knows yet.
    package static let indexByteCount = 256 * nodesPerBlock
    /// Bytes of a key, prefixes included.
    package static let keyByteCount = 65_536
    /// Bytes of a block that are kept in memory with its value; of larger ones only key and nodes are kept.
    package static let cachedValueByteCount = 4_096
    /// Bytes of keys that one generation of the cache holds; there are two.
    package static let cachedKeysByteCount = 6 << 20
    /// Bytes of nodes that one generation of the cache holds; there are two.
    package static let cachedNodesByteCount = 2 << 20
    /// Bytes of blocks that one generation of the cache holds; there are two.
    package static let cachedBlocksByteCount = 1 << 20
    /// Bytes of keys and values that one scan has read ahead at most, but for a last one.
    package static let aheadByteCount = 4 << 20
    /// Blocks that one step of an operation may have to load: far above what a tree of any size needs.
    package static let loadsPerStep = 4_096
    /// Blocks asked of peers ahead of a scan.
    package static let aheadCount = 256
    /// Bytes of entries that a scan gathers before it hands them out.
    package static let scanByteCount = 256 << 10
    /// Entries that a scan gathers at most.
    package static let scanEntryCount = 256
    /// Stored blocks that a long scan reads at once.
    package static let scanHorizon = 32_768
    /// Bytes of keys and values that a long scan reads at once: so many that there is room for what is left of the time
    /// before and for the blocks of leaves.
    package static let scanHorizonByteCount = 3 << 20
    /// Stored blocks that one call of the log reads.
    package static let readCount = 4_096
    /// Bytes of stored blocks that one call of the log reads, if they are as long as those before.
    package static let readByteCount = 1 << 20
    /// Bytes of stored blocks after which one call of the log ends, whatever they were thought to be.
    package static let readByteLimit = 4 << 20
    /// Bytes of stored blocks that are read in the hope that a walk comes to them, until it asks for one again.
    package static let aheadReadByteLimit = 16 << 20
    /// Bytes of single changes that are written together.
    package static let groupByteCount = 1 << 20
    /// Nodes that the writer keeps between two changes.
    package static let draftNodeCount = 8_192
    /// Single changes that are written together at most.
    package static let groupCount = 1_024
    /// Blocks that a peer may name in one hint.
    package static let hintBlockCount = 256
    /// Blocks visited at most to answer one request of a peer; spec 50 section 7.6.
    package static let hintAnswerBlockCount = 2_176
    /// Blocks named in one answer; spec 50 section 7.6.
    package static let hintMessageBlockCount = 128
    /// Bytes of a hint message.
    package static let hintByteCount = 256 << 10
    /// Questions and answers of peers that wait their turn.
    package static let hintQueueCount = 32
    /// Blocks that are fetched at once because peers named them; spec 50 section 11.13.
    package static let hintOutstandingCount = 4_096
    /// How long after a question answers are taken.
    package static let hintAnswerTime: Duration = .seconds(30)
    /// Entries that a scan has asked for at once before it asks peers for hints.
    package static let hintScanEntryCount = 64
    /// Blocks that a scan visits before it asks peers again; spec 50 section 7.4.
    package static let hintScanBlockCount = 2_048
}
