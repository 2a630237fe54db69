import DWebBase
import DWebCrypto
import HeapModule

@testable import DWebDHTCore

/// Nodes of the peer DHT joined by a network in memory with virtual time, latency and address translators; every run
/// follows from its seed. Streams are played by packets `ff <stream id>` that both ends send until they hear the other.
final class HyperTestNetwork {
    /// A translator between an inner network and the public one; it lets in only what answers.
    final class Translator {
        enum Mapping {
            /// One public port per inner address.
            case consistent
            /// One public port per inner address and destination.
            case random
        }

        let publicHost: SocketAddress
        let mapping: Mapping
        private var nextPort: UInt16 = 20000
        private var ports: [[SocketAddress]: UInt16] = [:]
        private var inner: [UInt16: SocketAddress] = [:]
        private var contacted: Set<[SocketAddress]> = []

        init(publicHost: SocketAddress, mapping: Mapping) {
            self.publicHost = publicHost
            self.mapping = mapping
        }

        func translate(_ source: SocketAddress, to destination: SocketAddress, _ random: inout SecureRandom)
            -> SocketAddress
        {
            let key = mapping == .consistent ? [source] : [source, destination]
            var port = ports[key] ?? 0
            while port == 0 || inner[port] != nil && ports[key] != port {
                port =
                    mapping == .random
                    ? UInt16.random(in: 1000...65535, using: &random) : nextPort
                nextPort += 1
            }
            ports[key] = port
            inner[port] = source
            let outer = publicHost.with(port: port)
            contacted.insert([outer, destination])
            return outer
        }

        func accept(from source: SocketAddress, at outer: SocketAddress) -> SocketAddress? {
            contacted.contains([outer, source]) ? inner[outer.port] : nil
        }
    }

    final class Member {
        let index: Int
        let node: HyperDHTNode
        let host: SocketAddress
        let translator: Translator?
        var isAlive = true
        var addresses: [SocketID: SocketAddress]
        var events: [OperationID: [HyperOperationEvent]] = [:]
        var handshakes: [IncomingHandshake] = []
        var paths: [ConnectionID: HyperPath] = [:]
        var failures: [ConnectionID: ConnectError] = [:]
        var announcements: [ServerID: [[SocketAddress]]] = [:]
        var closed: Set<ServerID> = []
        var rpcEvents: [RPCEvent] = []
        /// Streams that wait for their peer.
        var pendingStreams: [UInt32: ConnectionID] = [:]
        /// Streams by connection, and whether something arrived.
        var heard: Set<UInt32> = []
        var nextStreamID: UInt32
        var isWelcoming: (IncomingHandshake) -> Bool = { _ in true }
        var releasedSockets: Set<SocketID> = []
        var bindDelay = Duration.zero
        var upgrades: [ConnectionID: HyperPath] = [:]
        var abandoned: Set<ConnectionID> = []
        /// Streams that run through the relay, and what a direct packet for them belongs to.
        var relayedStreams: [UInt32: ConnectionID] = [:]

        init(index: Int, node: HyperDHTNode, host: SocketAddress, translator: Translator?) {
            self.index = index
            self.node = node
            self.host = host
            self.translator = translator
            nextStreamID = UInt32(index) * 1000 + 1
            addresses = [.server: host.with(port: 49737), .client: host.with(port: 40000)]
        }

        func finished(_ id: OperationID) -> HyperOperationResult? {
            guard case .finished(let result) = events[id]?.last else { return nil }
            return result
        }

        /// The path of the connection, if packets came through in this direction.
        func isHeard(_ connection: ConnectionID) -> Bool {
            paths[connection].map { heard.contains($0.streamID) } ?? false
        }
    }

    private struct Event: Comparable {
        enum Kind {
            case datagram(from: SocketAddress, to: SocketAddress, inner: Translator?, bytes: [UInt8])
            case wake(member: Int)
            case bound(member: Int, SocketID)
            case stream(member: Int, HyperPath, left: Int)
            case relayed(member: Int, stream: UInt32)
            case paired(member: Int, ConnectionID, stream: UInt32)
        }

        let time: MonotonicTime
        let sequence: Int
        let kind: Kind

