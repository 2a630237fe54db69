import DWebBase
import DWebCrypto
import Testing

@testable import DWebDHTCore

@Suite struct RPCFirewallTests {
    /// A firewalled node with five known peers, which have asked it on its client socket.
    private func firewalledRig() -> RPCRig {
        let rig = RPCRig(RPCConfiguration())
        for number in 1...5 {
            let peer = RPCRig.peer(number)
            rig.receive(
                RPCRequest(
                    transaction: 1, to: RPCRig.own.with(port: 40000), id: NodeID.of(peer), command: .ping),
                from: peer, on: .client)
        }
        return rig
    }

    /// Lets the stability check run; `hits` of five answers arrive on the server socket and name `port`.
    private func probe(_ rig: inout RPCRig, hits: Int, port: UInt16) throws -> [RPCOutput] {
        _ = rig.outputs()
        rig.node.stableTicks = 1
        rig.now = max(rig.now, rig.node.nextTick)
        rig.node.wake(now: rig.now)
        let asked = try rig.requests().filter { $0.request.command == .pingNAT }
        #expect(asked.count == 5)
        for (index, item) in asked.enumerated() {
            #expect(item.request.value == [0x49, 0xc2] && item.datagram.socket == .client)
            let response = RPCResponse(transaction: item.request.transaction, to: RPCRig.own.with(port: port))
            rig.receive(response, from: item.request.to, on: index < hits ? .server : .client)
        }
        return rig.outputs()
    }

    @Test func firewallTestWantsThreeOfFive() throws {
        var rig = firewalledRig()
        #expect(rig.outputs().contains(.event(.publicAddressChanged(RPCRig.own.with(port: 40000)))))
        #expect(rig.node.isBootstrapped && rig.node.isFirewalled && rig.node.nodeCount == 5)
        #expect(try !probe(&rig, hits: 2, port: 49737).contains(.event(.persistent)))
        #expect(rig.node.isFirewalled && rig.node.isEphemeral && rig.node.id == nil)
        #expect(rig.node.stableTicks == RPCConstants.moreStableTicks)

        rig = firewalledRig()
        #expect(try probe(&rig, hits: 3, port: 49737).contains(.event(.persistent)))
        #expect(!rig.node.isFirewalled && rig.node.id == NodeID.of(RPCRig.own))
        #expect(rig.node.nodeCount == 5, "the known nodes are kept")
        #expect(rig.node.remoteAddress == RPCRig.own && rig.node.defaultSocket == .server)
    }

    @Test func firewallTestWantsTheLocalPort() throws {
        var rig = firewalledRig()
        #expect(try !probe(&rig, hits: 5, port: 49738).contains(.event(.persistent)))
        #expect(rig.node.isFirewalled && rig.node.remoteAddress == nil)
    }

    @Test func sameHostIsNotTestedAgain() throws {
        var rig = firewalledRig()
        _ = try probe(&rig, hits: 0, port: 49737)
        rig.node.stableTicks = 1
        rig.now = rig.node.nextTick
        rig.node.wake(now: rig.now)
        #expect(try !rig.requests().contains { $0.request.command == .pingNAT })
        #expect(rig.node.stableTicks == RPCConstants.moreStableTicks)
    }
}
