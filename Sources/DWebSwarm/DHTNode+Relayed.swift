import DWebBase
import DWebDHTCore
import DWebPorts
import DWebStreamCore
import DWebWireCore

/// This side's use of a blind relay for one connection, from the request to the end of the connection to the relay.
struct RelayUse {
    let request: BlindRelayRequest
    /// The attempt to connect to the relay; nil once it succeeded.
    var dialling: ConnectionID?
    var session: RelaySession?
    /// The stream, once it runs through the relay.
    weak var link: StreamLink?
}

/// How far a relayed stream has come on its way to a direct path.
struct LinkRelay {
    let connection: ConnectionID
    /// Where the direct path leads; nil while the stream runs through the relay.
    var directAddress: SocketAddress?
    /// Whether a packet of the peer came by the direct path.
    var isDirectPathHeard = false
    /// Whether nothing that was sent through the relay is outstanding there any more.
    var isOldPathDone = false
    var isLeaving = false
}

// The client's side of blind relays: connects to them, joins streams through them, and moves the streams to direct
// paths; spec 20 section 13.
extension DHTNode {
    /// What is still outstanding through the relay this long after the upgrade is sent again by the direct path: the
    /// peer may have left the relay already.
    private static let oldPathTimeLimit = Duration.seconds(2)
    /// The peer's last packets through the relay get this long to arrive.
    private static let relayLeaveDelay = Duration.seconds(1)
    /// A connection to the relay of which nothing is known to be left ends at last.
    private static let upgradeTimeLimit = Duration.seconds(20)
    /// How long a stream whose relay is gone may wait for a direct path.
    private static let lostRelayTimeLimit = Duration.seconds(10)

    /// How packets of the connection travel.
    func path(of link: StreamLink) -> ConnectionPath { ConnectionPath(link.kind) }

    func perform(_ output: HyperRelayOutput) {
        switch output {
        case .pair(let request): beginRelaying(request)
        case .abandon(let connection): endRelaying(connection)
        case .upgrade(let path): upgrade(path)
        }
    }

    // MARK: Pairing

    private func beginRelaying(_ request: BlindRelayRequest) {
        guard relayUses[request.connection] == nil else { return }
        relayUses[request.connection] = RelayUse(request: request)
        // By a key of its own: the relay learns neither who the two ends are nor which of its clients are the same.
        let connection = dial(request.relay, as: relayKeyPair, relayAddresses: [], relayChoice: .none) {
            [weak self] result in
            self?.assumeIsolated { $0.reachedRelay(request, result) }
        }
        if let connection, relayUses[request.connection]?.session == nil {
            relayUses[request.connection]?.dialling = connection
        }
    }

    private func reachedRelay(_ request: BlindRelayRequest, _ result: Result<StreamLink, ConnectError>) {
        guard relayUses[request.connection] != nil else {
            if case .success(let link) = result { link.stream.destroy() }
            return
        }
        relayUses[request.connection]!.dialling = nil
        guard case .success(let link) = result, let socket = machineSocket(of: link),
            let address = link.stream.remoteAddress
        else {
            relayUses[request.connection] = nil
            machine.relayFailed(request.connection, now: loop.now)
            settleLater()
            return
        }
        let session = RelaySession(
            link: link, isRelay: false, node: self, random: &random, now: loop.now,
            onMessage: { [weak self] _, message in
                guard case .pair(let answer) = message else { return }
                self?.assumeIsolated { $0.joined(request, answer) }
            },
            onClose: { [weak self] session in
                let name = ObjectIdentifier(session)
                self?.assumeIsolated { $0.relayIsGone(request.connection, name) }
            })
        relayUses[request.connection]!.session = session
        machine.relayReached(request.connection, on: socket, address: address, now: loop.now)
        session.send(request.message)
        session.pump()
    }

    private func joined(_ request: BlindRelayRequest, _ answer: BlindRelayPair) {
        guard request.isAnswered(by: answer), let use = relayUses[request.connection], use.link == nil,
            let session = use.session, let socket = machineSocket(of: session.link),
            let address = session.link.stream.remoteAddress
        else { return }
        machine.relayPaired(
            request.connection, on: socket, address: address, remoteStreamID: answer.streamID, now: loop.now)
        settleLater()
    }

    /// The machine's name for the socket that a stream sends from.
    private func machineSocket(of link: StreamLink) -> DWebDHTCore.SocketID? {
        link.stream.socket.map { machineSockets[$0.index] }
    }

    /// A stream begins to run through the relay.
    func noteRelayed(_ link: StreamLink, _ connection: ConnectionID) {
        link.relay = LinkRelay(connection: connection)
        relayUses[connection]?.link = link
        arrivals.relayed.insert(link.stream.localID)
        relayedConnections[link.stream.localID] = connection
    }

