#if Daemon
    import DWebDaemonProto
    import GRPCCore
    import GRPCNIOTransportHTTP2Posix

    /// Serves the control interface: over a Unix socket, and over TCP where that is asked for.
    struct ControlServer {
        let service: ControlService
        let paths: DaemonPaths
        /// The local port for TCP; nil for none. Port 0 lets the system choose.
        let port: UInt16?

        /// Serves until the task is cancelled.
        ///
        /// - Parameter isReady: Called once both can be connected to.
        func run(isReady: @escaping @Sendable () async throws -> Void) async throws {
            let descriptor = try ControlSocket.listen(at: paths.socket)
            let unix = GRPCServer(
                transport: HTTP2ServerTransport.Posix(
                    listeningSocketDescriptor: descriptor, transportSecurity: .plaintext), services: [service])
            let token = port == nil ? nil : try ControlToken.load(paths.token)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await unix.serve() }
                if let port, let token {
                    let transport = HTTP2ServerTransport.Posix(
                        address: .ipv4(host: "127.0.0.1", port: Int(port)), transportSecurity: .plaintext)
                    let tcp = GRPCServer(
                        transport: transport, services: [service], interceptors: [TokenGate(token: token)])
                    group.addTask { try await tcp.serve() }
                    group.addTask {
                        _ = try await transport.listeningAddress
                        try await isReady()
                    }
                } else {
                    group.addTask { try await isReady() }
                }
                do {
                    while try await group.next() != nil {}
                } catch {
                    group.cancelAll()
                    throw error
                }
            }
        }
    }
#endif
