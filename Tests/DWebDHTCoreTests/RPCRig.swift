import DWebBase
import DWebCrypto
import Testing

@testable import DWebDHTCore

/// One node and a hand that plays everybody else.
struct RPCRig {
    let node: RPCNode
    var now = MonotonicTime(milliseconds: 1000)
    static let own = SocketAddress(ipv4: 10, 0, 0, 1, port: 49737)

    /// A node that has started and finished bootstrapping, without entry points; its outputs so far are dropped.
    init(_ configuration: RPCConfiguration = .bootstrapper(address: RPCRig.own), seed: UInt8 = 1) {
        node = RPCNode(configuration, random: SecureRandom(seed: Bytes32(repeating: seed)), now: now)
        node.start(serverPort: 49737, now: now)
        while node.pollOutput() != nil {}
    }

    static func peer(_ number: Int) -> SocketAddress {
        SocketAddress(ipv4: 10, 9, UInt8(number >> 8), UInt8(number & 255), port: 5000)
    }

    func outputs() -> [RPCOutput] {
        var result: [RPCOutput] = []
        while let output = node.pollOutput() { result.append(output) }
        return result
    }

    func sent() -> [OutgoingDatagram] {
        outputs().compactMap { output in
            if case .send(let datagram) = output { datagram } else { nil }
        }
    }

    /// The requests sent since the last look, decoded.
    func requests() throws -> [(request: RPCRequest, datagram: OutgoingDatagram)] {
        try sent().compactMap { datagram in
            datagram.bytes.first == RPCRequest.typeByte ? (try RPCRequest(datagram: datagram.bytes), datagram) : nil
        }
    }

    func responses() throws -> [RPCResponse] {
        try sent().filter { $0.bytes.first == RPCResponse.typeByte }.map { try RPCResponse(datagram: $0.bytes) }
    }

    func receive(_ request: RPCRequest, from source: SocketAddress, on socket: SocketID = .server) {
        node.handle(ByteReader(request.encoded()), from: source, on: socket, now: now)
    }

    func receive(_ response: RPCResponse, from source: SocketAddress, on socket: SocketID = .server) {
        node.handle(ByteReader(response.encoded()), from: source, on: socket, now: now)
    }

    /// Answers `request` as the node at its destination would.
    func answer(_ request: RPCRequest, id: Bytes32? = nil, closerNodes: [SocketAddress] = []) {
        receive(
            RPCResponse(transaction: request.transaction, to: RPCRig.own, id: id, closerNodes: closerNodes),
            from: request.to)
    }

    /// Lets the peer with `number` introduce itself with its id.
    func introduce(_ number: Int) {
        let peer = RPCRig.peer(number)
        receive(RPCRequest(transaction: 1, to: RPCRig.own, id: NodeID.of(peer), command: .ping), from: peer)
    }

    /// Wakes the node whenever it wants, until `end`.
    mutating func run(until end: MonotonicTime, _ body: (MonotonicTime, [RPCOutput]) -> Void = { _, _ in }) {
        while let deadline = node.nextDeadline, deadline <= end {
            now = max(now, deadline)
            node.wake(now: now)
            body(now, outputs())
        }
        now = end
    }
}
