import DWebBase
import DWebCrypto
import DWebLogCore
import DWebPorts

/// What is read of a log when it is opened: everything but blocks and inner tree nodes.
struct LoadedLog {
    var manifest: Manifest?
    var signer: KeyPair?
    var tree: MerkleTree
    var signature: [UInt8]?
    var present: AvailabilityMap
    var hints: HintsRecord
    var headTimestamp: UInt64?
    var group: GroupMembership?
    /// Whether the log's key is known to have signed two histories.
    var isFrozen = false
    /// The head of a log whose roots are lost and do not follow from its blocks; the tree then is a stand-in.
    var damagedHead: HeadRecord?
    /// Tree nodes that were lost and computed anew, to be stored again.
    var lostNodes: [TreeNode] = []

    // Pages that are read at once: 4 MiB.
    private static let pageReadLimit = 1_024

    /// Reads the log's state.
    ///
    /// Bitfield pages below the contiguous length are known to be full and are not read, so that a complete log opens
    /// in the same time whatever its length.
    static func load(
        _ source: LogEngine.Source, from storage: any KeyValueStore
    ) async throws(DDatabaseError) -> LoadedLog {
        let keys = DataKeys(dataPointer: source.record.dataPointer)
        let records: [[UInt8]?]
        if let known = source.firstRecords {
            records = known
        } else {
            records = try await read(LogEngine.firstKeys(of: source.record), storage)
        }
        var loaded: LoadedLog
        var head: HeadRecord?
        do throws(CodecError) {
            loaded = try LoadedLog(auth: source.auth, hints: records[1])
            head = if let bytes = records[0] { try HeadRecord(decoding: bytes) } else { nil }
            if let bytes = records[2] {
                let membership = try GroupMembership(decoding: bytes)
                if membership.topic != nil { loaded.group = membership }
            }
        } catch {
            throw damaged(source, "a record cannot be decoded")
        }
        loaded.isFrozen = records[3] != nil
        guard let head else {
            loaded.hints.contiguousLength = 0
            return loaded
        }
        loaded.signature = head.signature
        loaded.headTimestamp = head.timestampMilliseconds
        guard head.length <= LogLimits.length else { throw damaged(source, "its length is impossible") }
        let indices = Array(FlatTree.fullRoots(length: head.length))
        let roots = zip(indices, try await read(indices.map { keys.node($0) }, storage)).compactMap { index, bytes in
            bytes.flatMap { StoredNodes.decode($0, index) }
        }
        do throws(PortError) {
            if let tree = MerkleTree(fork: head.fork, length: head.length, roots: roots),
                tree.length == 0 || tree.hash == head.treeHash
            {
                try await loaded.loadPresence(keys, storage, length: tree.length)
                loaded.tree = tree
                return loaded
            }
            try await loaded.loadPresence(keys, storage, length: head.length)
            if let tree = try await loaded.rebuildTree(head, keys, storage) {
                loaded.tree = tree
                return loaded
            }
        } catch {
            throw DDatabaseError(storage: error)
        }
        // What is stored can still be read, and a peer may give the roots back.
        let standIns = FlatTree.fullRoots(length: head.length).map { TreeNode(index: $0, size: 0, hash: .zero) }
        guard let tree = MerkleTree(fork: head.fork, length: head.length, roots: standIns) else {
            throw damaged(source, "its length is impossible")
        }
        loaded.tree = tree
        loaded.damagedHead = head
        return loaded
    }

    /// The tree whose roots are lost, from its blocks, if those are all stored and the head vouches for the result.
    private mutating func rebuildTree(
        _ head: HeadRecord, _ keys: DataKeys, _ storage: any KeyValueStore
    ) async throws(PortError) -> MerkleTree? {
        guard
            let computed = try await LogAuditor.computeRoots(
                keys: keys, storage: storage, length: head.length, present: present),
            let tree = MerkleTree(fork: head.fork, length: head.length, roots: computed.roots),
            tree.hash == head.treeHash
        else { return nil }
        lostNodes = computed.nodes
        return tree
    }

    private static func read(
        _ keys: [[UInt8]], _ storage: any KeyValueStore
    ) async throws(DDatabaseError) -> [[UInt8]?] {
        do throws(PortError) { return try await storage.read(keys) } catch { throw DDatabaseError(storage: error) }
    }

    private static func damaged(_ source: LogEngine.Source, _ reason: String) -> DDatabaseError {
        DDatabaseError(.storage, "The stored log \(PublicKey(source.auth.key)) is damaged: \(reason)")
    }

    private init(auth: AuthRecord, hints bytes: [UInt8]?) throws(CodecError) {
        hints = if let bytes { try HintsRecord(decoding: bytes) } else { HintsRecord() }
        manifest = if let stored = auth.storedManifest { try Manifest(stored: stored) } else { nil }
        if let secret = auth.keyPair?.secretKey, let seed = Bytes32(secret.prefix(Bytes32.byteCount)) {
            signer = KeyPair(seed: seed)
        }
        tree = MerkleTree()
        present = AvailabilityMap()
    }

    private mutating func loadPresence(
        _ keys: DataKeys, _ storage: any KeyValueStore, length: UInt64
    ) async throws(PortError) {
        let known = min(hints.contiguousLength, length)
        present.set(0..<known, present: true)
        if known == length {
            hints.contiguousLength = length
            return
        }
        var page = known / AvailabilityMap.pageBitCount
        while page <= length / AvailabilityMap.pageBitCount {
            let span = keys.bitfieldPages(from: page)
            let entries = try await storage.entries(
                from: span.start, to: span.end, limit: LoadedLog.pageReadLimit, isReversed: false)
            for entry in entries {
                guard let number = try? keys.page(ofKey: entry.key) else { continue }
                page = max(page, number)
                present.insertPage(number, entry.value, length: length)
            }
            guard entries.count == LoadedLog.pageReadLimit else { break }
            page += 1
        }
        // The stored hint may be behind, never ahead.
        hints.contiguousLength = present.firstAbsent(in: known..<max(known, length)) ?? length
    }
}
