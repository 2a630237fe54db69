#if Daemon
    public import DWeb
    import DWebDaemonKit
    import Foundation
    public import Logging

    /// A whole daemon process: files, store, network, control, dashboard.
    public struct DaemonProgram: Sendable {
        /// What a daemon is started with.
        public struct Options: Sendable {
            /// Where its files are.
            public var paths: DaemonPaths
            /// How it reaches the network.
            public var network = SwarmNetworker.Configuration()
            /// The local TCP port for control with a token; nil for none.
            public var controlPort: UInt16?
            /// The local port of the dashboard and of drives; nil for none. Port 0 lets the system choose.
            public var webPort: UInt16?
            /// Whether a free port will do where that one is taken.
            public var isAnyWebPortAllowed = false
            /// Whether configured logs and seeds are in memory only: for trying things out.
            public var isInMemory = false

            /// A daemon in a folder.
            public init(paths: DaemonPaths) { self.paths = paths }
        }

        private let options: Options
        private let logger: Logger
        private let log: LogBuffer
        private let notifier: ServiceNotifier

        // How long an answer that is on its way may take.
        private static let answerTime: Duration = .milliseconds(100)

        /// A daemon that does nothing until ``run(isReady:)``.
        public init(options: Options, logger: Logger, log: LogBuffer, notifier: ServiceNotifier = ServiceNotifier()) {
            self.options = options
            self.logger = logger
            self.log = log
            self.notifier = notifier
        }

        /// Runs until the task is cancelled or a client asks it to stop.
        ///
        /// - Parameter isReady: Called once the daemon answers, with what its lock file says.
        /// - Throws: ``DaemonProcessError``, ``BasestoreError``, ``PortError`` and ``SwarmNetworkerError``.
        public func run(isReady: @escaping @Sendable (DaemonNote) -> Void) async throws {
            let paths = options.paths
            // Files that this process makes from now on are its owner's alone.
            umask(0o077)
            try paths.prepare()
            let loop = PosixLoop()
            let runtime = DWebRuntime.posix(
                loop: loop, storage: options.isInMemory ? MemoryStorage() : RocksStorage())
            var note = DaemonNote(
                processID: getpid(), version: DWebVersion.text, interfaceVersion: ControlInterface.version,
                started: runtime.wallClockMilliseconds(), isReady: false, socket: paths.socket, dashboard: nil)
            let outcome: Result<Void, any Error>
            do {
                let lock = try DaemonLock.take(paths.lock, note: note)
                defer { lock.release() }
                note.dashboard = nil
                try await runLocked(runtime, lock, note, isReady)
                outcome = .success(())
            } catch {
                outcome = .failure(error)
            }
            notifier.stopping()
            unlinkSocket(outcome)
            await loop.shutdown()
            try outcome.get()
        }

        /// A socket without a daemon would only puzzle; one of another daemon is left alone.
        private func unlinkSocket(_ outcome: Result<Void, any Error>) {
            if case .failure(let error as DaemonProcessError) = outcome, error.kind == .alreadyRunning { return }
            unlink(options.paths.socket)
        }

        private func runLocked(
            _ runtime: DWebRuntime, _ lock: DaemonLock, _ note: DaemonNote,
            _ isReady: @escaping @Sendable (DaemonNote) -> Void
        ) async throws {
            let store = try await Basestore.open(options.paths.store, runtime: runtime)
            let outcome: Result<Void, any Error>
            do {
                try await run(store, lock, note, isReady)
                outcome = .success(())
            } catch {
                outcome = .failure(error)
            }
            await store.close()
            try outcome.get()
        }

        private func run(
            _ store: Basestore, _ lock: DaemonLock, _ note: DaemonNote,
            _ isReady: @escaping @Sendable (DaemonNote) -> Void
        ) async throws {
            let paths = options.paths
            let limits = try await Daemon.rememberedLimits(statePath: paths.state, runtime: store.runtime)
            var network = options.network
            network.maxPeers = limits.peerCount
            let space = DiskSpace(path: paths.folder)
            let settings = network
            try await SwarmNetworker.withNetworker(store: store, configuration: settings) { networker in
                var configuration = Daemon.Configuration()
                configuration.freeByteCount = { await space.freeByteCount() }
                let daemon = try await Daemon.open(
                    store: store, networker: networker, statePath: paths.state, configuration: configuration)
                try await serve(daemon, lock, note, isReady)
            }
        }

        /// Runs everything beside each other until one of them ends, and then ends the others.
        private func serve(
            _ daemon: Daemon, _ lock: DaemonLock, _ note: DaemonNote,
            _ isReady: @escaping @Sendable (DaemonNote) -> Void
        ) async throws {
            let stop = StopRequest()
            try await withThrowingTaskGroup(of: Void.self) { group in
                var note = note
                if let port = options.webPort {
                    let web = try WebServer.bind(
                        port: port, isAnyAllowed: options.isAnyWebPortAllowed, content: .daemon(daemon), logger: logger)
                    note.dashboard = web.url
                    group.addTask { try await web.run() }
                }
                let service = ControlService(
                    daemon: daemon,
                    identity: ControlService.Identity(
                        version: DWebVersion.text, processID: UInt32(getpid()), storePath: options.paths.store,
                        dashboardURL: note.dashboard), log: log, stop: { stop.request() })
                let control = ControlServer(service: service, paths: options.paths, port: options.controlPort)
                let readyNote = note
                group.addTask { try await daemon.run() }
                group.addTask { await narrate(daemon) }
                group.addTask {
                    await stop.wait()
                    // The answer to whoever asked goes out before the socket is closed.
                    try await Task.sleep(for: DaemonProgram.answerTime)
                }
                group.addTask {
                    try await control.run {
                        await daemon.started()
                        var ready = readyNote
                        ready.isReady = true
                        try lock.write(ready)
                        notifier.ready("Serving \(await daemon.status().seedCount) seeds")
                        logger.notice("The daemon is ready", metadata: ["socket": "\(options.paths.socket)"])
                        isReady(ready)
                    }
                    // A server that ends without being asked to is a failure of its own.
                    if !Task.isCancelled {
                        throw DaemonProcessError(.network, "The control socket was closed")
                    }
                }
                defer { group.cancelAll() }
                try await group.next()
                await daemon.close()
            }
        }

        /// Says in the log what happens.
        private func narrate(_ daemon: Daemon) async {
            for await event in daemon.events() {
                switch event {
                case .peerAdded(let key): logger.info("A peer connected", metadata: ["peer": "\(key)"])
                case .peerRemoved(let key): logger.info("A peer left", metadata: ["peer": "\(key)"])
                case .topicJoined(let key): logger.debug("A topic is joined", metadata: ["topic": "\(key.hex)"])
                case .seedChanged(let key):
                    guard let seed = await daemon.seedStatuses([key]).first else { continue }
                    logger.info(
                        "A seed is \(seed.state)",
                        metadata: ["seed": "\(key)", "stored": "\(seed.storedByteCount)", "bytes": "\(seed.byteCount)"])
                case .problem(let text): logger.warning("\(text)")
                }
            }
            // The others decide when the daemon ends.
            await StopRequest().wait()
        }
    }
#endif
