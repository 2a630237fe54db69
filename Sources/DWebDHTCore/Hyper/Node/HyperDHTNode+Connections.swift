package import DWebBase
package import DWebCrypto

extension HyperDHTNode {
    // MARK: Clients

    /// Begins to connect; ends with ``HyperOutput/connect(_:)`` or ``HyperOutput/connectionFailed(_:_:)``.
    package func connect(_ options: ConnectOptions, now: MonotonicTime) -> ConnectionID {
        let id = ConnectionID(sequence: makeSequence())
        guard !rpc.isSuspended else {
            outputs.append(.connectionFailed(id, .suspended))
            return id
        }
        let target = Blake2b.hash32(options.remotePublicKey.bytes)
        let initiator = configuration.ciphers.initiator(
            options.keyPair, context.random.keyPair(), options.remotePublicKey)
        connectors[id] = Connector(id: id, options: options, target: target, initiator: initiator)
        let known = relayCache.value(options.remotePublicKey, now: now) ?? []
        let forward = rpc.id == nil ? nil : store.forwardAddress(for: target, now: now)
        let route = options.isSocketReusable ? routes[options.remotePublicKey] : nil
        withConnector(id, now: now) { $0.start(known: known, forward: forward, route: route, &$1) }
        settle(now: now)
        return id
    }

    /// Gives a connection in the making up, outgoing or incoming; nothing more comes for an outgoing one.
    package func cancel(_ connection: ConnectionID, now: MonotonicTime) {
        if let server = incoming[connection] {
            withServer(server, now: now) { $0.cancel(connection, &$1) }
        } else {
            withConnector(connection, now: now) { $0.cancel(&$1) }
        }
        settle(now: now)
    }

    // MARK: Servers

    /// Listens as `keyPair`, and announces it; nil if the node listens as it already.
    ///
    /// ``HyperOutput/announced(_:relayAddresses:)`` comes as soon as clients can find it.
    package func listen(
        as keyPair: KeyPair, options: ListenOptions = ListenOptions(), now: MonotonicTime
    ) -> ServerID? {
        let id = ServerID(sequence: makeSequence())
        let server = HandshakeServer(
            id: id, keyPair: keyPair, options: options, makeResponder: configuration.ciphers.responder)
        guard serversByTarget[server.target] == nil else { return nil }
        serversByTarget[server.target] = id
        servers[id] = server
        store.pin(PeerRecord(publicKey: keyPair.publicKey).encoded, under: server.target)
        withServer(id, now: now) { server, context in
            // A suspended node announces once it goes on.
            if rpc.isSuspended { server.announcer.suspend(&context) } else { server.announcer.start(&context) }
        }
        settle(now: now)
        return id
    }

    /// Nodes that lead to the server, to tell with announcements of topics; at most three.
    package func relayAddresses(of server: ServerID) -> [SocketAddress] {
        servers[server]?.announcer.relayAddresses ?? []
    }

    /// Announces the server again soon.
    package func refresh(_ server: ServerID, now: MonotonicTime) {
        withServer(server, now: now) { $0.announcer.refresh(&$1) }
        settle(now: now)
    }

    /// Stops listening and withdraws the announcements; ends with ``HyperOutput/serverClosed(_:)``.
    package func close(_ server: ServerID, now: MonotonicTime) {
        guard let target = servers[server]?.target, serversByTarget[target] == server else { return }
        serversByTarget[target] = nil
        store.unpin(target)
        withServer(server, now: now) {
            $0.clearAll(.destroyed, &$1)
            $0.announcer.stop(&$1)
        }
        settle(now: now)
    }

    /// Welcomes a client: its stream is to have `streamID` on this side.
    package func accept(_ connection: ConnectionID, streamID: UInt32, now: MonotonicTime) {
        guard let server = incoming[connection] else {
            outputs.append(.connectionFailed(connection, .destroyed))
            return
        }
        withServer(server, now: now) { $0.accept(connection, streamID: streamID, &$1) }
        settle(now: now)
    }

    /// Turns a client away: it gets no answer at all.
    package func refuse(_ connection: ConnectionID, now: MonotonicTime) {
        guard let server = incoming.removeValue(forKey: connection) else { return }
        withServer(server, now: now) { $0.refuse(connection, &$1) }
        settle(now: now)
    }

    // MARK: Blind relays

    /// The relay that ``HyperRelayOutput/pair(_:)`` asked for joined both sides.
    ///
    /// - Parameters:
    ///   - socket: The socket of the connection to the relay.
    ///   - address: The relay's address on that connection.
    ///   - remoteStreamID: The stream id in the relay's answer.
    package func relayPaired(
        _ connection: ConnectionID, on socket: SocketID, address: SocketAddress, remoteStreamID: UInt32,
        now: MonotonicTime
    ) {
        if let server = incoming[connection] {
            withServer(server, now: now) {
                $0.relayPaired(connection, on: socket, address, remoteStreamID: remoteStreamID, &$1)
            }
        } else {
            withConnector(connection, now: now) {
                $0.relayPaired(on: socket, address, remoteStreamID: remoteStreamID, &$1)
            }
        }
        settle(now: now)
    }

    /// The relay that ``HyperRelayOutput/pair(_:)`` asked for is connected; it has not joined both sides yet.
    ///
    /// Its packets for the stream may come before its answer does, and are then not taken for the peer's own.
    package func relayReached(
        _ connection: ConnectionID, on socket: SocketID, address: SocketAddress, now: MonotonicTime
    ) {
        if let server = incoming[connection] {
            withServer(server, now: now) { server, _ in server.relayReached(connection, on: socket, address) }
        } else {
            withConnector(connection, now: now) { connector, _ in connector.relayReached(on: socket, address) }
        }
        settle(now: now)
    }

    /// The relay that ``HyperRelayOutput/pair(_:)`` asked for cannot be had.
    package func relayFailed(_ connection: ConnectionID, now: MonotonicTime) {
        if let server = incoming[connection] {
            withServer(server, now: now) { $0.relayFailed(connection, &$1) }
        } else {
            withConnector(connection, now: now) { $0.relayFailed(&$1) }
        }
        settle(now: now)
    }
}