        static func < (left: Event, right: Event) -> Bool { (left.time, left.sequence) < (right.time, right.sequence) }
        static func == (left: Event, right: Event) -> Bool { left.sequence == right.sequence }
    }

    private(set) var members: [Member] = []
    private(set) var now = MonotonicTime(milliseconds: 1000)
    /// Drops a datagram if it says so.
    var drops: (SocketAddress, SocketAddress, [UInt8]) -> Bool = { _, _, _ in false }
    var latency: ClosedRange<Int64> = 5...30
    private(set) var trace: UInt64 = 0xcbf2_9ce4_8422_2325
    private(set) var sent: [(from: SocketAddress, to: SocketAddress, bytes: [UInt8], timeToLive: UInt8)] = []
    private var random: SecureRandom
    private var events: Heap<Event> = []
    private var sequence = 0
    private var routes: [SocketAddress: (member: Int, socket: SocketID)] = [:]
    private var translators: [SocketAddress: Translator] = [:]
    private var planned: [MonotonicTime?] = []
    private var nextPort: UInt16 = 50000
    /// The one blind relay: which ends wait for their other end, and where its own streams lead.
    static let relayAddress = SocketAddress(ipv4: 99, 0, 0, 1, port: 1000)
    var isRelayWorking = true
    private(set) var pairRequests: [BlindRelayRequest] = []
    private var waitingPairs: [Bytes32: (member: Int, request: BlindRelayRequest)] = [:]
    private var relayStreams: [UInt32: (member: Int, stream: UInt32)] = [:]
    private var nextRelayStream: UInt32 = 900_000

    init(seed: UInt8) { random = SecureRandom(seed: Bytes32(repeating: seed)) }

    func makeTranslator(_ publicHost: SocketAddress, _ mapping: Translator.Mapping) -> Translator {
        let translator = Translator(publicHost: publicHost.with(port: 0), mapping: mapping)
        translators[publicHost.with(port: 0)] = translator
        return translator
    }

    @discardableResult
    func add(
        _ rpc: RPCConfiguration, host: SocketAddress, translator: Translator? = nil, starts: Bool = true
    ) -> Member {
        let index = members.count
        var configuration = HyperConfiguration(rpc: rpc, ciphers: HyperTestCipher.ciphers)
        configuration.unixMillisecondsAtOrigin = 1_700_000_000_000
        configuration.usesBlindRelays = true
        let node = HyperDHTNode(configuration, random: random.fork(), now: now)
        node.setLocalAddresses([host])
        let member = Member(index: index, node: node, host: host, translator: translator)
        members.append(member)
        planned.append(nil)
        for (socket, address) in member.addresses { routes[address] = (index, socket) }
        if starts { perform(member) { $0.start(serverPort: 49737, now: $1) } }
        return member
    }

    /// Does something with a node and passes on what it wants.
    @discardableResult
    func perform<Value>(_ member: Member, _ body: (HyperDHTNode, MonotonicTime) -> Value) -> Value {
        let value = body(member.node, now)
        flush(member)
        return value
    }

    func connect(
        _ member: Member, to publicKey: PublicKey, as keyPair: KeyPair,
        configure: (inout ConnectOptions) -> Void = { _ in }
    ) -> ConnectionID {
        let stream = member.nextStreamID
        member.nextStreamID += 1
        var options = ConnectOptions(to: publicKey, as: keyPair, streamID: stream)
        configure(&options)
        let id = member.node.connect(options, now: now)
        member.pendingStreams[stream] = id
        flush(member)
        return id
    }

    func run(for duration: Duration, until isDone: () -> Bool = { false }) {
        let end = now + duration
        while let event = events.min, event.time <= end {
            if isDone() { return }
            events.removeMin()
            now = max(now, event.time)
            handle(event)
        }
        now = end
    }

