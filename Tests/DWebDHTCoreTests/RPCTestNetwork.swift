import DWebBase
import DWebCrypto
import HeapModule

@testable import DWebDHTCore

/// Nodes joined by a network in memory with virtual time, latency and loss; every run follows from its seed.
final class RPCTestNetwork {
    /// What lies between a node and the network.
    enum Access {
        /// Every datagram arrives, and nothing is translated.
        case open
        /// Only answers arrive: a socket hears from addresses that it sent to.
        case filtered
    }

    final class Member {
        let node: RPCNode
        let serverAddress: SocketAddress
        let clientAddress: SocketAddress
        var access: Access
        var isAlive = true
        var contacted: Set<[SocketAddress]> = []
        var requestResults: [RequestID: Result<RPCReply, RPCFailure>] = [:]
        var queryReplies: [QueryID: [RPCReply]] = [:]
        var queryResults: [QueryID: RPCQueryResult] = [:]
        var events: [RPCEvent] = []
        var commits: [(QueryID, RPCReply)] = []
        /// Answers requests of peers; declines if nil.
        var answer: ((RPCNode, IncomingRequest) -> Void)?

        init(node: RPCNode, serverAddress: SocketAddress, clientAddress: SocketAddress, access: Access) {
            self.node = node
            self.serverAddress = serverAddress
            self.clientAddress = clientAddress
            self.access = access
        }

        func address(of socket: SocketID) -> SocketAddress { socket == .server ? serverAddress : clientAddress }
    }

    private struct Event: Comparable {
        enum Kind {
            case datagram(from: SocketAddress, to: SocketAddress, bytes: [UInt8])
            case wake(member: Int)
        }

        let time: MonotonicTime
        let sequence: Int
        let kind: Kind

        static func < (left: Event, right: Event) -> Bool {
            (left.time, left.sequence) < (right.time, right.sequence)
        }

        static func == (left: Event, right: Event) -> Bool { left.sequence == right.sequence }
    }

    private(set) var members: [Member] = []
    private(set) var now = MonotonicTime(milliseconds: 1000)
    var lossShare = 0.0
    var latency: ClosedRange<Int64> = 5...50
    private(set) var datagramCount = 0
    private(set) var largestDatagram = 0
    /// A digest of everything that was sent, for comparing runs.
    private(set) var trace: UInt64 = 0xcbf2_9ce4_8422_2325
    private var random: SecureRandom
    private var events: Heap<Event> = []
    private var sequence = 0
    private var routes: [SocketAddress: (member: Int, socket: SocketID)] = [:]
    private var planned: [MonotonicTime?] = []

    init(seed: UInt8) { random = SecureRandom(seed: Bytes32(repeating: seed)) }

    @discardableResult
    func add(
        _ configuration: RPCConfiguration, access: Access = .open, host: SocketAddress? = nil, starts: Bool = true
    ) -> Member {
        let index = members.count
        let server =
            host ?? SocketAddress(ipv4: 10, 1, UInt8(index >> 8), UInt8(index & 255), port: 49737)
        let client = server.with(port: 40000)
        let member = Member(
            node: RPCNode(configuration, random: random.fork(), now: now), serverAddress: server,
            clientAddress: client, access: access)
        members.append(member)
        planned.append(nil)
        routes[server] = (index, .server)
        routes[client] = (index, .client)
        if starts { start(member) }
        return member
    }

    func start(_ member: Member) {
        member.node.start(serverPort: member.serverAddress.port, now: now)
        flush(member)
    }

    /// Does something with a node and passes on what it wants.
    @discardableResult
    func perform<Value>(_ member: Member, _ body: (RPCNode, MonotonicTime) -> Value) -> Value {
        let value = body(member.node, now)
        flush(member)
        return value
    }

    func run(for duration: Duration) { run(until: now + duration) }

