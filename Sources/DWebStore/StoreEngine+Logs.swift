package import DWebBase
package import DWebCrypto
package import DWebDatabase
package import DWebLogCore
package import DWebPorts

extension StoreEngine {
    // MARK: Opening the store

    /// Opens the store at `path`; see ``Basestore/open(_:runtime:options:)``.
    package static func open(
        _ path: String, runtime: DWebRuntime, options: BasestoreOptions
    ) async throws(BasestoreError) -> StoreEngine {
        let storage: SuspendableStore
        do throws(PortError) {
            storage = SuspendableStore(
                try await runtime.storage.open(path, options: options.storage), path: path,
                provider: runtime.storage, options: options.storage)
        } catch {
            throw BasestoreError(error)
        }
        do throws(BasestoreError) {
            var head = try decodeHead(try await read(StoreRecordKeys.head, of: storage))
            if let known = head.primaryKey {
                guard options.primaryKey.map({ $0 == known }) ?? true else {
                    throw BasestoreError(.conflict, "The store \(path) was made with another primary key")
                }
                let engine = StoreEngine(
                    storage: storage, head: head, primaryKey: known, runtime: runtime, options: options)
                if storage.hasLostWrites, !options.storage.isReadOnly { try await engine.markLogsAsRecovering() }
                return engine
            }
            let primaryKey = options.primaryKey ?? runtime.entropy.seed()
            head.primaryKey = primaryKey
            let engine = StoreEngine(
                storage: storage, head: head, primaryKey: primaryKey, runtime: runtime, options: options)
            if !options.storage.isReadOnly {
                var batch = WriteBatch()
                batch.put(StoreRecordKeys.head, head.encoded)
                try await engine.apply(batch)
            }
            return engine
        } catch {
            await storage.close()
            throw error
        }
    }

    private static func decodeHead(_ bytes: [UInt8]?) throws(BasestoreError) -> StoreHead {
        guard let bytes else { return StoreHead() }
        do throws(CodecError) {
            return try StoreHead(decoding: bytes)
        } catch {
            if case .unknownVersion(let version) = error {
                throw BasestoreError(
                    .unsupportedVersion,
                    "The store has version \(version), the newest known is \(StoreHead.currentVersion)")
            }
            throw BasestoreError(.storage, "The head record of the store is damaged")
        }
    }

    // MARK: Logs

    /// Opens or creates a named log; see ``Basestore/database(named:)``.
    package func database(
        named name: String, in namespace: Bytes32, encryption: BlockEncryption?
    ) async throws(BasestoreError) -> DDatabase {
        try await inTurn { engine async throws(BasestoreError) -> DDatabase in
            DDatabase(
                engine: try await engine.log(LogAlias(name: name, namespace: namespace)), encryption: encryption)
        }
    }

    /// Opens a log by its key; see ``Basestore/database(key:createIfMissing:)``.
    package func database(
        key: PublicKey, createIfMissing: Bool, encryption: BlockEncryption?
    ) async throws(BasestoreError) -> DDatabase {
        try await inTurn { engine async throws(BasestoreError) -> DDatabase in
            DDatabase(
                engine: try await engine.log(key, createIfMissing: createIfMissing), encryption: encryption)
        }
    }

    /// Opens or creates a log by its manifest; see ``Basestore/database(manifest:signer:)``.
    package func database(
        manifest: Manifest, signer: KeyPair?, encryption: BlockEncryption?
    ) async throws(BasestoreError) -> DDatabase {
        try await inTurn { engine async throws(BasestoreError) -> DDatabase in
            let key = manifest.key
            if let known = try await engine.storedLog(key.discoveryKey) {
                return DDatabase(engine: known, encryption: encryption)
            }
            var auth = AuthRecord(key: key.bytes32, discoveryKey: key.discoveryKey.bytes32)
            auth.storedManifest = manifest.storedEncoding
            if let signer {
                auth.keyPair = AuthRecord.StoredKeyPair(
                    publicKey: signer.publicKey.bytes, secretKey: signer.secretKey)
            }
            return DDatabase(engine: try await engine.createLog(auth, alias: nil), encryption: encryption)
        }
    }