    private func handle(_ event: Event) {
        switch event.kind {
        case .datagram(let from, let to, let inner, let bytes): deliver(bytes, from: from, to: to, inner: inner)
        case .wake(let index):
            guard planned[index] == event.time else { return }
            planned[index] = nil
            guard members[index].isAlive else { return }
            members[index].node.wake(now: now)
            flush(members[index])
        case .bound(let index, let socket):
            guard !members[index].releasedSockets.contains(socket) else { return }
            members[index].node.socketBound(socket, now: now)
            flush(members[index])
        case .relayed(let index, let stream):
            members[index].heard.insert(stream)
        case .paired(let index, let connection, let stream):
            members[index].node.relayPaired(
                connection, on: .client, address: HyperTestNetwork.relayAddress, remoteStreamID: stream, now: now)
            flush(members[index])
        case .stream(let index, let path, let left):
            guard members[index].isAlive, left > 0 else { return }
            if path.address == HyperTestNetwork.relayAddress {
                guard let end = relayStreams[path.remoteStreamID] else { return }
                push(.relayed(member: end.member, stream: end.stream), at: now + .milliseconds(30))
                push(.stream(member: index, path, left: left - 1), at: now + .milliseconds(200))
                return
            }
            var writer = ByteWriter()
            writer.writeByte(0xff)
            writer.writeUInt32(path.remoteStreamID)
            send(
                OutgoingDatagram(socket: path.socket, destination: path.address, bytes: writer.bytes),
                from: members[index])
            push(.stream(member: index, path, left: left - 1), at: now + .milliseconds(200))
        }
    }

    private func deliver(_ bytes: [UInt8], from: SocketAddress, to: SocketAddress, inner: Translator?) {
        var destination = to
        if inner == nil, let translator = translators[to.with(port: 0)] {
            guard let accepted = translator.accept(from: from, at: to) else { return }
            destination = accepted
        }
        guard let route = routes[destination], members[route.member].isAlive else { return }
        let member = members[route.member]
        if bytes.first == 0xff {
            var reader = ByteReader(bytes)
            _ = try? reader.readByte()
            guard let stream = try? reader.readUInt32() else { return }
            if let connection = member.pendingStreams[stream] {
                member.node.streamTraffic(connection, on: route.socket, from: from, now: now)
                flush(member)
            }
            if let connection = member.relayedStreams[stream] {
                member.node.streamTraffic(connection, on: route.socket, from: from, now: now)
                flush(member)
            }
            if member.pendingStreams[stream] == nil { member.heard.insert(stream) }
            return
        }
        var batch = DatagramBatch()
        batch.append(bytes, address: from)
        member.node.handle(batch, on: route.socket, now: now)
        flush(member)
    }

    private func flush(_ member: Member) {
        while let output = member.node.pollOutput() {
            switch output {
            case .send(let datagram): send(datagram, from: member)
            case .bindSocket(let socket):
                let address = member.host.with(port: nextPort)
                nextPort += 1
                member.addresses[socket] = address
                routes[address] = (member.index, socket)
                push(.bound(member: member.index, socket), at: now + member.bindDelay)
            case .releaseSocket(let socket):
                member.releasedSockets.insert(socket)
                if let address = member.addresses.removeValue(forKey: socket) { routes[address] = nil }
            case .resolveHost(let host): member.node.hostResolved(host, addresses: [], now: now)
            case .operation(let id, let event): member.events[id, default: []].append(event)
            case .handshake(let handshake):
                member.handshakes.append(handshake)
                if member.isWelcoming(handshake) {
                    let stream = member.nextStreamID
                    member.nextStreamID += 1
                    member.pendingStreams[stream] = handshake.connection
                    member.node.accept(handshake.connection, streamID: stream, now: now)
                } else {
                    member.node.refuse(handshake.connection, now: now)
                }
            case .connect(let path):
                precondition(member.paths[path.connection] == nil, "a connection gets one path")
                member.paths[path.connection] = path
                member.pendingStreams[path.streamID] = nil
                if path.isRelayed { member.relayedStreams[path.streamID] = path.connection }
                push(.stream(member: member.index, path, left: 20), at: now)
            case .connectionFailed(let connection, let error): member.failures[connection] = error
            case .announced(let server, let relays): member.announcements[server, default: []].append(relays)
            case .serverClosed(let server): member.closed.insert(server)
            case .event(let event): member.rpcEvents.append(event)
            }
        }
        while let output = member.node.pollRelayOutput() {
            switch output {
            case .pair(let request): pair(request, member)
            case .abandon(let connection): member.abandoned.insert(connection)
            case .upgrade(let path):
                precondition(member.upgrades[path.connection] == nil, "a connection is upgraded once")
                member.upgrades[path.connection] = path
                member.relayedStreams[path.streamID] = nil
                push(.stream(member: member.index, path, left: 20), at: now)
            }
        }
        guard let deadline = member.node.nextDeadline else { return }
        if let before = planned[member.index], before <= deadline { return }
        planned[member.index] = max(deadline, now)
        push(.wake(member: member.index), at: max(deadline, now))
    }

