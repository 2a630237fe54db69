public import DWebBase
public import DWebPorts
import HeapModule
import Synchronization

/// A network of hosts on one virtual clock, whose links delay, lose, repeat and reorder by a seed, and whose hosts may
/// sit behind address translators.
///
/// Hosts are on the public network, or behind a ``NATBox``, which may itself be behind another one. Hosts behind one box
/// reach each other directly; a packet that leaves passes each box on its way out and on its way in. The
/// ``conditions`` of a link apply once, between the two ends. Packets with a time to live use one hop per box and
/// ``coreHopCount`` on the public network.
///
/// All methods are called on the loop, or before it runs.
public final class SimulatedNetwork: Sendable {
    private struct Flight: Comparable {
        let arrival: MonotonicTime
        let sequence: UInt64
        let source: SocketAddress
        let destination: SocketAddress
        /// The network it travels in: that of a box, or the public one.
        let realm: Int
        let payload: [UInt8]

        static func < (left: Flight, right: Flight) -> Bool {
            (left.arrival, left.sequence) < (right.arrival, right.sequence)
        }

        static func == (left: Flight, right: Flight) -> Bool { left.sequence == right.sequence }
    }

    private struct Link: Hashable {
        let source: SocketAddress
        let destination: SocketAddress
    }

    /// An address in one of the networks: inner ones may use the same numbers.
    struct Place: Hashable {
        let realm: Int
        let address: SocketAddress
    }

    private struct State {
        var random: SimulationRandom
        var natRandom: SimulationRandom
        var sockets: [Place: SimulatedSocket] = [:]
        /// Sockets per host, to tell a host that is there from one that is not.
        var hosts: [Place: Int] = [:]
        var boxes: [NATBox] = []
        var boxesByAddress: [Place: NATBox] = [:]
        var coreHopCount = 8
        var conditions = LinkConditions()
        var links: [Link: LinkConditions] = [:]
        var busyUntil: [Link: MonotonicTime] = [:]
        var flights = Heap<Flight>()
        var nextSequence: UInt64 = 0
        var nextPort: [Place: UInt16] = [:]
        var armedFor: MonotonicTime?
        var sentCount = 0
        var droppedCount = 0
        var traceHash: UInt64 = 0xcbf2_9ce4_8422_2325
    }

    private let loop: SimulatedLoop
    private let state: Mutex<State>

    /// A network without hosts.
    public init(loop: SimulatedLoop, seed: UInt64) {
        self.loop = loop
        state = Mutex(
            State(
                random: SimulationRandom(seed: seed, stream: "network"),
                natRandom: SimulationRandom(seed: seed, stream: "translators")))
    }

    /// The conditions of every link without its own.
    public var conditions: LinkConditions {
        get { state.withLock { $0.conditions } }
        set { state.withLock { $0.conditions = newValue } }
    }

    /// Sets the conditions from one host to another; nil returns to the default.
    public func setConditions(_ conditions: LinkConditions?, from source: SocketAddress, to destination: SocketAddress)
    {
        state.withLock {
            $0.links[Link(source: source.with(port: 0), destination: destination.with(port: 0))] = conditions
        }
    }

    /// The number of datagrams handed to the network, and of those it dropped.
    public var counts: (sent: Int, dropped: Int) { state.withLock { ($0.sentCount, $0.droppedCount) } }

    /// A hash over every datagram and its time: equal for equal runs.
    public var traceHash: UInt64 { state.withLock { $0.traceHash } }

    /// Routers between two hosts of the public network: packets whose time to live is not larger end there.
    public var coreHopCount: Int {
        get { state.withLock { $0.coreHopCount } }
        set { state.withLock { $0.coreHopCount = newValue } }
    }

    /// Adds a translator whose outer side has `address`: on the public network, or in that of `outer`.
    public func addNAT(_ behavior: NATBehavior, at address: SocketAddress, behind outer: NATBox? = nil) -> NATBox {
        state.withLock { state in
            let box = NATBox(
                behavior, address: address.with(port: 0), outer: outer, realm: state.boxes.count + 1,
                random: SimulationRandom(seed: state.natRandom.next()))
            state.boxes.append(box)
            state.boxesByAddress[Place(realm: outer?.realm ?? 0, address: box.address)] = box
            return box
        }
    }

    /// The network as a host with this address sees it: on the public network, or behind `box`.
    public func host(_ address: SocketAddress, behind box: NATBox? = nil) -> SimulatedHost {
        SimulatedHost(network: self, address: address.with(port: 0), box: box)
    }