    private func log(_ alias: LogAlias) async throws(BasestoreError) -> LogEngine {
        if let bytes = try await read(StoreRecordKeys.alias(alias)) {
            guard let discoveryKey = DiscoveryKey(bytes) else {
                throw BasestoreError(.storage, "The record of the name \(alias.name) is damaged")
            }
            if let engine = try await storedLog(discoveryKey) { return engine }
        }
        let keyPair = StoreKeys.keyPair(primaryKey: primaryKey, namespace: alias.namespace, name: alias.name)
        let manifest = Manifest(signer: keyPair.publicKey)
        let key = manifest.key
        if let engine = try await storedLog(key.discoveryKey) { return engine }
        var auth = AuthRecord(key: key.bytes32, discoveryKey: key.discoveryKey.bytes32)
        auth.storedManifest = manifest.storedEncoding
        auth.keyPair = AuthRecord.StoredKeyPair(publicKey: keyPair.publicKey.bytes, secretKey: keyPair.secretKey)
        return try await createLog(auth, alias: alias)
    }

    private func log(_ key: PublicKey, createIfMissing: Bool) async throws(BasestoreError) -> LogEngine {
        if let engine = try await storedLog(key.discoveryKey) {
            guard engine.key == key else {
                throw BasestoreError(.conflict, "Another log is stored under the discovery key of \(key)")
            }
            return engine
        }
        guard createIfMissing else { throw BasestoreError(.notFound, "The log \(key) is not in the store") }
        return try await createLog(
            AuthRecord(key: key.bytes32, discoveryKey: key.discoveryKey.bytes32), alias: nil)
    }

    /// The log with this discovery key, opened if it is stored; nil if it is not.
    func storedLog(_ discoveryKey: DiscoveryKey) async throws(BasestoreError) -> LogEngine? {
        if let engine = logs[discoveryKey], !engine.isClosed { return engine }
        guard let bytes = try await read(StoreRecordKeys.core(discoveryKey)) else { return nil }
        var record = try decode(discoveryKey) { () throws(CodecError) in try CoreRecord(decoding: bytes) }
        // Together, since each visit to the medium costs more than what it reads.
        var records = try await read(
            [StoreRecordKeys.auth(core: record.corePointer)] + LogEngine.firstKeys(of: record))
        guard let authBytes = records.removeFirst() else {
            throw BasestoreError(.storage, "The keys of the log with discovery key \(discoveryKey) are missing")
        }
        let auth = try decode(discoveryKey) { () throws(CodecError) in try AuthRecord(decoding: authBytes) }
        if record.version < CoreRecord.currentVersion {
            // The layout did not change between these versions, only what may be relied on; spec 40 section 15.
            record.version = CoreRecord.currentVersion
            if !options.storage.isReadOnly {
                var batch = WriteBatch()
                batch.put(StoreRecordKeys.core(discoveryKey), record.encoded)
                try await apply(batch)
            }
        }
        return try await openLog(record, auth, records)
    }

    func decode<Record>(
        _ discoveryKey: DiscoveryKey, _ body: () throws(CodecError) -> Record
    ) throws(BasestoreError) -> Record {
        do throws(CodecError) {
            return try body()
        } catch {
            if case .unknownVersion(let version) = error {
                throw BasestoreError(
                    .unsupportedVersion, "The log with discovery key \(discoveryKey) has version \(version)")
            }
            throw BasestoreError(.storage, "The records of the log with discovery key \(discoveryKey) are damaged")
        }
    }

    /// Writes the records of a new log in one batch: store head, core record, [alias], auth; spec 40 section 14.
    private func createLog(_ auth: AuthRecord, alias: LogAlias?) async throws(BasestoreError) -> LogEngine {
        guard !options.storage.isReadOnly else {
            throw BasestoreError(.notFound, "The log is not in the store, which was opened read-only")
        }
        let discoveryKey = DiscoveryKey(auth.discoveryKey)
        var newHead = head
        let record = CoreRecord(corePointer: newHead.nextCore, dataPointer: newHead.nextData, alias: alias)
        newHead.nextCore += 1
        newHead.nextData += 1
        if newHead.defaultDiscoveryKey == nil { newHead.defaultDiscoveryKey = auth.discoveryKey }
        var batch = WriteBatch()
        batch.put(StoreRecordKeys.head, newHead.encoded)
        batch.put(StoreRecordKeys.core(discoveryKey), record.encoded)
        if let alias { batch.put(StoreRecordKeys.alias(alias), discoveryKey.bytes) }
        batch.put(StoreRecordKeys.auth(core: record.corePointer), auth.encoded)
        try await apply(batch)
        head = newHead
        return try await openLog(record, auth)
    }

