import DWebBase
import DWebCrypto
import DWebLogCore

/// Several changes of one log on top of each other, in memory: what the log is to become.
struct LogChange {
    /// The tree with all changes made.
    private(set) var tree: MerkleTree
    /// The length of the log as it is.
    let oldLength: UInt64
    private let oldFork: UInt64
    /// How many leading blocks of the log as it is stay.
    private(set) var sharedLength: UInt64
    /// The blocks behind those, as stored.
    private(set) var blocks: [[UInt8]] = []
    /// The tree nodes that came into being and are still part of the tree.
    private(set) var created: [UInt64: TreeNode] = [:]
    /// Bytes to be kept beside the log, or to be removed, in order.
    var userData: [(name: String, value: [UInt8]?)] = []

    /// No change of a log with this tree.
    init(of tree: MerkleTree) {
        self.tree = tree
        oldLength = tree.length
        oldFork = tree.fork
        sharedLength = tree.length
    }

    /// Whether the log's history changes.
    var changesHistory: Bool { isTruncation || !blocks.isEmpty }
    /// Whether the log gets another fork, which it does even if it is cut at its end.
    var isTruncation: Bool { tree.fork != oldFork }
    /// The blocks that go away.
    var removed: Range<UInt64> { sharedLength..<oldLength }
    /// The blocks that come.
    var added: Range<UInt64> { sharedLength..<tree.length }
    /// The new nodes by ascending index, which storage takes fastest.
    var sortedNodes: [TreeNode] { created.values.sorted { $0.index < $1.index } }

    /// Appends blocks and returns their indices.
    mutating func append(_ newBlocks: [[UInt8]], cipher: BlockCipher?) -> Range<UInt64> {
        let start = tree.length
        var nodes: [TreeNode] = []
        nodes.reserveCapacity(2 * newBlocks.count)
        for block in newBlocks {
            let stored = cipher?.seal(block, index: tree.length, fork: tree.fork) ?? block
            tree.append(block: stored, collecting: &nodes)
            blocks.append(stored)
        }
        for node in nodes { created[node.index] = node }
        return start..<tree.length
    }

    /// Cuts the log after `length` blocks under another fork, the next one unless it is given.
    ///
    /// - Throws: `notLoaded` to be called again.
    mutating func truncate(
        to length: UInt64, fork: UInt64? = nil, source: StoredNodes
    ) throws(ProofError) {
        let created = created
        let overlay = NodeLookup { (index) throws(ProofError) in
            if let node = created[index] { return node }
            return try source.node(at: index)
        }
        tree = try tree.truncated(to: length, fork: fork ?? tree.fork + 1, source: overlay)
        self.created = created.filter { FlatTree.rightSpan($0.key) < 2 * length }
        if length <= sharedLength {
            sharedLength = length
            blocks = []
        } else {
            blocks.removeLast(blocks.count - Int(length - sharedLength))
        }
    }
}
