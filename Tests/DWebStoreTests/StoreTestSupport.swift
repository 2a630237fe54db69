import DWebBase
import DWebDatabase
import DWebPorts
import DWebPosix
import DWebRocks
import DWebSimulation
import DWebStore
import Foundation

extension SimulatedWorld {
    /// The runtime of the host with this number.
    func host(_ number: UInt8, storage: any StorageProvider = MemoryStorage()) -> DWebRuntime {
        runtime(address: SocketAddress(ipv4: 10, 0, 0, number, port: 0), storage: storage)
    }

    /// Opens the store of a host whose primary key follows from its number.
    func store(
        _ number: UInt8, storage: any StorageProvider = MemoryStorage(), path: String = "store"
    ) async throws(BasestoreError) -> Basestore {
        var options = BasestoreOptions()
        options.primaryKey = Bytes32(repeating: number)
        return try await Basestore.open(path, runtime: host(number, storage: storage), options: options)
    }
}

/// A connection between two stores, ended with its scope.
func connected<Result: Sendable>(
    _ first: Basestore, _ second: Basestore, _ body: @Sendable () async throws -> Result
) async throws -> Result {
    let (left, right) = DuplexPipe.makePair()
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
            try await ending { () throws(BasestoreError) in try await first.replicate(over: left, isInitiator: true) }
        }
        group.addTask {
            try await ending { () throws(BasestoreError) in try await second.replicate(over: right, isInitiator: false)
            }
        }
        let result = try await body()
        group.cancelAll()
        try await group.waitForAll()
        return result
    }
}

/// Runs a connection whose end by the test's own cancellation is no failure.
private func ending(_ body: () async throws(BasestoreError) -> Void) async throws(BasestoreError) {
    do throws(BasestoreError) {
        try await body()
    } catch {
        if error.code != .cancelled && error.code != .connectionLost { throw error }
    }
}

/// Waits, in virtual time, until `condition` holds; false if it does not within ten seconds.
func eventually(_ loop: any RuntimeLoop, _ condition: @Sendable () -> Bool) async -> Bool {
    for _ in 0..<1_000 {
        if condition() { return true }
        await pause(loop, .milliseconds(10))
    }
    return condition()
}

/// Lets virtual time pass.
func pause(_ loop: any RuntimeLoop, _ duration: Duration) async {
    await withCheckedContinuation { continuation in
        _ = loop.schedule(at: loop.now + duration) { continuation.resume() }
    }
}

/// Bytes that follow from an index.
func content(_ index: Int, byteCount: Int = 12) -> [UInt8] {
    (0..<byteCount).map { UInt8(truncatingIfNeeded: index &* 31 &+ $0 &* 7 &+ index >> 8) }
}

/// Runs `body` with a path on the real disk, which is deleted afterwards, and a runtime with a real clock.
func onDisk(_ body: (_ path: String, _ runtime: DWebRuntime) async throws -> Void) async throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("dweb-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let loop = PosixLoop()
    try await body(path, .posix(loop: loop, storage: RocksStorage()))
    await loop.shutdown()
}
