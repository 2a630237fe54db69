#if Daemon
    package import DWeb
    import DWebDaemonProto
    import GRPCCore

    /// The daemon as a peer: what it holds is read from it at once, without the DHT, also where there is no network.
    package enum DaemonNeighbor {
        // One that does not answer at once is of no help.
        private static let timeLimit = Duration.seconds(1)

        /// Connects `networker` to the daemon with these files, if one runs that seeds something.
        ///
        /// Returns within a second; what fails is left out without a word.
        ///
        /// - Returns: Where the daemon is; nil if there is none to connect to.
        package static func join(_ networker: SwarmNetworker, _ paths: DaemonPaths) async -> SocketAddress? {
            guard case .running(let note) = DaemonPresence.probe(paths) else { return nil }
            return await join(networker, note)
        }

        /// The same, with what is known of the daemon.
        @discardableResult
        package static func join(_ networker: SwarmNetworker, _ note: DaemonNote) async -> SocketAddress? {
            var options = ControlClient.options
            options.timeout = timeLimit
            let settings = options
            let answer = try? await ControlClient.with(socket: note.socket) { calls in
                try await calls.getStatus(Dweb_V1_GetStatusRequest(), options: settings)
            }
            // Until it has bound its sockets there is nobody to connect to.
            guard let answer, answer.totals.seeds > 0, let key = PublicKey(answer.network.publicKey),
                let port = SocketAddress(text: answer.network.localAddress)?.port
            else { return nil }
            let address = SocketAddress(ipv4: 127, 0, 0, 1, port: port)
            await networker.swarm.joinPeer(key, relayAddresses: [address])
            return address
        }
    }
#endif