    func bind(
        _ options: DatagramSocketOptions, host: SimulatedHost, receive: @escaping @Sendable (DatagramBatch) -> Void
    ) throws(PortError) -> SimulatedSocket {
        let (hostAddress, box) = host.location
        let result: Result<SimulatedSocket, PortError> = state.withLock { state in
            let home = Place(realm: box?.realm ?? 0, address: hostAddress)
            func place(_ port: UInt16) -> Place { Place(realm: home.realm, address: hostAddress.with(port: port)) }
            var port = options.address.port
            if port == 0 {
                port = state.nextPort[home] ?? 49_152
                while state.sockets[place(port)] != nil { port = port == .max ? 49_152 : port + 1 }
                state.nextPort[home] = port == .max ? 49_152 : port + 1
            }
            guard state.sockets[place(port)] == nil else {
                return .failure(PortError(.addressInUse, "The port \(port) of \(hostAddress.host) is in use"))
            }
            let socket = SimulatedSocket(network: self, host: host, port: port, receive: receive)
            state.sockets[place(port)] = socket
            state.hosts[home, default: 0] += 1
            return .success(socket)
        }
        return try result.get()
    }

    func unbind(_ socket: SimulatedSocket) {
        state.withLock { unbind(socket, &$0) }
    }

    private func unbind(_ socket: SimulatedSocket, _ state: inout State) {
        let (address, box) = socket.host.location
        let home = Place(realm: box?.realm ?? 0, address: address)
        let place = Place(realm: home.realm, address: address.with(port: socket.port))
        guard state.sockets[place] === socket else { return }
        state.sockets[place] = nil
        let count = (state.hosts[home] ?? 1) - 1
        state.hosts[home] = count > 0 ? count : nil
    }

    /// Takes every socket of a host along to another place; `move` changes what the host says of itself.
    func relocate(_ host: SimulatedHost, _ move: () -> Void) {
        state.withLock { state in
            let sockets = state.sockets.values.filter { $0.host === host }
            for socket in sockets { unbind(socket, &state) }
            move()
            let (address, box) = host.location
            let home = Place(realm: box?.realm ?? 0, address: address)
            for socket in sockets {
                state.sockets[Place(realm: home.realm, address: address.with(port: socket.port))] = socket
                state.hosts[home, default: 0] += 1
            }
        }
    }

    func send(_ batch: DatagramBatch, from socket: SimulatedSocket) {
        state.withLock { state in
            for entry in batch.entries {
                launch(
                    batch.payload(of: entry), from: socket, to: entry.address, timeToLive: Int(entry.timeToLive),
                    &state)
            }
        }
        arm()
    }

    private func launch(
        _ payload: [UInt8], from socket: SimulatedSocket, to destination: SocketAddress, timeToLive: Int,
        _ state: inout State
    ) {
        state.sentCount += 1
        let local = socket.localAddress
        note(payload, local, destination, &state)
        let isOwn = local.hasSameHost(as: destination)
        guard let route = route(from: socket, to: destination, timeToLive: timeToLive, &state) else {
            state.droppedCount += 1
            return
        }
        let link = Link(source: local.with(port: 0), destination: destination.with(port: 0))
        var conditions = state.links[link] ?? state.conditions
        if isOwn {
            conditions = LinkConditions(latency: .microseconds(20))
            conditions.payloadByteLimit = 65_507
        } else if route.isInner, state.links[link] == nil {
            conditions = LinkConditions(latency: .microseconds(300))
        }
        if conditions.isPartitioned || payload.count > conditions.payloadByteLimit
            || state.random.chance(conditions.loss)
        {
            state.droppedCount += 1
            return
        }
        var departure = loop.now
        if let byteRate = conditions.byteRate {
            let free = max(state.busyUntil[link] ?? departure, departure)
            let waitingBytes = (free - departure).seconds * byteRate
            guard waitingBytes + Double(payload.count) <= Double(conditions.queueByteLimit) else {
                state.droppedCount += 1
                return
            }
            departure = free + .nanoseconds(Int64(Double(payload.count) / byteRate * 1e9))
            state.busyUntil[link] = departure
        }
        let copies = state.random.chance(conditions.duplication) ? 2 : 1
        for _ in 0..<copies {
            var arrival = departure + conditions.latency
            if conditions.jitter > .zero {
                arrival =
                    arrival
                    + .nanoseconds(
                        Int64.random(in: 0...conditions.jitter.wholeNanoseconds, using: &state.random))
            }
            if state.random.chance(conditions.reordering) { arrival = arrival + conditions.reorderDelay }
            state.flights.insert(
                Flight(
                    arrival: arrival, sequence: state.nextSequence, source: route.source, destination: destination,
                    realm: route.realm, payload: payload))
            state.nextSequence += 1
        }
    }

    private struct Route {
        var realm: Int
        var source: SocketAddress
        /// Whether it stays within the network that it was sent in, behind a box.
        var isInner: Bool
    }

    /// Takes a packet outwards until its destination is in reach; nil if it ends before.
    private func route(
        from socket: SimulatedSocket, to destination: SocketAddress, timeToLive: Int, _ state: inout State
    ) -> Route? {
        var route = Route(realm: socket.box?.realm ?? 0, source: socket.localAddress, isInner: socket.box != nil)
        var box = socket.box
        var hopCount = 0
        let host = destination.with(port: 0)
        while true {
            let place = Place(realm: route.realm, address: host)
            if state.hosts[place] != nil || state.boxesByAddress[place] != nil { break }
            guard let passed = box else { break }
            hopCount += 1
            guard timeToLive == 0 || hopCount <= timeToLive,
                let source = passed.translate(route.source, to: destination, now: loop.now)
            else { return nil }
            if passed.address == host, !passed.behavior.isHairpinning { return nil }
            route = Route(realm: passed.outer?.realm ?? 0, source: source, isInner: false)
            box = passed.outer
        }
        if route.realm == 0, !socket.localAddress.hasSameHost(as: destination) { hopCount += state.coreHopCount }
        return timeToLive == 0 || hopCount <= timeToLive ? route : nil
    }

