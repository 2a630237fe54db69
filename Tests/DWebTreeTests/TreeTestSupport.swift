import DWebBase
import DWebCrypto
import DWebDatabase
import DWebLogCore
import DWebPorts
import DWebSimulation
import DWebStore
import DWebTestSupport
import DWebTree
import Testing

extension SimulatedWorld {
    /// A host's runtime.
    func host(_ number: UInt8 = 1, storage: any StorageProvider = MemoryStorage()) -> DWebRuntime {
        runtime(address: SocketAddress(ipv4: 10, 0, 0, number, port: 0), storage: storage)
    }
}

/// A writable log with the manifest of one signer, without a store around it.
func writableLog(seed: Bytes32, runtime: DWebRuntime) async throws -> DDatabase {
    let keyPair = KeyPair(seed: seed)
    let manifest = Manifest(signer: keyPair.publicKey)
    var auth = AuthRecord(key: manifest.key.bytes32, discoveryKey: manifest.key.discoveryKey.bytes32)
    auth.storedManifest = manifest.storedEncoding
    auth.keyPair = AuthRecord.StoredKeyPair(publicKey: keyPair.publicKey.bytes, secretKey: keyPair.secretKey)
    let storage = try await runtime.storage.open("log", options: StorageOptions())
    let engine = try await LogEngine.open(
        LogEngine.Source(record: CoreRecord(corePointer: 0, dataPointer: 0, alias: nil), auth: auth),
        storage: storage, runtime: runtime)
    return DDatabase(engine: engine)
}

/// Runs a test's body on a simulated host with one empty tree.
func withTree<Result: Sendable>(
    seed: Bytes32 = Bytes32(repeating: 7), options: DTree.Options = DTree.Options(),
    _ body: @escaping @Sendable (DTree, DWebRuntime) async throws -> Result
) throws -> Result {
    let world = SimulatedWorld(seed: 1)
    return try world.run {
        let runtime = world.host()
        let log = try await writableLog(seed: seed, runtime: runtime)
        return try await body(DTree(log, runtime: runtime, options: options), runtime)
    }
}

extension DTree {
    /// All blocks of the log, one after the other.
    func allBlocks() async throws -> [[UInt8]] {
        var blocks: [[UInt8]] = []
        for try await block in database.blocks(from: 0, .localOnly) { blocks.append(block) }
        return blocks
    }

    /// All entries of a scan.
    func all(
        in range: KeyRange = .all, isReversed: Bool = false, limit: Int? = nil
    ) async throws -> [Entry] {
        var entries: [Entry] = []
        for try await entry in self.entries(in: range, isReversed: isReversed, limit: limit) { entries.append(entry) }
        return entries
    }
}

/// Text as a key.
func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// JSON as the living network's tools write it, for values whose members are in alphabetical order.
func jsonText(_ value: JSONValue) -> String {
    switch value {
    case .null: "null"
    case .bool(let value): value ? "true" : "false"
    case .integer(let value): "\(value)"
    case .number(let value): "\(value)"
    case .string(let text): "\"\(text)\""
    case .array(let elements): "[" + elements.map(jsonText).joined(separator: ",") + "]"
    case .object(let members):
        "{" + members.keys.sorted().map { "\"\($0)\":\(jsonText(members[$0] ?? .null))" }.joined(separator: ",") + "}"
    }
}

extension SimulatedWorld {
    /// A runtime that differs in nothing but an empty storage.
    static func freshStorage(_ runtime: DWebRuntime) -> DWebRuntime {
        DWebRuntime(
            loop: runtime.loop, network: runtime.network, storage: MemoryStorage(), entropy: runtime.entropy,
            wallClockMilliseconds: runtime.wallClockMilliseconds)
    }
}

extension DTree {
    /// Whether a block of the tree is held in memory.
    func isInMemory(_ block: UInt64) async -> Bool { await engine.isInMemory(block) }
}

/// A connection between two stores, ended with its scope.
func connected<Result: Sendable>(
    _ first: Basestore, _ second: Basestore, _ body: @Sendable () async throws -> Result
) async throws -> Result {
    let (left, right) = DuplexPipe.makePair()
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try? await first.replicate(over: left, isInitiator: true) }
        group.addTask { try? await second.replicate(over: right, isInitiator: false) }
        let result = try await body()
        group.cancelAll()
        try await group.waitForAll()
        return result
    }
}

/// The code of the error that `body` fails with.
func failure(_ body: () async throws -> Void) async -> DTreeError.Code? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? DTreeError)?.code
    }
}

/// Runs a test's body with a tree and a reader of it on another host; they are connected once the tree is filled.
func withReader(
    seed: UInt64, filledBy fill: @escaping @Sendable (DTree) async throws -> Void = { _ in },
    _ body: @escaping @Sendable (_ writer: DTree, _ reader: DTree) async throws -> Void
) throws {
    let world = SimulatedWorld(seed: seed)
    try world.run {
        let first = try await Basestore.open("store", runtime: world.host(1))
        let second = try await Basestore.open("store", runtime: world.host(2))
        let log = try await first.database(named: "tree")
        let writer = DTree(log, runtime: first.runtime)
        try await fill(writer)
        let reader = DTree(try await second.database(key: log.key), runtime: second.runtime)
        try await connected(first, second) { try await body(writer, reader) }
    }
}
