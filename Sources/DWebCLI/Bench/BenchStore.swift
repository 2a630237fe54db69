import DWeb
import DWebEssentials

/// Stores and clocks of a measurement.
enum BenchStore {
    /// Opens a store that is gone afterwards and runs `body` with it.
    static func with<Result: Sendable>(
        isMemory: Bool, _ body: @escaping @Sendable (DWebRuntime, Basestore) async throws -> Result
    ) async throws -> Result {
        let path = folder()
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try await with(isMemory ? MemoryStorage() : RocksStorage(), at: path, body)
    }

    /// A folder that nothing has yet.
    static func folder() -> String {
        FileManager.default.temporaryDirectory.appendingPathComponent("dweb-bench-\(UUID().uuidString)").path
    }

    /// Opens the store at `path` and runs `body` with it.
    static func with<Result: Sendable>(
        _ storage: any StorageProvider, at path: String,
        _ body: @escaping @Sendable (DWebRuntime, Basestore) async throws -> Result
    ) async throws -> Result {
        let loop = PosixLoop()
        let outcome: Swift.Result<Result, any Error>
        do {
            let runtime = DWebRuntime.posix(loop: loop, storage: storage)
            let store = try await Basestore.open(path, runtime: runtime)
            ProcessMemory.giveBackUnused()
            do {
                outcome = .success(try await body(runtime, store))
            } catch {
                outcome = .failure(error)
            }
            await store.close()
        } catch {
            outcome = .failure(error)
        }
        await loop.shutdown()
        return try outcome.get()
    }

    /// Runs `body` on the runtime's loop, so that calls into the library are no thread hops.
    static func onLoop(of runtime: DWebRuntime, _ body: @escaping @Sendable () async throws -> Void) async throws {
        try await prefer(runtime.loop, body)
    }

    private static func prefer(
        _ executor: some TaskExecutor, _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        try await withTaskExecutorPreference(executor) { try await body() }
    }

    /// Appends made-up blocks, batch by batch.
    static func fill(_ database: DDatabase, count: UInt64, size: Int) async throws {
        var index: UInt64 = 0
        while index < count {
            let batchCount = min(count - index, 1_000, UInt64(max(1, (1 << 20) / size)))
            let blocks = (0..<batchCount).map { [UInt8](repeating: UInt8(truncatingIfNeeded: index + $0), count: size) }
            try await database.append(blocks)
            index += batchCount
        }
    }

    /// The wall-clock seconds that `body` takes.
    static func seconds(_ body: () async throws -> Void) async throws -> Double {
        let duration = try await ContinuousClock().measure { try await body() }
        return max(1e-9, duration.seconds)
    }

    /// What `body` costs this process, all its threads together.
    static func cost(_ body: () async throws -> Void) async throws -> BenchCost {
        let allocations = TransportFigures.allocations
        let before = ProcessFigures.processorSeconds
        let seconds = try await seconds(body)
        return BenchCost(
            seconds: seconds, processorSeconds: ProcessFigures.processorSeconds - before,
            allocationCount: allocations.flatMap { before in TransportFigures.allocations.map { $0 - before } })
    }
}

/// What something cost a process.
struct BenchCost: Codable, Sendable {
    /// The seconds that went by.
    let seconds: Double
    /// The seconds that processors spent.
    let processorSeconds: Double
    /// The calls of the allocator, which do not depend on what else the machine does; nil unless a counter was
    /// preloaded (`Tests/netlab/allocations`).
    let allocationCount: Int?
}

/// What the system counts about this process.
enum ProcessFigures {
    /// What processors spent on all threads of this process so far, in seconds.
    static var processorSeconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// The memory that is resident now; 0 where the system does not say.
    static var residentByteCount: UInt64 {
        #if os(Linux)
            let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
            let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
            return (line.split(separator: " ").dropFirst().first.flatMap { UInt64($0) } ?? 0) * 1_024
        #else
            return 0
        #endif
    }

    /// The most memory that was resident at once.
    static var peakMemoryByteCount: UInt64 {
        #if os(Linux)
            // Not from getrusage: there a process inherits the peak of the one that started it.
            let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
            let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") } ?? ""
            return (line.split(separator: " ").dropFirst().first.flatMap { UInt64($0) } ?? 0) * 1_024
        #else
            var usage = rusage()
            getrusage(RUSAGE_SELF, &usage)
            return UInt64(usage.ru_maxrss)
        #endif
    }
}