    func run(until end: MonotonicTime, stopping: () -> Bool = { false }) {
        while let event = events.min, event.time <= end {
            if stopping() { return }
            events.removeMin()
            now = max(now, event.time)
            switch event.kind {
            case .datagram(let from, let to, let bytes): deliver(bytes, from: from, to: to)
            case .wake(let index):
                guard planned[index] == event.time else { continue }
                planned[index] = nil
                guard members[index].isAlive else { continue }
                members[index].node.wake(now: now)
                flush(members[index])
            }
        }
        now = end
    }

    /// Lets time pass without anybody noticing, as when a machine sleeps.
    func jump(_ duration: Duration) { now = now + duration }

    private func deliver(_ bytes: [UInt8], from: SocketAddress, to: SocketAddress) {
        guard let route = routes[to], members[route.member].isAlive else { return }
        let member = members[route.member]
        if member.access == .filtered, !member.contacted.contains([to, from]) { return }
        var batch = DatagramBatch()
        batch.append(bytes, address: from)
        member.node.handle(batch, on: route.socket, now: now)
        flush(member)
    }

    private func flush(_ member: Member) {
        while let output = member.node.pollOutput() {
            switch output {
            case .send(let datagram): send(datagram, from: member)
            case .requestFinished(let id, let result): member.requestResults[id] = result
            case .queryReply(let id, let reply): member.queryReplies[id, default: []].append(reply)
            case .queryFinished(let id, let result): member.queryResults[id] = result
            case .commitNeeded(let id, let reply): member.commits.append((id, reply))
            case .request(let request):
                if let answer = member.answer { answer(member.node, request) } else { member.node.decline(request) }
            case .resolveHost(let host): member.node.hostResolved(host, addresses: [], now: now)
            case .event(let event): member.events.append(event)
            }
        }
        let index = routes[member.serverAddress]!.member
        guard let deadline = member.node.nextDeadline else { return }
        if let before = planned[index], before <= deadline { return }
        planned[index] = deadline
        push(.wake(member: index), at: max(deadline, now))
        planned[index] = max(deadline, now)
    }

    private func send(_ datagram: OutgoingDatagram, from member: Member) {
        let source = member.address(of: datagram.socket)
        datagramCount += 1
        largestDatagram = max(largestDatagram, datagram.bytes.count)
        for byte in datagram.bytes { trace = (trace ^ UInt64(byte)) &* 0x100_0000_01b3 }
        if member.access == .filtered { member.contacted.insert([source, datagram.destination]) }
        guard Double.random(in: 0..<1, using: &random) >= lossShare else { return }
        let delay = Duration.milliseconds(Int64.random(in: latency, using: &random))
        push(.datagram(from: source, to: datagram.destination, bytes: datagram.bytes), at: now + delay)
    }

    private func push(_ kind: Event.Kind, at time: MonotonicTime) {
        events.insert(Event(time: time, sequence: sequence, kind: kind))
        sequence += 1
    }
}

extension RPCTestNetwork {
    /// A network of `count` reachable persistent nodes, the first of which is the entry point of the others.
    static func persistent(
        count: Int, seed: UInt8, loss: Double = 0, spacing: Duration = .milliseconds(200),
        configure: (inout RPCConfiguration) -> Void = { _ in }
    ) -> RPCTestNetwork {
        let network = RPCTestNetwork(seed: seed)
        network.lossShare = loss
        let entry = SocketAddress(ipv4: 10, 1, 0, 0, port: 49737)
        network.add(.bootstrapper(address: entry))
        for _ in 1..<count {
            var configuration = RPCConfiguration()
            configuration.bootstrapNodes = [RPCBootstrapNode(address: entry)]
            configuration.mode = .persistent
            configuration.isFirewalled = false
            configure(&configuration)
            network.add(configuration)
            network.run(for: spacing)
        }
        network.run(for: .seconds(20))
        return network
    }

    /// The living persistent nodes closest to `target`, closest first.
    func trueClosest(to target: Bytes32, count: Int = RPCConstants.k) -> [Bytes32] {
        let ids = members.filter(\.isAlive).compactMap { $0.node.id }
        return Array(ids.sorted { $0 ^ target < $1 ^ target }.prefix(count))
    }
}
