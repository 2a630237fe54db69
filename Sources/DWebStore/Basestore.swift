public import DWebBase
public import DWebCrypto
public import DWebDatabase
public import DWebLogCore
public import DWebPorts
package import DWebWireCore

/// Many logs under one primary key, known to the living network as a Corestore.
///
/// A store opens logs by name (writable, with a key pair that follows from the primary key) or by key, replicates all
/// of them with a peer over one connection, and hands out namespaces: views of the same store whose names do not
/// collide with those of other namespaces.
public actor Basestore {
    /// The log namespace of this view; 32 zero bytes for the store itself.
    public nonisolated let namespaceKey: Bytes32
    package nonisolated let engine: StoreEngine
    /// The logs of this view, if it has a life of its own.
    private nonisolated let ownSession: StoreSession?

    init(engine: StoreEngine, namespaceKey: Bytes32, session: StoreSession? = nil) {
        self.engine = engine
        self.namespaceKey = namespaceKey
        ownSession = session
    }

    /// The runtime's loop.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { engine.unownedExecutor }

    /// The runtime the store runs on.
    public nonisolated var runtime: DWebRuntime { engine.runtime }

    /// Opens the store at `path`, creating it if the options allow.
    ///
    /// - Parameters:
    ///   - path: A directory, or a name for stores in memory.
    ///   - runtime: Storage, clock and entropy.
    ///   - options: Primary key and storage options.
    /// - Throws: ``BasestoreError`` with code `locked`, `notFound`, `conflict` (another primary key),
    ///   `unsupportedVersion`, `storage` or `cancelled`.
    public static func open(
        _ path: String, runtime: DWebRuntime, options: BasestoreOptions = BasestoreOptions()
    ) async throws(BasestoreError) -> Basestore {
        let engine = try await StoreEngine.open(path, runtime: runtime, options: options)
        return Basestore(engine: engine, namespaceKey: .zero)
    }

    // MARK: Logs

    /// Opens the writable log called `name` in this namespace, creating it if there is none.
    ///
    /// The same primary key, namespace and name give the same log on every machine: never write to one log from two.
    ///
    /// - Parameters:
    ///   - name: The log's name.
    ///   - encryption: How the session encrypts and decrypts blocks; see also ``createEncryptionKey(_:)``.
    /// - Throws: ``BasestoreError`` with code `closed`, `storage`, `unsupportedVersion` or `cancelled`.
    public func database(
        named name: String, encryption: BlockEncryption? = nil
    ) async throws(BasestoreError) -> DDatabase {
        try await kept(try await engine.database(named: name, in: namespaceKey, encryption: encryption))
    }

    /// Opens the log with this key, writable if its key pair is stored, else a reader that starts out empty.
    ///
    /// - Parameters:
    ///   - key: The log's key.
    ///   - createIfMissing: Whether a log that is not stored yet may be added to the store.
    ///   - encryption: How the session encrypts and decrypts blocks.
    /// - Throws: ``BasestoreError`` with code `notFound`, `closed`, `storage`, `unsupportedVersion` or `cancelled`.
    public func database(
        key: PublicKey, createIfMissing: Bool = true, encryption: BlockEncryption? = nil
    ) async throws(BasestoreError) -> DDatabase {
        try await kept(try await engine.database(key: key, createIfMissing: createIfMissing, encryption: encryption))
    }

    /// Opens the log with this manifest, for example one of several signers, creating it if there is none.
    ///
    /// - Parameters:
    ///   - manifest: Who signs the log; its hash is the log's key.
    ///   - signer: The key pair of a signer; nil for a reader. It is stored with the log.
    ///   - encryption: How the session encrypts and decrypts blocks.
    /// - Throws: ``BasestoreError`` with code `closed`, `storage`, `unsupportedVersion` or `cancelled`.
    public func database(
        manifest: Manifest, signer: KeyPair? = nil, encryption: BlockEncryption? = nil
    ) async throws(BasestoreError) -> DDatabase {
        try await kept(try await engine.database(manifest: manifest, signer: signer, encryption: encryption))
    }

    /// Remembers a log as one of this view's.
    private func kept(_ database: DDatabase) async throws(BasestoreError) -> DDatabase {
        if let ownSession, !ownSession.add(database) {
            await database.close()
            throw BasestoreError(.closed, "This view of the store was closed")
        }
        return database
    }

    /// The view of this store whose names live in the namespace `name` inside this one. Costs nothing.
    public nonisolated func namespace(_ name: String) -> Basestore {
        Basestore(
            engine: engine, namespaceKey: StoreKeys.namespace(Array(name.utf8), in: namespaceKey), session: ownSession)
    }

    /// The keys of all stored logs, in the order of their discovery keys.
    ///
    /// - Throws: ``BasestoreError`` with code `closed`, `storage` or `cancelled`.
    public func keys() async throws(BasestoreError) -> [PublicKey] { try await engine.keys() }

    /// The names of the logs in this namespace, sorted, with their discovery keys.
    ///
    /// - Throws: ``BasestoreError`` with code `closed`, `storage` or `cancelled`.
    public func names() async throws(BasestoreError) -> [(name: String, discoveryKey: DiscoveryKey)] {
        try await engine.names(in: namespaceKey)
    }

    /// Whether a log with this discovery key is stored.
    ///
    /// - Throws: ``BasestoreError`` with code `closed`, `storage` or `cancelled`.
    public func contains(_ discoveryKey: DiscoveryKey) async throws(BasestoreError) -> Bool {
        try await engine.contains(discoveryKey)
    }

    // MARK: Keys

    /// The store's primary key: a secret. Whoever has it can write all named logs.
    public nonisolated var primaryKey: Bytes32 { engine.primaryKey }

    /// A key pair that follows from the primary key, for example the identity of this machine on the network.
    public nonisolated func createKeyPair(_ name: String) -> KeyPair {
        StoreKeys.keyPair(primaryKey: engine.primaryKey, namespace: namespaceKey, name: name)
    }

    /// A key pair that follows from the primary key, by a name in an explicit namespace.
    public nonisolated func createKeyPair(_ name: String, namespace: Bytes32) -> KeyPair {
        StoreKeys.keyPair(primaryKey: engine.primaryKey, namespace: namespace, name: name)
    }

    /// A secret that follows from the primary key, for ``BlockEncryption/key(_:)``; different for each namespace and
    /// name. Whoever is to read the log needs it beside the log's key.
    public nonisolated func createEncryptionKey(_ name: String) -> Bytes32 {
        var message = Array("dweb block encryption".utf8)
        message += namespaceKey.bytes
        message += Array(name.utf8)
        return Blake2b.hash32(message, key: engine.primaryKey.bytes)
    }

    // MARK: Replication

    /// Replicates with the peer at the other end of `stream` until it ends: makes a Noise handshake (pattern XX), then
    /// exchanges every open log that both sides know, and stored ones that the peer asks for by discovery key.
    ///
    /// Logs opened later take part as well. Cancel the task to end the connection.
    ///
    /// - Parameters:
    ///   - stream: The byte stream to the peer.
    ///   - isInitiator: Whether this side opened the stream; the other side must say the opposite.
    ///   - keyPair: This side's identity; nil takes a fresh one.
    /// - Throws: ``BasestoreError`` with code `protocolViolation`, `invalidProof`, `connectionLost`, `cancelled` or
    ///   `closed`. A peer that ends the stream in order is no error.
    public func replicate(
        over stream: any DuplexStream, isInitiator: Bool, keyPair: KeyPair? = nil
    ) async throws(BasestoreError) {
        let identity: KeyPair
        if let keyPair {
            identity = keyPair
        } else {
            var random = SecureRandom(seed: engine.runtime.entropy.seed())
            identity = random.keyPair()
        }
        try await engine.run(.negotiate(isInitiator: isInitiator, keyPair: identity), over: stream)
    }

    /// Replicates with the peer at the other end of `stream`, whose handshake was made elsewhere, until it ends.
    ///
    /// - Parameters:
    ///   - stream: The byte stream to the peer, from the first byte after the handshake.
    ///   - handshake: What the handshake gave.
    ///   - openHandler: Called on the loop once every open log was offered to the peer.
    /// - Throws: As ``replicate(over:isInitiator:keyPair:)``.
    package func replicate(
        over stream: any DuplexStream, handshake: HandshakeResult, openHandler: (@Sendable () -> Void)? = nil
    ) async throws(BasestoreError) {
        try await engine.run(.handshake(handshake), over: stream, openHandler: openHandler)
    }

    /// The number of logs in memory: those in use, by sessions or peers, and those that were a few seconds ago.
    public nonisolated var openLogCount: Int { engine.logCount }

    /// The number of connections that the store replicates over.
    public nonisolated var connectionCount: Int { engine.connectionCount }

    /// Ends all connections and closes all logs and the storage. Applies to every view of the store but sessions, which
    /// close the logs that were opened through them and nothing else; see ``session()``. Callable more than once.
    public func close() async {
        if let ownSession { await ownSession.close() } else { await engine.close() }
    }
}
