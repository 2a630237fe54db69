import DWebBase
import DWebLogCore
import DWebPorts

/// The tree nodes of one log: what was read or written recently from memory, everything else from storage.
///
/// A node that only a read from the medium can give is reported as not loaded; ``load(_:)`` fetches it, and the
/// caller repeats what it did. It belongs to one ``LogEngine`` and is used on its loop only.
final class StoredNodes: NodeSource {
    private let storage: any KeyValueStore
    private let keys: DataKeys
    private var recent = NodeCache()
    /// Nodes that are verified and will be stored with the write being prepared.
    private var staged: [UInt64: TreeNode] = [:]
    /// Nodes found absent by ``load(_:)``; forgotten with the next change of the log.
    private var absent: Set<UInt64> = []
    /// Nodes that somebody asked for who could not wait.
    private var unknown: Set<UInt64> = []
    /// How often everything was forgotten since the log was cut or repaired.
    private(set) var cutCount: UInt64 = 0
    /// The storage's refusal, to be reported by whoever asked.
    private(set) var failure: PortError?

    init(storage: any KeyValueStore, keys: DataKeys) {
        self.storage = storage
        self.keys = keys
    }

    func node(at index: UInt64) throws(ProofError) -> TreeNode? {
        if !staged.isEmpty, let node = staged[index] { return node }
        if let node = recent[index] { return node }
        if absent.contains(index) { return nil }
        let answer: ImmediateRead
        do throws(PortError) {
            answer = try storage.readImmediately(keys.node(index))
        } catch {
            failure = error
            return nil
        }
        switch answer {
        case .value(let bytes):
            guard let node = StoredNodes.decode(bytes, index) else { return nil }
            recent.insert(node)
            return node
        case .absent: return nil
        case .wouldWait: throw .notLoaded([index])
        }
    }

    // More are not worth loading ahead of use.
    private static let unknownLimit = 4_096

    /// Whether the node is stored or about to be; nil if only the medium can tell, see ``takeUnknown()``.
    func contains(_ index: UInt64) -> Bool? {
        do throws(ProofError) {
            return try node(at: index) != nil
        } catch {
            if unknown.count < StoredNodes.unknownLimit { unknown.insert(index) }
            return nil
        }
    }

    /// Whether ``contains(_:)`` could not answer about some node.
    var hasUnknown: Bool { !unknown.isEmpty }

    /// The nodes that ``contains(_:)`` could not answer about, to be loaded.
    func takeUnknown() -> [UInt64] {
        defer { unknown = [] }
        return unknown.sorted()
    }

    /// Reads nodes from the medium.
    func load(_ indices: [UInt64]) async throws(PortError) {
        let values = try await storage.read(indices.map { keys.node($0) })
        for (index, bytes) in zip(indices, values) {
            if let bytes, let node = StoredNodes.decode(bytes, index) {
                recent.insert(node)
            } else {
                absent.insert(index)
            }
        }
    }

    /// Shows nodes that are not stored yet, on top of the stored ones.
    func stage(_ nodes: [TreeNode]) {
        for node in nodes { staged[node.index] = node }
    }

    /// The staged nodes by ascending index, which storage takes fastest.
    var stagedNodes: [TreeNode] { staged.values.sorted { $0.index < $1.index } }

    /// Forgets staged nodes; they count as stored if `isStored`.
    func unstage(isStored: Bool) {
        if isStored {
            for node in staged.values { recent.insert(node) }
            absent.removeAll(keepingCapacity: true)
        }
        staged.removeAll(keepingCapacity: true)
    }

    /// Remembers nodes that were just stored.
    func store(_ nodes: [TreeNode]) {
        for node in nodes { recent.insert(node) }
        if !absent.isEmpty { absent.removeAll() }
    }

    /// Remembers nodes as a scan of the storage found them, unless a newer one is remembered already.
    func remember(_ nodes: [TreeNode]) {
        for node in nodes where recent[node.index] == nil { recent.insert(node) }
    }

    /// Forgets everything: the log was cut.
    func removeAll() {
        cutCount += 1
        recent.removeAll()
        staged = [:]
        absent = []
        unknown = []
    }

    /// The node of a record; nil if the record is damaged or belongs to another index.
    static func decode(_ bytes: [UInt8], _ index: UInt64) -> TreeNode? {
        var reader = ByteReader(bytes)
        guard let node = try? TreeNode(from: &reader), node.index == index else { return nil }
        return node
    }
}