    private func pair(_ request: BlindRelayRequest, _ member: Member) {
        pairRequests.append(request)
        guard isRelayWorking else { return }
        guard let other = waitingPairs.removeValue(forKey: request.token) else {
            waitingPairs[request.token] = (member.index, request)
            return
        }
        guard other.request.isInitiator != request.isInitiator else { return }
        let streams = (nextRelayStream, nextRelayStream + 1)
        nextRelayStream += 2
        // What the relay made for one end leads to the other.
        relayStreams[streams.0] = (other.member, other.request.streamID)
        relayStreams[streams.1] = (member.index, request.streamID)
        push(.paired(member: member.index, request.connection, stream: streams.0), at: now + .milliseconds(300))
        push(
            .paired(member: other.member, other.request.connection, stream: streams.1), at: now + .milliseconds(320))
    }

    private func send(_ datagram: OutgoingDatagram, from member: Member) {
        guard let local = member.addresses[datagram.socket] else { return }
        for byte in datagram.bytes { trace = (trace ^ UInt64(byte)) &* 0x100_0000_01b3 }
        var source = local
        var inner: Translator?
        if let translator = member.translator {
            if AddressClass(datagram.destination) == .privateUse {
                // Inner networks are apart even if their numbers are alike.
                guard let route = routes[datagram.destination], members[route.member].translator === translator else {
                    return
                }
                inner = translator
            } else {
                source = translator.translate(local, to: datagram.destination, &random)
            }
        }
        sent.append((source, datagram.destination, datagram.bytes, datagram.timeToLive))
        // Five hops end between the two networks.
        guard datagram.timeToLive == 0 || datagram.timeToLive > 5 else { return }
        guard !drops(source, datagram.destination, datagram.bytes) else { return }
        let delay = Duration.milliseconds(Int64.random(in: latency, using: &random))
        push(
            .datagram(from: source, to: datagram.destination, inner: inner, bytes: datagram.bytes), at: now + delay)
    }

    private func push(_ kind: Event.Kind, at time: MonotonicTime) {
        events.insert(Event(time: time, sequence: sequence, kind: kind))
        sequence += 1
    }
}

extension HyperTestNetwork {
    static let entry = SocketAddress(ipv4: 80, 1, 0, 0, port: 49737)

    /// A public network of `count` persistent nodes.
    static func persistent(count: Int, seed: UInt8) -> HyperTestNetwork {
        let network = HyperTestNetwork(seed: seed)
        network.add(.bootstrapper(address: entry), host: entry)
        for index in 1..<count {
            var configuration = peerConfiguration(isFirewalled: false)
            configuration.mode = .persistent
            network.add(
                configuration, host: SocketAddress(ipv4: 80, 1, UInt8(index >> 8), UInt8(index & 255), port: 0))
            network.run(for: .milliseconds(300))
        }
        network.run(for: .seconds(10))
        return network
    }

    static func peerConfiguration(isFirewalled: Bool = true) -> RPCConfiguration {
        var configuration = RPCConfiguration()
        configuration.bootstrapNodes = [RPCBootstrapNode(address: entry)]
        configuration.isFirewalled = isFirewalled
        return configuration
    }

    /// A peer behind its own translator, or behind `shared`.
    func addPeer(_ number: UInt8, _ mapping: Translator.Mapping, shared: Translator? = nil) -> Member {
        let translator = shared ?? makeTranslator(SocketAddress(ipv4: 90, 0, 0, number, port: 0), mapping)
        let member = add(
            HyperTestNetwork.peerConfiguration(), host: SocketAddress(ipv4: 192, 168, 0, number, port: 0),
            translator: translator)
        run(for: .seconds(8))
        return member
    }

    /// A peer that anybody can reach.
    func addOpenPeer(_ number: UInt8) -> Member {
        let member = add(
            HyperTestNetwork.peerConfiguration(), host: SocketAddress(ipv4: 70, 0, 0, number, port: 0))
        run(for: .seconds(8))
        return member
    }
}