    private func relayIsGone(_ connection: ConnectionID, _ session: ObjectIdentifier) {
        guard let use = relayUses[connection], use.session.map(ObjectIdentifier.init) == session else { return }
        relayUses[connection] = nil
        guard let link = use.link, !link.isClosed else {
            if pending[connection] != nil { machine.relayFailed(connection, now: loop.now) }
            settleLater()
            return
        }
        if link.relay?.directAddress != nil {
            // The peer needs the relay no more: what it carried for us and was lost goes by the direct path.
            link.stream.forgetFormerRemotes()
            return
        }
        _ = schedule(at: loop.now + DHTNode.lostRelayTimeLimit) { [weak self, weak link] in
            guard let self, let link, link.relay?.directAddress == nil else { return }
            link.stream.destroy()
            self.assumeIsolated { $0.settleLater() }
        }
    }

    private func endRelaying(_ connection: ConnectionID) {
        guard let use = relayUses.removeValue(forKey: connection) else { return }
        if let dialling = use.dialling { cancel(dialling) }
        use.session?.close()
    }

    /// The stream that ran through a relay is gone.
    func leaveRelay(of link: StreamLink) {
        guard let relay = link.relay else { return }
        arrivals.relayed.remove(link.stream.localID)
        relayedConnections[link.stream.localID] = nil
        upgrading[link.stream.localID] = nil
        if relay.directAddress == nil { machine.cancel(relay.connection, now: loop.now) }
        endRelaying(relay.connection)
    }

    // MARK: Upgrade

    private func upgrade(_ path: HyperPath) {
        guard let link = links[path.streamID], link.relay?.connection == path.connection,
            let slot = slots[path.socket],
            (try? link.stream.changeRemote(on: slot.udxID, remoteID: path.remoteStreamID, address: path.address))
                != nil
        else {
            if path.socket >= .firstExtra { closeUnusedSocket(path.socket) }
            return
        }
        if path.socket >= .firstExtra {
            slots[path.socket]!.hasCarriedStream = true
            link.ownSocket = path.socket
        }
        link.kind = path.kind
        link.relay!.directAddress = path.address
        // On the side that did not punch through first, the peer's own packet brought the upgrade.
        link.relay!.isDirectPathHeard = !path.isInitiator
        let id = link.stream.localID
        arrivals.relayed.remove(id)
        relayedConnections[id] = nil
        upgrading[id] = link
        _ = schedule(at: loop.now + DHTNode.oldPathTimeLimit) { [weak self, weak link] in
            guard let self, let link, !link.isClosed, link.relay?.isOldPathDone == false else { return }
            link.stream.forgetFormerRemotes()
            self.assumeIsolated { $0.settleLater() }
        }
        _ = schedule(at: loop.now + DHTNode.upgradeTimeLimit) { [weak self, weak link] in
            guard let self, let link, !link.isClosed else { return }
            self.assumeIsolated { $0.finishUpgrade(link) }
        }
        settleLater()
    }

    /// Everything that was sent through the relay is acknowledged, or there was nothing.
    func noteOldPathDone(_ link: StreamLink) {
        guard link.relay?.directAddress != nil, link.relay?.isOldPathDone == false else { return }
        link.relay!.isOldPathDone = true
        // Tells the peer that nothing more comes through the relay; empty, so that no upper layer takes it for data.
        try? link.stream.sendMessage([])
        finishUpgradeIfPossible(link)
    }

    /// Looks for packets of peers that come by a direct path for the first time.
    func noteDirectArrivals(_ batch: DatagramBatch) {
        for entry in batch.entries where entry.range.count >= UDXHeader.byteCount {
            guard let header = UDXHeader(batch.bytes, in: entry.range), let link = upgrading[header.streamID],
                link.relay?.directAddress == entry.address.unmapped
            else { continue }
            link.relay!.isDirectPathHeard = true
            finishUpgradeIfPossible(link)
        }
    }

    private func finishUpgradeIfPossible(_ link: StreamLink) {
        guard let relay = link.relay, relay.isOldPathDone, relay.isDirectPathHeard, !relay.isLeaving else { return }
        link.relay!.isLeaving = true
        _ = schedule(at: loop.now + DHTNode.relayLeaveDelay) { [weak self, weak link] in
            guard let self, let link, !link.isClosed else { return }
            self.assumeIsolated { $0.finishUpgrade(link) }
        }
    }

    private func finishUpgrade(_ link: StreamLink) {
        guard let relay = link.relay else { return }
        link.relay = nil
        upgrading[link.stream.localID] = nil
        link.stream.forgetFormerRemotes()
        endRelaying(relay.connection)
    }

    /// A timer on the loop whose body may touch what is confined to it.
    nonisolated func schedule(at deadline: MonotonicTime, _ body: @escaping () -> Void) -> any LoopTimer {
        let work = Confined(body)
        return loop.schedule(at: deadline) { work.body() }
    }
}

/// Carries a closure to the loop that it was made on.
///
/// Unchecked because the loop is one thread: the closure is made and run there.
private struct Confined: @unchecked Sendable {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
}