    /// The socket that a packet reaches once it is let in by every box on its way; nil if it is not.
    private func target(of flight: Flight, _ state: inout State) -> SimulatedSocket? {
        var place = Place(realm: flight.realm, address: flight.destination)
        while let box = state.boxesByAddress[Place(realm: place.realm, address: place.address.with(port: 0))] {
            guard let inner = box.admit(from: flight.source, port: place.address.port, now: loop.now) else {
                return nil
            }
            place = Place(realm: box.realm, address: inner)
        }
        return state.sockets[place]
    }

    private func note(_ payload: [UInt8], _ source: SocketAddress, _ destination: SocketAddress, _ state: inout State) {
        func mix(_ value: UInt64) { state.traceHash = (state.traceHash ^ value) &* 0x100_0000_01b3 }
        mix(UInt64(bitPattern: loop.now.nanoseconds))
        mix(UInt64(source.ipv4Number) << 16 | UInt64(source.port))
        mix(UInt64(destination.ipv4Number) << 16 | UInt64(destination.port))
        for byte in payload { mix(UInt64(byte)) }
    }

    private func arm() {
        let deadline: MonotonicTime? = state.withLock { state in
            guard let first = state.flights.min else { return nil }
            if let armed = state.armedFor, armed <= first.arrival { return nil }
            state.armedFor = first.arrival
            return first.arrival
        }
        guard let deadline else { return }
        _ = loop.schedule(at: deadline) { [self] in deliver() }
    }

    private func deliver() {
        var deliveries: [(SimulatedSocket, DatagramBatch)] = []
        state.withLock { state in
            state.armedFor = nil
            while let flight = state.flights.min, flight.arrival <= loop.now {
                state.flights.removeMin()
                guard let socket = target(of: flight, &state) else {
                    state.droppedCount += 1
                    continue
                }
                if deliveries.last?.0 !== socket { deliveries.append((socket, DatagramBatch())) }
                deliveries[deliveries.count - 1].1.append(flight.payload, address: flight.source)
            }
        }
        for (socket, batch) in deliveries { socket.receive(batch) }
        arm()
    }
}

/// One host of a simulated network: the provider of its sockets.
public final class SimulatedHost: NetworkProvider {
    private let network: SimulatedNetwork
    private let state: Mutex<(address: SocketAddress, box: NATBox?)>

    init(network: SimulatedNetwork, address: SocketAddress, box: NATBox?) {
        self.network = network
        state = Mutex((address, box))
    }

    /// The host's only address, with port 0.
    public var address: SocketAddress { location.address }

    var location: (address: SocketAddress, box: NATBox?) { state.withLock { $0 } }

    /// Moves the host to another network, as a laptop that leaves home: its sockets stay open, as those that are bound to
    /// all addresses, and send from the new one.
    public func move(to address: SocketAddress, behind box: NATBox? = nil) {
        network.relocate(self) { state.withLock { $0 = (address.with(port: 0), box) } }
    }

    /// Binds a UDP socket; see ``NetworkProvider/bind(_:receive:)``.
    public func bind(
        _ options: DatagramSocketOptions, receive: @escaping @Sendable (DatagramBatch) -> Void
    ) async throws(PortError) -> any DatagramSocket {
        try network.bind(options, host: self, receive: receive)
    }

    /// The addresses of this host's interfaces that are up.
    public func interfaceAddresses() -> [InterfaceAddress] {
        [InterfaceAddress(name: "sim0", address: address, isLoopback: false)]
    }

    /// The IPv4 addresses of a host name; see ``NetworkProvider/resolve(host:)``.
    public func resolve(host: String) async throws(PortError) -> [SocketAddress] {
        guard let address = SocketAddress(host: host, port: 0) else {
            throw PortError(.notFound, "A simulated network has no name \(host)")
        }
        return [address]
    }
}

/// A socket of a simulated host.
final class SimulatedSocket: DatagramSocket {
    private let network: SimulatedNetwork
    let host: SimulatedHost
    let port: UInt16
    let receive: @Sendable (DatagramBatch) -> Void

    init(
        network: SimulatedNetwork, host: SimulatedHost, port: UInt16,
        receive: @escaping @Sendable (DatagramBatch) -> Void
    ) {
        self.network = network
        self.host = host
        self.port = port
        self.receive = receive
    }

    var localAddress: SocketAddress { host.address.with(port: port) }
    var box: NATBox? { host.location.box }

    func send(_ batch: DatagramBatch) { network.send(batch, from: self) }

    func close() { network.unbind(self) }
}
