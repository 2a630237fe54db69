#if Daemon
    package import DWebDaemonProto
    package import GRPCCore
    package import GRPCNIOTransportHTTP2Posix

    /// The way to a daemon that runs.
    package enum ControlClient {
        /// The calls of a daemon.
        package typealias Calls = Dweb_V1_Daemon.Client<HTTP2ClientTransport.Posix>

        /// How long a daemon may take to answer.
        package static let timeout: Duration = .seconds(30)

        /// The options of a call that has to be answered in time.
        package static var options: CallOptions {
            var options = CallOptions.defaults
            options.timeout = timeout
            return options
        }

        /// How long a daemon may take to answer what it has at hand; one that takes longer hangs.
        package static let promptTimeout: Duration = .seconds(3)

        /// The options of a call that is answered from memory, and that a person waits for.
        package static var promptOptions: CallOptions {
            var options = CallOptions.defaults
            options.timeout = promptTimeout
            return options
        }

        /// Runs `body` with the calls of the daemon behind a Unix socket.
        ///
        /// - Throws: What `body` throws; calls throw `RPCError`.
        package static func with<Result: Sendable>(
            socket path: String, _ body: (Calls) async throws -> Result
        ) async throws -> Result {
            // The name of the server in the protocol is of no use on a socket, and a path would be none.
            let transport = try HTTP2ClientTransport.Posix(
                target: .unixDomainSocket(path: path, authority: "localhost"), transportSecurity: .plaintext)
            return try await withGRPCClient(transport: transport) { client in
                try await body(Dweb_V1_Daemon.Client(wrapping: client))
            }
        }

        /// Runs `body` with the calls of the daemon behind a local TCP port. Calls have to carry the token.
        package static func with<Result: Sendable>(
            port: UInt16, _ body: (Calls) async throws -> Result
        ) async throws -> Result {
            let transport = try HTTP2ClientTransport.Posix(
                target: .ipv4(address: "127.0.0.1", port: Int(port)), transportSecurity: .plaintext)
            return try await withGRPCClient(transport: transport) { client in
                try await body(Dweb_V1_Daemon.Client(wrapping: client))
            }
        }
    }
#endif
