import DWebBase
import DWebDatabase
import DWebDrive
import DWebPorts
import DWebPosix
import DWebSimulation
import DWebStore
import DWebTestSupport
import Foundation
import Testing

extension SimulatedWorld {
    /// Opens the store of a host whose primary key follows from its number.
    func store(_ number: UInt8, primaryKey: Bytes32? = nil) async throws -> Basestore {
        var options = BasestoreOptions()
        options.primaryKey = primaryKey ?? Bytes32(repeating: number)
        let runtime = runtime(address: SocketAddress(ipv4: 10, 0, 0, number, port: 0), storage: MemoryStorage())
        return try await Basestore.open("store", runtime: runtime, options: options)
    }
}

/// Runs a test's body on a simulated host with one empty drive.
func withDrive<Result: Sendable>(
    _ body: @escaping @Sendable (DDrive) async throws -> Result
) throws -> Result {
    let world = SimulatedWorld(seed: 1)
    return try world.run {
        let store = try await world.store(1)
        return try await body(try await DDrive.open(in: store))
    }
}

/// Runs a test's body with a writer's drive and a reader's view of it, connected.
func withReplica<Result: Sendable>(
    _ prepare: @escaping @Sendable (DDrive) async throws -> Void,
    _ body: @escaping @Sendable (_ writer: DDrive, _ reader: DDrive) async throws -> Result
) throws -> Result {
    let world = SimulatedWorld(seed: 2)
    return try world.run {
        let (first, second) = (try await world.store(1), try await world.store(2))
        let writer = try await DDrive.open(in: first)
        try await prepare(writer)
        let reader = try await DDrive.open(in: second, key: writer.key)
        return try await connected(first, second) { try await body(writer, reader) }
    }
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

extension DDrive {
    /// The paths below a folder.
    func paths(in folder: String = "/") async throws -> [String] {
        var paths: [String] = []
        for try await entry in entries(in: folder) { paths.append(entry.path) }
        return paths
    }

    /// The names in a folder.
    func names(in folder: String = "/") async throws -> [Child] {
        var children: [Child] = []
        for try await child in self.children(of: folder) { children.append(child) }
        return children
    }

    /// The content of a file, read as a stream.
    func streamed(_ path: String, range: Range<UInt64>? = nil) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        for try await piece in content(of: path, range: range) { bytes += piece }
        return bytes
    }
}

/// The content that vectors describe by `{size, mul, add}`.
func content(_ description: JSONValue) throws -> [UInt8] {
    let (multiplier, addend) = (try description["mul"].intValue, try description["add"].intValue)
    return (0..<(try description["size"].intValue)).map {
        UInt8(truncatingIfNeeded: $0 &* multiplier &+ addend &+ ($0 >> 8))
    }
}

/// Bytes that follow from a number.
func content(_ number: Int, byteCount: Int) -> [UInt8] {
    (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ number &* 7 &+ ($0 >> 8)) }
}

/// Text as bytes.
func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// A folder for one test, removed at the end.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("drive-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ bytes: [UInt8], isExecutable: Bool = false) throws {
        let file = path + "/" + name
        try FileManager.default.createDirectory(
            atPath: (file as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        try FileManager.default.setAttributes(
            [.posixPermissions: isExecutable ? 0o755 : 0o644], ofItemAtPath: file)
    }

    func link(_ name: String, to target: String) throws {
        let file = path + "/" + name
        try FileManager.default.createDirectory(
            atPath: (file as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(atPath: file, withDestinationPath: target)
    }

    /// Everything in the folder: `x` or `-` and content for files, `>` and target for links.
    func listing() throws -> [String: [UInt8]] {
        var result: [String: [UInt8]] = [:]
        for name in try FileManager.default.subpathsOfDirectory(atPath: path) {
            let file = path + "/" + name
            let attributes = try FileManager.default.attributesOfItem(atPath: file)
            switch attributes[.type] as? FileAttributeType {
            case .typeSymbolicLink:
                result[name] = bytes(">" + (try FileManager.default.destinationOfSymbolicLink(atPath: file)))
            case .typeRegular:
                let mode = (attributes[.posixPermissions] as? NSNumber)?.intValue ?? 0
                result[name] =
                    bytes(mode & 0o100 != 0 ? "x" : "-")
                    + [UInt8](try Data(contentsOf: URL(fileURLWithPath: file)))
            default: break
            }
        }
        return result
    }
}

/// Runs a test's body with one empty drive on the system's clock, for what waits for a disk.
func withSystemDrive<Result: Sendable>(
    _ body: @escaping @Sendable (DDrive) async throws -> Result
) async throws -> Result {
    try await withSystemStores(1) { stores in try await body(try await DDrive.open(in: stores[0])) }
}

/// As `withReplica`, on the system's clock.
func withSystemReplica<Result: Sendable>(
    _ prepare: @escaping @Sendable (DDrive) async throws -> Void,
    _ body: @escaping @Sendable (_ writer: DDrive, _ reader: DDrive) async throws -> Result
) async throws -> Result {
    try await withSystemStores(2) { stores in
        let writer = try await DDrive.open(in: stores[0])
        try await prepare(writer)
        let reader = try await DDrive.open(in: stores[1], key: writer.key)
        return try await connected(stores[0], stores[1]) { try await body(writer, reader) }
    }
}

/// Runs a body with stores in memory on a loop of the system, and closes everything.
func withSystemStores<Result: Sendable>(
    _ count: Int, _ body: @escaping @Sendable ([Basestore]) async throws -> Result
) async throws -> Result {
    let loop = PosixLoop()
    var stores: [Basestore] = []
    for number in 0..<count {
        var options = BasestoreOptions()
        options.primaryKey = Bytes32(repeating: UInt8(number + 1))
        stores.append(
            try await Basestore.open("store", runtime: .posix(loop: loop, storage: MemoryStorage()), options: options))
    }
    let outcome: Swift.Result<Result, any Error>
    do { outcome = .success(try await body(stores)) } catch { outcome = .failure(error) }
    for store in stores { await store.close() }
    await loop.shutdown()
    return try outcome.get()
}
