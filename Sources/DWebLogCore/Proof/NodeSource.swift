/// Where the stored nodes of a log's tree are looked up, synchronously.
///
/// A shell keeps what it has loaded in memory and lets everything else throw `notLoaded`; it then loads the listed
/// nodes and repeats the call. Calls that take a source change nothing when they throw.
package protocol NodeSource {
    /// The stored node, or nil if the storage is known not to have it.
    ///
    /// - Throws: `notLoaded` if that is not known yet.
    func node(at index: UInt64) throws(ProofError) -> TreeNode?
}

extension NodeSource {
    /// The stored nodes at all `indices`, in that order.
    ///
    /// - Throws: `notLoaded` with *all* that must be loaded; `invalidOperation` if the storage lacks one.
    package func nodes(at indices: some Sequence<UInt64>) throws(ProofError) -> [TreeNode] {
        var nodes: [TreeNode] = []
        var notLoaded: [UInt64] = []
        nodes.reserveCapacity(indices.underestimatedCount)
        for index in indices {
            do throws(ProofError) {
                guard let node = try node(at: index) else {
                    throw .invalidOperation(.missingStoredNode(index))
                }
                nodes.append(node)
            } catch {
                guard case .notLoaded(let more) = error else { throw error }
                notLoaded += more
            }
        }
        guard notLoaded.isEmpty else { throw .notLoaded(notLoaded) }
        return nodes
    }

    /// The stored node.
    ///
    /// - Throws: `invalidOperation` if the storage lacks it.
    package func requiredNode(at index: UInt64) throws(ProofError) -> TreeNode {
        guard let node = try node(at: index) else { throw .invalidOperation(.missingStoredNode(index)) }
        return node
    }
}

/// A source that has everything in memory.
package struct NodeTable: NodeSource, Sendable {
    /// The nodes by index.
    package var nodes: [UInt64: TreeNode]

    /// A table of `nodes`; of two with the same index the later one counts.
    package init(_ nodes: some Sequence<TreeNode> = []) {
        self.nodes = [:]
        insert(nodes)
    }

    /// Adds or replaces nodes.
    package mutating func insert(_ nodes: some Sequence<TreeNode>) {
        for node in nodes { self.nodes[node.index] = node }
    }

    /// Deletes what a truncation deletes.
    package mutating func remove(_ truncation: TreeTruncation) {
        nodes = nodes.filter { !truncation.nodes.contains($0.key) }
        for index in truncation.crossingNodes { nodes[index] = nil }
    }

    package func node(at index: UInt64) throws(ProofError) -> TreeNode? { nodes[index] }
}

/// A source that asks a closure.
package struct NodeLookup: NodeSource {
    private let body: (UInt64) throws(ProofError) -> TreeNode?

    /// A source whose answers come from `body`, which throws `notLoaded` for what it does not know yet.
    package init(_ body: @escaping (UInt64) throws(ProofError) -> TreeNode?) { self.body = body }

    package func node(at index: UInt64) throws(ProofError) -> TreeNode? { try body(index) }
}
