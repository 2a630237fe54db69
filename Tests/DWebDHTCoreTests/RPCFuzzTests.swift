import DWebBase
import DWebCrypto
import Testing

@testable import DWebDHTCore

@Suite struct RPCFuzzTests {
    private func message(_ random: inout SecureRandom, transaction: UInt16) -> [UInt8] {
        let peer = RPCRig.peer(Int.random(in: 0..<50, using: &random))
        let id: Bytes32? = Bool.random(using: &random) ? NodeID.of(peer) : nil
        let token: Bytes32? = Int.random(in: 0..<4, using: &random) == 0 ? random.bytes32() : nil
        let value: [UInt8]? = Bool.random(using: &random) ? random.bytes(Int.random(in: 0..<40, using: &random)) : nil
        if Bool.random(using: &random) {
            let number = UInt64.random(in: 0...12, using: &random)
            return RPCRequest(
                transaction: transaction, to: RPCRig.own, id: id, token: token,
                command: Bool.random(using: &random) ? .internal(number) : .external(number),
                target: Bool.random(using: &random) ? random.bytes32() : nil, value: value
            ).encoded()
        }
        return RPCResponse(
            transaction: transaction, to: RPCRig.own, id: id, token: token,
            closerNodes: (0..<Int.random(in: 0..<30, using: &random)).map(RPCRig.peer),
            error: RPCErrorCode(rawValue: UInt64.random(in: 0...17, using: &random)), value: value
        ).encoded()
    }

    private func damage(_ bytes: [UInt8], _ random: inout SecureRandom) -> [UInt8] {
        var bytes = bytes
        switch Int.random(in: 0..<5, using: &random) {
        case 0: bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))
        case 1: bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 2: bytes.insert(0xff, at: Int.random(in: 0...bytes.count, using: &random))
        case 3: bytes = random.bytes(Int.random(in: 0..<200, using: &random))
        default: break
        }
        return bytes
    }

    @Test(arguments: 1...3 as ClosedRange<UInt8>)
    func arbitraryDatagrams(seed: UInt8) throws {
        var random = SecureRandom(seed: Bytes32(repeating: seed))
        var configuration = RPCConfiguration()
        configuration.bootstrapNodes = [RPCBootstrapNode(address: RPCRig.peer(0))]
        configuration.mode = seed % 2 == 0 ? .adaptive : .persistent
        var rig = RPCRig(configuration, seed: seed)
        for round in 0..<2500 {
            // Near the transactions in use, so that responses meet requests.
            let transaction = rig.node.nextTransaction &- UInt16.random(in: 0...12, using: &random)
            let bytes = damage(message(&random, transaction: transaction), &random)
            let asked = rig.node.requests[transaction]?.destination.address
            let source = asked ?? RPCRig.peer(Int.random(in: 0..<50, using: &random))
            let socket = SocketID(rawValue: UInt32.random(in: 0...2, using: &random))
            rig.node.handle(ByteReader(bytes), from: source, on: socket, now: rig.now)
            if round % 40 == 0 { rig.node.findNode(random.bytes32(), now: rig.now) }
            for output in rig.outputs() {
                switch output {
                case .request(let request) where round % 3 == 0: rig.node.reply(to: request, value: [1])
                case .request(let request): rig.node.decline(request)
                case .send(let datagram): #expect(datagram.bytes.count < 1400)
                default: break
                }
            }
            if round % 5 == 0 { rig.run(until: rig.now + .milliseconds(Int.random(in: 0...700, using: &random))) }
        }
        #expect(rig.node.statistics.responseCount > 20, "some answers were whole")
        rig.run(until: rig.now + .seconds(60))
        #expect(rig.node.queries.isEmpty, "every query ends")
        #expect(rig.node.requestCount < 20)
        #expect(rig.node.nodeCount <= 51)
        #expect(rig.node.swapCount <= RPCLimits.concurrentSwaps && rig.node.checkCount >= 0)
    }

    @Test func truncatedMessagesDoNothing() throws {
        var random = SecureRandom(seed: .zero)
        let rig = RPCRig()
        for _ in 0..<50 {
            let bytes = message(&random, transaction: 1)
            for length in 0..<bytes.count {
                let cut = Array(bytes[..<length])
                rig.node.handle(ByteReader(cut), from: RPCRig.peer(1), on: .server, now: rig.now)
                let isRequest = (try? RPCRequest(datagram: cut)) != nil
                if !isRequest { #expect(rig.outputs().isEmpty) } else { _ = rig.outputs() }
            }
        }
    }

    @Test func closerListsAreCut() throws {
        let response = RPCResponse(transaction: 1, to: RPCRig.own, closerNodes: (0..<300).map(RPCRig.peer), value: [5])
        let decoded = try RPCResponse(datagram: response.encoded())
        #expect(decoded.closerNodes.count == RPCLimits.closerNodesPerReply)
        #expect(decoded.closerNodes == Array(response.closerNodes.prefix(RPCLimits.closerNodesPerReply)))
        #expect(decoded.value == [5], "what follows the list is found")
    }
}