    private func openLog(
        _ record: CoreRecord, _ auth: AuthRecord, _ firstRecords: [[UInt8]?]? = nil
    ) async throws(BasestoreError) -> LogEngine {
        let engine: LogEngine
        do throws(DDatabaseError) {
            var source = LogEngine.Source(record: record, auth: auth, onIdle: idleHandler, pointers: pointers)
            source.firstRecords = firstRecords
            source.isReadOnly = options.storage.isReadOnly
            source.onUnfreeze = { [weak self] engine in self?.assumeIsolated { $0.offerAgain(engine) } }
            engine = try await LogEngine.open(
                source, storage: storage, runtime: runtime, durability: options.durability)
        } catch {
            throw BasestoreError(error)
        }
        await adopt(engine)
        return engine
    }

    // MARK: Listings

    /// The keys of all stored logs; see ``Basestore/keys()``.
    package func keys() async throws(BasestoreError) -> [PublicKey] {
        try checkOpen()
        var keys: [PublicKey] = []
        for entry in try await entries(StoreRecordKeys.cores) {
            guard let discoveryKey = StoreRecordKeys.discoveryKey(ofCoreKey: entry.key) else { continue }
            let record = try decode(discoveryKey) { () throws(CodecError) in try CoreRecord(decoding: entry.value) }
            guard let bytes = try await read(StoreRecordKeys.auth(core: record.corePointer)) else { continue }
            let auth = try decode(discoveryKey) { () throws(CodecError) in try AuthRecord(decoding: bytes) }
            keys.append(PublicKey(auth.key))
        }
        return keys
    }

    /// The names in a namespace; see ``Basestore/names()``.
    package func names(
        in namespace: Bytes32
    ) async throws(BasestoreError) -> [(name: String, discoveryKey: DiscoveryKey)] {
        try checkOpen()
        return try await entries(StoreRecordKeys.aliases(in: namespace)).compactMap { entry in
            guard let alias = try? StoreRecordKeys.alias(ofKey: entry.key), let key = DiscoveryKey(entry.value) else {
                return nil
            }
            return (alias.name, key)
        }
    }

    /// Whether a log is stored.
    package func contains(_ discoveryKey: DiscoveryKey) async throws(BasestoreError) -> Bool {
        try checkOpen()
        return try await read(StoreRecordKeys.core(discoveryKey)) != nil
    }

    // MARK: Storage

    func read(_ key: [UInt8]) async throws(BasestoreError) -> [UInt8]? {
        try await StoreEngine.read(key, of: storage)
    }

    private static func read(_ key: [UInt8], of storage: any KeyValueStore) async throws(BasestoreError) -> [UInt8]? {
        do throws(PortError) {
            switch try storage.readImmediately(key) {
            case .value(let bytes): return bytes
            case .absent: return nil
            case .wouldWait: return try await storage.read([key])[0]
            }
        } catch {
            throw BasestoreError(error)
        }
    }

    private func read(_ keys: [[UInt8]]) async throws(BasestoreError) -> [[UInt8]?] {
        do throws(PortError) { return try await storage.read(keys) } catch { throw BasestoreError(error) }
    }

    func entries(_ span: KeySpan) async throws(BasestoreError) -> [KeyValueEntry] {
        do throws(PortError) {
            return try await storage.entries(from: span.start, to: span.end, limit: .max, isReversed: false)
        } catch {
            throw BasestoreError(error)
        }
    }

    func apply(_ batch: WriteBatch) async throws(BasestoreError) {
        do throws(PortError) {
            try await storage.apply(batch, durability: options.durability)
        } catch {
            throw BasestoreError(error)
        }
    }
}

extension StoreEngine: ReplicationSource {
    /// The logs that are open, in a fixed order.
    package func openLogs() async -> [LogEngine] {
        logs.keys.sorted().compactMap { logs[$0] }.filter { !$0.isClosed }
    }

    /// A stored log that a peer asks for; nil if it is not stored. A peer never makes the store create one.
    package func log(for discoveryKey: DiscoveryKey) async -> LogEngine? {
        do throws(BasestoreError) {
            return try await inTurn { engine async throws(BasestoreError) -> LogEngine? in
                try await engine.storedLog(discoveryKey)
            }
        } catch {
            return nil
        }
    }
}
