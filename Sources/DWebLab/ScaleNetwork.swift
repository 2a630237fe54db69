import DWebBase
import DWebCrypto
import DWebDHTCore
import HeapModule

/// Many DHT nodes joined by a network in memory on virtual time: their machines are driven directly, so that a hundred
/// thousand fit into one process.
final class ScaleNetwork {
    struct Member {
        let node: HyperDHTNode
        var isAlive = true
        /// On which side of a partition it is.
        var side: UInt8 = 0
        var plannedWake: MonotonicTime?
        var sentCount = 0
    }

    private struct Event: Comparable {
        enum Kind {
            case datagram(from: Int, [UInt8])
            case wake
        }

        let time: Int64
        let sequence: Int
        let member: Int32
        let kind: Kind

        static func < (left: Event, right: Event) -> Bool {
            left.time < right.time || left.time == right.time && left.sequence < right.sequence
        }

        static func == (left: Event, right: Event) -> Bool { left.sequence == right.sequence }
    }

    private static let port: UInt16 = 49_737

    private(set) var members: [Member] = []
    private(set) var now = MonotonicTime(milliseconds: 1_000)
    private(set) var datagramCount = 0
    /// Whether packets between the sides of members are lost.
    var isPartitioned = false
    private var random: SecureRandom
    private var events: Heap<Event> = []
    private var sequence = 0
    /// Takes what operations report.
    var onEvent: ((Int, OperationID, HyperOperationEvent) -> Void)?
    /// Sees every datagram that reaches a member, before the member does.
    var onDatagram: ((Int, Int, [UInt8]) -> Void)?

    init(seed: UInt64) {
        var word = seed
        random = SecureRandom(
            seed: Bytes32(
                (0..<32).map { index in
                    word = word &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    return UInt8(truncatingIfNeeded: word >> 33) ^ UInt8(index)
                }) ?? .zero)
    }

    static func address(of index: Int) -> SocketAddress {
        SocketAddress(
            ipv4: 10, UInt8(truncatingIfNeeded: index >> 16), UInt8(truncatingIfNeeded: index >> 8),
            UInt8(truncatingIfNeeded: index), port: port)
    }

    static func index(of address: SocketAddress) -> Int { Int(address.ipv4Number & 0xff_ffff) }

    /// Adds a persistent node that begins with the first ones.
    func add() {
        let index = members.count
        var rpc = RPCConfiguration()
        if index == 0 {
            rpc = .bootstrapper(address: ScaleNetwork.address(of: 0))
        } else {
            rpc.mode = .persistent
            rpc.isFirewalled = false
            rpc.bootstrapNodes = (0..<min(3, index)).map { RPCBootstrapNode(address: ScaleNetwork.address(of: $0)) }
        }
        let node = HyperDHTNode(
            HyperConfiguration(rpc: rpc, ciphers: .none), random: random.fork(), now: now)
        members.append(Member(node: node))
        node.start(serverPort: ScaleNetwork.port, now: now)
        flush(index)
    }

    /// Takes members away without a word.
    func kill(_ indices: some Sequence<Int>) { for index in indices { members[index].isAlive = false } }

    func split(_ side: (Int) -> UInt8) { for index in members.indices { members[index].side = side(index) } }

    /// A random member that lives.
    func randomMember() -> Int {
        while true {
            let index = Int.random(in: 0..<members.count, using: &random)
            if members[index].isAlive { return index }
        }
    }

    func randomKey() -> Bytes32 { random.bytes32() }

    /// Does something with a node and passes on what it wants.
    @discardableResult
    func perform<Value>(_ index: Int, _ body: (HyperDHTNode, MonotonicTime) -> Value) -> Value {
        let value = body(members[index].node, now)
        flush(index)
        return value
    }

    func run(for duration: Duration, until isDone: () -> Bool = { false }) {
        let end = now + duration
        while let event = events.min, event.time <= end.nanoseconds {
            if isDone() { return }
            events.removeMin()
            now = max(now, MonotonicTime(nanoseconds: event.time))
            let index = Int(event.member)
            guard members[index].isAlive else { continue }
            switch event.kind {
            case .wake:
                guard members[index].plannedWake?.nanoseconds == event.time else { continue }
                members[index].plannedWake = nil
                members[index].node.wake(now: now)
            case .datagram(let source, let bytes):
                onDatagram?(index, source, bytes)
                members[index].node.handle(
                    ByteReader(bytes), from: ScaleNetwork.address(of: source), on: .server, now: now)
            }
            flush(index)
        }
        now = end
    }

    private func flush(_ index: Int) {
        let node = members[index].node
        while let output = node.pollOutput() {
            switch output {
            case .send(let datagram): send(datagram, from: index)
            case .operation(let id, let event): onEvent?(index, id, event)
            case .resolveHost(let host): node.hostResolved(host, addresses: [], now: now)
            case .bindSocket, .releaseSocket, .handshake, .connect, .connectionFailed, .announced, .serverClosed,
                .event:
                break
            }
        }
        guard let deadline = node.nextDeadline else { return }
        if let planned = members[index].plannedWake, planned <= deadline { return }
        let time = max(deadline, now)
        members[index].plannedWake = time
        push(time, index, .wake)
    }

    private func send(_ datagram: OutgoingDatagram, from source: Int) {
        let destination = ScaleNetwork.index(of: datagram.destination)
        // Answers to others are not what a search costs.
        if datagram.bytes.first == RPCRequest.typeByte { members[source].sentCount += 1 }
        datagramCount += 1
        guard destination < members.count, members[destination].isAlive,
            !isPartitioned || members[source].side == members[destination].side
        else { return }
        // Anywhere in the world: 10 to 120 ms one way.
        let delay = Duration.microseconds(Int64.random(in: 10_000...120_000, using: &random))
        push(now + delay, destination, .datagram(from: source, datagram.bytes))
    }

    private func push(_ time: MonotonicTime, _ member: Int, _ kind: Event.Kind) {
        events.insert(Event(time: time.nanoseconds, sequence: sequence, member: Int32(member), kind: kind))
        sequence += 1
    }
}

extension HandshakeCiphers {
    /// No handshake at all: for nodes that make no connections.
    fileprivate static let none = HandshakeCiphers(
        initiator: { _, _, _ in NoHandshake() }, responder: { _, _ in NoHandshake() })
}

private struct NoHandshake: HandshakeInitiator, HandshakeResponder {
    mutating func makeMessage1(payload: [UInt8]) throws(HandshakeCipherError) -> [UInt8] {
        throw HandshakeCipherError()
    }

    mutating func readMessage2(
        _ message: [UInt8]
    ) throws(HandshakeCipherError) -> (payload: [UInt8], keys: HandshakeKeys) { throw HandshakeCipherError() }

    mutating func readMessage1(
        _ message: [UInt8]
    ) throws(HandshakeCipherError) -> (payload: [UInt8], remotePublicKey: PublicKey) { throw HandshakeCipherError() }

    mutating func makeMessage2(
        payload: [UInt8]
    ) throws(HandshakeCipherError) -> (message: [UInt8], keys: HandshakeKeys) { throw HandshakeCipherError() }
}
