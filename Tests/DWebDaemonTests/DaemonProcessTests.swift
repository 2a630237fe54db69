#if Daemon
    import DWeb
    import DWebDaemonKit
    import DWebDaemonProto
    import Foundation
    import GRPCCore
    import Logging
    import SwiftProtobuf
    import Synchronization
    import Testing

    @testable import DWebDaemonServer

    /// A whole daemon in this process: files, socket, control and pages. Loopback only.
    @Suite(.serialized, .timeLimit(.minutes(2))) struct DaemonProcessTests {
        /// A folder with a short path, since sockets live in it.
        private final class Folder: Sendable {
            let path = "/tmp/dweb-test-\(UInt32.random(in: 0...(.max)))"
            deinit { try? FileManager.default.removeItem(atPath: path) }
        }

        private func mode(_ path: String) -> Int? {
            (try? FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? NSNumber)?.intValue
        }

        private func options(_ folder: Folder) -> DaemonProgram.Options {
            var options = DaemonProgram.Options(paths: DaemonPaths(folder: folder.path))
            // A network of its own that has no other node.
            options.network.bootstrap = [SocketAddress(ipv4: 127, 0, 0, 1, port: 9)]
            options.network.host = "127.0.0.1"
            options.network.port = 0
            return options
        }

        private func withDaemon(
            _ options: DaemonProgram.Options, _ body: @escaping @Sendable (DaemonNote) async throws -> Void
        ) async throws {
            let buffer = LogBuffer()
            let program = DaemonProgram(
                options: options,
                logger: Logger(label: "test") { _ in
                    DaemonLogHandler(label: "test", level: .info, isJSON: false, buffer: buffer) { _ in }
                }, log: buffer, notifier: ServiceNotifier(environment: [:]))
            let (ready, signal) = AsyncStream.makeStream(of: DaemonNote.self, bufferingPolicy: .bufferingNewest(1))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    defer { signal.finish() }
                    try await program.run { signal.yield($0) }
                }
                for await note in ready {
                    try await body(note)
                    group.cancelAll()
                    break
                }
                do { try await group.waitForAll() } catch is CancellationError {}
            }
        }

        @Test func theControlSocketIsItsOwnersAloneAndAnswers() async throws {
            let folder = Folder()
            try await withDaemon(options(folder)) { note in
                #expect(mode(note.socket) == 0o600)
                #expect(mode(folder.path) == 0o700)
                let answer = try await ControlClient.with(socket: note.socket) {
                    try await $0.getStatus(Dweb_V1_GetStatusRequest(), options: ControlClient.options)
                }
                #expect(answer.version == DWebVersion.text)
                #expect(answer.interfaceVersion == UInt32(ControlInterface.version))
                #expect(answer.processID == UInt32(getpid()))
            }
            #expect(!FileManager.default.fileExists(atPath: folder.path + "/control.sock"))
        }

        /// As systemd makes the folder of a service that has no user of its own.
        @Test func theFolderMayBeALink() async throws {
            let (link, folder) = (Folder(), Folder())
            try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: false)
            try FileManager.default.createSymbolicLink(atPath: link.path, withDestinationPath: folder.path)
            try await withDaemon(options(link)) { note in
                #expect(mode(folder.path) == 0o700)
                _ = try await ControlClient.with(socket: note.socket) {
                    try await $0.getStatus(Dweb_V1_GetStatusRequest(), options: ControlClient.options)
                }
            }
        }

        @Test func whatIsToldOverTheSocketOutlivesTheDaemon() async throws {
            let folder = Folder()
            let key = Data(repeating: 5, count: 32)
            try await withDaemon(options(folder)) { note in
                try await ControlClient.with(socket: note.socket) { calls in
                    let added = try await calls.seed(
                        .with { $0.targets = [.with { $0.key = key }] }, options: ControlClient.options)
                    #expect(added.added == 1)
                    _ = try await calls.configure(
                        .with {
                            $0.discoveryKey = Data(repeating: 6, count: 32)
                            $0.announce = true
                            $0.remember = true
                        }, options: ControlClient.options)
                }
            }
            try await withDaemon(options(folder)) { note in
                try await ControlClient.with(socket: note.socket) { calls in
                    let seeds = try await calls.listSeeds(Dweb_V1_ListSeedsRequest(), options: ControlClient.options)
                        .seeds
                    #expect(seeds.map(\.key) == [key])
                    #expect(seeds.first?.state == .searching)
                    let topics = try await calls.listTopics(Dweb_V1_ListTopicsRequest(), options: ControlClient.options)
                    #expect(topics.topics.contains { $0.discoveryKey == Data(repeating: 6, count: 32) && $0.remember })
                }
            }
        }

        @Test func wrongKeysAreRefusedWithTheirReason() async throws {
            try await withDaemon(options(Folder())) { note in
                try await ControlClient.with(socket: note.socket) { calls in
                    let error = await #expect(throws: RPCError.self) {
                        try await calls.seed(
                            .with { $0.targets = [.with { $0.key = Data([1, 2, 3]) }] }, options: ControlClient.options)
                    }
                    #expect(error?.code == .invalidArgument)
                }
            }
        }

        @Test func aDaemonStopsWhenItIsAskedTo() async throws {
            let folder = Folder()
            try await withDaemon(options(folder)) { note in
                try await ControlClient.with(socket: note.socket) {
                    _ = try await $0.stop(Dweb_V1_StopRequest(), options: ControlClient.options)
                }
                while FileManager.default.fileExists(atPath: note.socket) {
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
            #expect(DaemonPresence.probe(DaemonPaths(folder: folder.path)) == .notRunning)
        }

        @Test func controlOverTCPNeedsTheToken() async throws {
            let folder = Folder()
            var options = options(folder)
            let port = try FreePort.check(0)
            options.controlPort = port
            try await withDaemon(options) { _ in
                let token = try #require(ControlToken.read(folder.path + "/token"))
                #expect(mode(folder.path + "/token") == 0o600)
                let refused = await #expect(throws: RPCError.self) { try await call(port, token: nil) }
                #expect(refused?.code == .unauthenticated)
                let wrong = await #expect(throws: RPCError.self) {
                    try await call(port, token: String(repeating: "0", count: token.count))
                }
                #expect(wrong?.code == .unauthenticated)
                try await call(port, token: token)
            }
        }

        private func call(_ port: UInt16, token: String?) async throws {
            try await ControlClient.with(port: port) { calls in
                var metadata = Metadata()
                if let token { metadata.addString("Bearer \(token)", forKey: "authorization") }
                _ = try await calls.getStatus(
                    Dweb_V1_GetStatusRequest(), metadata: metadata, options: ControlClient.options)
            }
        }

        @Test func otherProgramsOfThisMachineReadFromTheDaemonWithoutANetwork() async throws {
            let options = options(Folder())
            try options.paths.prepare()
            let key = try await withStore(options.paths.store, RocksStorage()) { store in
                let log = try await store.database(named: "words")
                try await log.append([Array("one".utf8), Array("two".utf8)])
                return log.key
            }
            try await withDaemon(options) { note in
                try await ControlClient.with(socket: note.socket) { calls in
                    _ = try await calls.seed(
                        .with { $0.targets = [.with { $0.key = Data(key.bytes) }] }, options: ControlClient.options)
                    // Until the daemon has bound its sockets it is no neighbor.
                    while try await calls.getStatus(Dweb_V1_GetStatusRequest(), options: ControlClient.options).network
                        .localAddress.isEmpty
                    { try await Task.sleep(for: .milliseconds(20)) }
                }
                try await withStore("store", MemoryStorage()) { store in
                    try await SwarmNetworker.withNetworker(store: store, configuration: options.network) { networker in
                        let copy = try await store.database(key: key)
                        await DaemonNeighbor.join(networker, note)
                        // Nobody answers, so this does not end by itself; what is read ends it.
                        async let joining: Void = networker.join(copy.key.discoveryKey, flush: false)
                        #expect(try await copy.block(at: 1) == Array("two".utf8))
                        await networker.close()
                        _ = try? await joining
                    }
                }
            }
        }

        /// Shares a drive of one file next to a daemon, and gives it to the daemon.
        private func share(
            _ content: [UInt8], _ options: DaemonProgram.Options, _ daemon: DaemonNote
        ) async throws -> (key: PublicKey, outcome: DaemonHandover.Outcome) {
            try await withStore("store", MemoryStorage()) { store in
                let drive = try await DDrive.open(in: store)
                try await drive.write(content, to: "/file")
                return try await SwarmNetworker.withNetworker(store: store, configuration: options.network) {
                    networker in
                    // Nobody answers, so this does not end by itself.
                    async let joining: Void = networker.join(drive.discoveryKey, flush: false)
                    let outcome = try await DaemonHandover.give(drive, note: "a note", over: networker, to: daemon)
                    await networker.close()
                    _ = try? await joining
                    return (drive.key, outcome)
                }
            }
        }

        @Test func whatIsSharedIsKeptByTheDaemonAfterwards() async throws {
            let options = options(Folder())
            let content = [UInt8](repeating: 7, count: 200_000)
            try await withDaemon(options) { note in
                let (key, outcome) = try await share(content, options, note)
                #expect(outcome == .kept)
                // Who shared it is gone.
                let seeds = try await ControlClient.with(socket: note.socket) { calls in
                    try await calls.listSeeds(Dweb_V1_ListSeedsRequest(), options: ControlClient.options).seeds
                }
                #expect(seeds.map(\.key) == [Data(key.bytes)] && seeds.map(\.note) == ["a note"])
                #expect(seeds.map(\.storedBlocks) == seeds.map(\.blocks) && seeds.allSatisfy { $0.storedBlocks == 6 })
                try await withStore("store", MemoryStorage()) { store in
                    try await SwarmNetworker.withNetworker(store: store, configuration: options.network) { networker in
                        let copy = try await DDrive.open(in: store, key: key)
                        await DaemonNeighbor.join(networker, note)
                        async let joining: Void = networker.join(copy.discoveryKey, flush: false)
                        #expect(try await copy.read("/file") == content)
                        await networker.close()
                        _ = try? await joining
                    }
                }
            }
        }

        @Test func aDaemonWithoutRoomRefusesWhatIsShared() async throws {
            let options = options(Folder())
            try await withDaemon(options) { note in
                _ = try await ControlClient.with(socket: note.socket) { calls in
                    try await calls.setLimits(.with { $0.storageBytes = 1_000 }, options: ControlClient.options)
                }
                let (_, outcome) = try await share([UInt8](repeating: 7, count: 200_000), options, note)
                #expect(outcome == .refused("it has no room for it"))
            }
        }

        private func withStore<Result: Sendable>(
            _ path: String, _ storage: any StorageProvider, _ body: (Basestore) async throws -> Result
        ) async throws -> Result {
            let loop = PosixLoop()
            let store = try await Basestore.open(path, runtime: .posix(loop: loop, storage: storage))
            let result = try await body(store)
            await store.close()
            await loop.shutdown()
            return result
        }

        @Test func theLogIsReadOverTheSocket() async throws {
            try await withDaemon(options(Folder())) { note in
                let lines = try await ControlClient.with(socket: note.socket) { calls in
                    try await calls.readLog(.with { $0.lines = 10 }) { response in
                        var lines: [String] = []
                        for try await message in response.messages { lines += message.lines }
                        return lines
                    }
                }
                #expect(lines.contains { $0.contains("The daemon is ready") })
            }
        }

        @Test func whatAKilledDaemonLeavesIsToldFromADaemon() throws {
            let folder = Folder()
            let paths = DaemonPaths(folder: folder.path)
            #expect(DaemonPresence.probe(paths) == .notRunning)
            try paths.prepare()
            let note = DaemonNote(
                processID: 1, version: "0", interfaceVersion: ControlInterface.version, started: 0, isReady: true,
                socket: paths.socket, dashboard: nil)
            try JSONEncoder().encode(note).write(to: URL(fileURLWithPath: paths.lock))
            #expect(DaemonPresence.probe(paths) == .staleLock(note))
        }

        @Test func theServiceManagerIsTold() throws {
            let path = "/tmp/dweb-notify-\(UInt32.random(in: 0...(.max)))"
            defer { unlink(path) }
            #if os(Linux)
                let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
            #else
                let descriptor = socket(AF_UNIX, SOCK_DGRAM, 0)
            #endif
            defer { close(descriptor) }
            #expect(withUnixAddress(Array(path.utf8)) { bind(descriptor, $0, $1) } == 0)
            ServiceNotifier(environment: ["NOTIFY_SOCKET": path]).ready("Serving 3 seeds")
            var buffer = [UInt8](repeating: 0, count: 200)
            let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            #expect(
                String(decoding: buffer.prefix(max(0, count)), as: UTF8.self).hasPrefix(
                    "READY=1\nSTATUS=Serving 3 seeds\n")
            )
        }

        @Test func theDashboardShowsWhatTheDaemonHasAndNothingForOtherHosts() async throws {
            var options = options(Folder())
            options.webPort = 0
            try await withDaemon(options) { note in
                let address = try #require(note.dashboard)
                try await ControlClient.with(socket: note.socket) {
                    _ = try await $0.seed(
                        .with {
                            $0.targets = [
                                .with { target in
                                    target.key = Data(repeating: 5, count: 32)
                                    target.note = "<b>bold</b>"
                                }
                            ]
                        }, options: ControlClient.options)
                }
                let page = try await Web.get(address)
                #expect(page.status == 200)
                #expect(page.text.contains(PublicKey(Bytes32(repeating: 5)).text))
                #expect(page.text.contains("&lt;b&gt;bold&lt;/b&gt;") && !page.text.contains("<b>bold"))
                #expect(page.headers["content-security-policy"]?.hasPrefix("default-src 'none'") == true)
                let status1 = try await Web.get(address, host: "evil.example").status
                #expect(status1 == 421)
                let metrics = try await Web.get(address + "metrics")
                #expect(metrics.text.contains("dweb_seeds{state=\"searching\"} 1\n"))
                let status2 = try await Web.get(address + "drive/\(PublicKey(Bytes32(repeating: 5)).text)/").status
                #expect(status2 == 404)
                let status3 = try await Web.get(address + "nothing").status
                #expect(status3 == 404)
            }
        }
    }

    /// The simplest client that shows everything.
    private enum Web {
        struct Answer {
            var status = 0
            var headers: [String: String] = [:]
            var text = ""
        }

        /// One request on a connection of its own, made on a thread that may wait.
        static func get(_ address: String, host: String? = nil) async throws -> Answer {
            let url = try #require(URL(string: address))
            let port = UInt16(url.port ?? 80)
            let request =
                "GET \(url.path.isEmpty ? "/" : url.path) HTTP/1.1\r\nHost: \(host ?? "localhost"):\(port)\r\n"
                + "Connection: close\r\n\r\n"
            let bytes = await withCheckedContinuation { continuation in
                DispatchQueue.global().async { continuation.resume(returning: exchange(port, Array(request.utf8))) }
            }
            let text = String(decoding: bytes, as: UTF8.self)
            let parts = text.components(separatedBy: "\r\n\r\n")
            var answer = Answer()
            let lines = parts[0].components(separatedBy: "\r\n")
            answer.status = Int(lines[0].split(separator: " ").dropFirst().first ?? "") ?? 0
            for line in lines.dropFirst() {
                let pair = line.split(separator: ":", maxSplits: 1)
                if pair.count == 2 { answer.headers[pair[0].lowercased()] = String(pair[1].drop { $0 == " " }) }
            }
            answer.text = parts.dropFirst().joined(separator: "\r\n\r\n")
            return answer
        }

        private static func exchange(_ port: UInt16, _ request: [UInt8]) -> [UInt8] {
            #if os(Linux)
                let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            #else
                let descriptor = socket(AF_INET, SOCK_STREAM, 0)
            #endif
            defer { close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = .init(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            let isConnected = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            guard isConnected == 0, write(descriptor, request, request.count) == request.count else { return [] }
            var result: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = read(descriptor, &buffer, buffer.count)
                guard count > 0 else { return result }
                result += buffer[..<count]
            }
        }
    }
#endif
