#if os(Linux)
    import DWebBase
    import DWebDatabase
    import DWebPorts
    import DWebPosix
    import DWebRocks
    import DWebSimulation
    import DWebStore
    import Foundation
    import Testing

    /// Processes that are killed while they write, on a real disk. `Tests/crashlab/run` runs many rounds.
    @Suite(.serialized) struct CrashLabTests {
        private static let environment = ProcessInfo.processInfo.environment
        private static let directoryName = "DWEB_CRASHLAB_DIRECTORY"
        private static let roundName = "DWEB_CRASHLAB_ROUND"
        private static let roundCountName = "DWEB_CRASHLAB_ROUNDS"
        private static let seedName = "DWEB_CRASHLAB_SEED"
        private static let fileLimitName = "DWEB_CRASHLAB_FILE_BYTES"
        private static let diskName = "DWEB_CRASHLAB_DISK"
        private static let logCount = 3
        private static let seed = environment[seedName].flatMap { UInt64($0) } ?? 0

        private static func open(_ directory: String, _ loop: PosixLoop) async throws -> Basestore {
            var options = BasestoreOptions()
            options.primaryKey = Bytes32(repeating: 1)
            return try await Basestore.open(
                directory + "/store", runtime: DWebRuntime.posix(loop: loop, storage: RocksStorage()), options: options)
        }

        /// The writer: changes a log until it is killed, and notes each acknowledged change in a file.
        @Test(.enabled(if: environment[directoryName] != nil)) func crashLabWriter() async throws {
            let directory = try #require(Self.environment[Self.directoryName])
            let round = try #require(Self.environment[Self.roundName].flatMap { Int($0) })
            let loop = PosixLoop()
            var store = try await Self.open(directory, loop)
            var log = try await store.database(named: "log\(round % Self.logCount)")
            let acknowledged = try #require(
                FileManager.default.createFile(atPath: directory + "/acknowledged", contents: nil)
                    ? FileHandle(forWritingAtPath: directory + "/acknowledged") : nil)
            var workload = CrashWorkload(seed: Self.seed &+ UInt64(round))
            if let limit = Self.environment[Self.fileLimitName].flatMap({ rlim_t($0) }) {
                // Writes behind this size fail, as on a full disk, instead of killing the process.
                signal(SIGXFSZ, SIG_IGN)
                Self.limitFiles(to: limit)
            }
            var isRefused = false
            while !isRefused {
                let change = workload.next(length: log.length)
                do throws(DDatabaseError) {
                    try await log.make(change)
                } catch {
                    isRefused = true
                    #expect(error.code == .storage)
                    await expectCode(.storage) { try await log.append([1]) }
                    await expectStoreCode(.storage) { try await store.database(named: "another") }
                    await store.close()
                    // Once there is room again, this very process goes on.
                    try FileManager.default.removeItem(atPath: directory + "/ballast")
                    Self.limitFiles(to: rlim_t.max)
                    store = try await Self.open(directory, loop)
                    log = try await store.database(named: "log\(round % Self.logCount)")
                    try await log.make(change)
                }
                do {
                    try acknowledged.write(contentsOf: Data([UInt8(ascii: ".")]))
                } catch {
                    // No room even for this: the parent counts one change fewer.
                    isRefused = true
                }
            }
            await store.close()
            await loop.shutdown()
        }

        private static func limitFiles(to byteCount: rlim_t) {
            var sizes = rlimit(rlim_cur: byteCount, rlim_max: rlim_t.max)
            setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &sizes)
        }

        /// On a small file system that the script made, or where files may not grow, which looks the same to a writer.
        @Test(.enabled(if: environment[directoryName] == nil)) func aFullDiskLosesNothing() async throws {
            let disk = Self.environment[Self.diskName].map { URL(fileURLWithPath: $0) }
            let directory = (disk ?? FileManager.default.temporaryDirectory)
                .appendingPathComponent("dweb-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: directory) }
            // What is deleted to make room again.
            let ballast = directory.appendingPathComponent("ballast")
            try Data(repeating: 1, count: 512 * 1_024).write(to: ballast)
            let process = try Self.writer(directory.path, 0, disk == nil ? [Self.fileLimitName: "300000"] : [:])
            process.waitUntilExit()
            #expect(process.terminationReason == .exit && process.terminationStatus == 0)
            try? FileManager.default.removeItem(at: ballast)
            let count = try #require(
                try FileManager.default.attributesOfItem(atPath: directory.path + "/acknowledged")[.size] as? Int)
            #expect(count > 3)
            let loop = PosixLoop()
            let store = try await Self.open(directory.path, loop)
            let log = try await store.database(named: "log0")
            let found = try await CrashModel(reading: log)
            let states = Self.states(after: count, from: CrashModel(), round: 0)
            // On a disk without room even the note that a change was acknowledged may be refused.
            #expect(found == states[count] || disk != nil && found == states[count + 1], "after \(count) changes")
            try await log.append([1])
            await store.close()
            await loop.shutdown()
            if disk != nil { print("the disk was full after \(count) acknowledged changes, all of them found") }
        }

        /// The states of a log after each of the acknowledged changes of a round, and after one more.
        private static func states(after count: Int, from first: CrashModel, round: Int) -> [CrashModel] {
            var states = [first]
            var workload = CrashWorkload(seed: Self.seed &+ UInt64(round))
            for _ in 0...count {
                var next = states[states.count - 1]
                next.apply(workload.next(length: UInt64(next.blocks.count)))
                states.append(next)
            }
            return states
        }

        @Test(.enabled(if: environment[directoryName] == nil)) func killedWritersLoseNothing() async throws {
            let roundCount = Self.environment[Self.roundCountName].flatMap { Int($0) } ?? 4
            let directory = FileManager.default.temporaryDirectory.appendingPathComponent("dweb-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: directory) }
            var random = SimulationRandom(seed: Self.seed &+ UInt64(roundCount), stream: "kills")
            var models = Array(repeating: CrashModel(), count: Self.logCount)
            var changeCount = 0
            let loop = PosixLoop()
            for round in 0..<roundCount {
                let acknowledged = directory.appendingPathComponent("acknowledged").path
                try? FileManager.default.removeItem(atPath: acknowledged)
                try await Self.runWriter(directory.path, round, untilKilledBy: &random)
                let size = try? FileManager.default.attributesOfItem(atPath: acknowledged)[.size] as? Int
                let count = size ?? 0
                changeCount += count
                let states = Self.states(after: count, from: models[round % Self.logCount], round: round)
                let store = try await Self.open(directory.path, loop)
                for number in 0..<Self.logCount {
                    let log = try await store.database(named: "log\(number)")
                    let found = try await CrashModel(reading: log)
                    if number == round % Self.logCount {
                        // The change that was under way when the process died may or may not have happened.
                        #expect(found == states[count] || found == states[count + 1], "round \(round)")
                        models[number] = found
                    } else {
                        #expect(found == models[number], "round \(round)")
                    }
                }
                await store.close()
            }
            await loop.shutdown()
            print("\(roundCount) processes killed, \(changeCount) acknowledged changes found")
            #expect(changeCount > roundCount)
        }

        /// Starts this program as a writer.
        private static func writer(
            _ directory: String, _ round: Int, _ more: [String: String] = [:]
        ) throws -> Process {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
            process.arguments = ["--testing-library", "swift-testing", "--filter", "crashLabWriter"]
            var environment = environment.merging(more) { $1 }
            environment[directoryName] = directory
            environment[roundName] = String(round)
            process.environment = environment
            process.standardOutput = FileHandle.nullDevice
            if environment["DWEB_CRASHLAB_LOUD"] == nil { process.standardError = FileHandle.nullDevice }
            try process.run()
            return process
        }

        /// Runs a writer and kills it at a random moment.
        private static func runWriter(
            _ directory: String, _ round: Int, untilKilledBy random: inout SimulationRandom
        ) async throws {
            let process = try writer(directory, round)
            // Some are killed while they still open the store, most while they write.
            let isEarly = random.chance(0.1)
            var waits = 0
            while !isEarly, process.isRunning, waits < 3_000,
                !FileManager.default.fileExists(atPath: directory + "/acknowledged")
            {
                try await Task.sleep(for: .milliseconds(5))
                waits += 1
            }
            try await Task.sleep(for: .microseconds(Int.random(in: 0..<60_000, using: &random)))
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            #expect(process.terminationReason == .uncaughtSignal, "the writer ended by itself")
        }
    }
#endif
