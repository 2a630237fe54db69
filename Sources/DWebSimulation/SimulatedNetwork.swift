public import DWebBase
public import DWebPorts
import HeapModule
import Synchronization

/// A network of hosts on one virtual clock, whose links delay, lose, repeat and reorder by a seed.
///
/// All methods are called on the loop, or before it runs.
public final class SimulatedNetwork: Sendable {
    private struct Flight: Comparable {
        let arrival: MonotonicTime
        let sequence: UInt64
        let source: SocketAddress
        let destination: SocketAddress
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

    private struct State {
        var random: SimulationRandom
        var sockets: [SocketAddress: SimulatedSocket] = [:]
        var conditions = LinkConditions()
        var links: [Link: LinkConditions] = [:]
        var busyUntil: [Link: MonotonicTime] = [:]
        var flights = Heap<Flight>()
        var nextSequence: UInt64 = 0
        var nextPort: [SocketAddress: UInt16] = [:]
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
        state = Mutex(State(random: SimulationRandom(seed: seed, stream: "network")))
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

    /// The network as a host with this address sees it.
    public func host(_ address: SocketAddress) -> SimulatedHost {
        SimulatedHost(network: self, address: address.with(port: 0))
    }

    func bind(
        _ options: DatagramSocketOptions, host: SocketAddress, receive: @escaping @Sendable (DatagramBatch) -> Void
    ) throws(PortError) -> SimulatedSocket {
        let result: Result<SimulatedSocket, PortError> = state.withLock { state in
            var address = host.with(port: options.address.port)
            if address.port == 0 {
                var port = state.nextPort[host] ?? 49_152
                while state.sockets[host.with(port: port)] != nil { port = port == .max ? 49_152 : port + 1 }
                state.nextPort[host] = port == .max ? 49_152 : port + 1
                address.port = port
            }
            guard state.sockets[address] == nil else {
                return .failure(PortError(.addressInUse, "The port \(address.port) of \(address.host) is in use"))
            }
            let socket = SimulatedSocket(network: self, localAddress: address, receive: receive)
            state.sockets[address] = socket
            return .success(socket)
        }
        return try result.get()
    }

    func unbind(_ socket: SimulatedSocket) {
        state.withLock { state in
            if state.sockets[socket.localAddress] === socket { state.sockets[socket.localAddress] = nil }
        }
    }

    func send(_ batch: DatagramBatch, from source: SocketAddress) {
        state.withLock { state in
            for entry in batch.entries { launch(batch.payload(of: entry), from: source, to: entry.address, &state) }
        }
        arm()
    }

    private func launch(
        _ payload: [UInt8], from source: SocketAddress, to destination: SocketAddress, _ state: inout State
    ) {
        state.sentCount += 1
        let isLocal = source.hasSameHost(as: destination)
        let link = Link(source: source.with(port: 0), destination: destination.with(port: 0))
        var conditions = state.links[link] ?? state.conditions
        if isLocal { conditions = LinkConditions(latency: .microseconds(20)) }
        conditions.payloadByteLimit = isLocal ? 65_507 : conditions.payloadByteLimit
        note(payload, source, destination, &state)
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
                    arrival: arrival, sequence: state.nextSequence, source: source, destination: destination,
                    payload: payload))
            state.nextSequence += 1
        }
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
                guard let socket = state.sockets[flight.destination] else {
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
public struct SimulatedHost: NetworkProvider {
    private let network: SimulatedNetwork
    /// The host's only address, with port 0.
    public let address: SocketAddress

    init(network: SimulatedNetwork, address: SocketAddress) {
        self.network = network
        self.address = address
    }

    /// Binds a UDP socket; see ``NetworkProvider/bind(_:receive:)``.
    public func bind(
        _ options: DatagramSocketOptions, receive: @escaping @Sendable (DatagramBatch) -> Void
    ) async throws(PortError) -> any DatagramSocket {
        try network.bind(options, host: address, receive: receive)
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
    let localAddress: SocketAddress
    let receive: @Sendable (DatagramBatch) -> Void

    init(network: SimulatedNetwork, localAddress: SocketAddress, receive: @escaping @Sendable (DatagramBatch) -> Void) {
        self.network = network
        self.localAddress = localAddress
        self.receive = receive
    }

    func send(_ batch: DatagramBatch) { network.send(batch, from: localAddress) }

    func close() { network.unbind(self) }
}
