import DWebBase
import DWebCrypto
import Testing

@testable import DWebDHTCore

@Suite struct RequestPacerTests {
    @Test func pacedRequestsNeverMakeABurst() throws {
        var rig = RPCRig()
        var options = RPCRequestOptions()
        options.isPaced = true
        options.retries = 0
        var times: [MonotonicTime] = []
        func note(_ outputs: [RPCOutput], _ now: MonotonicTime) {
            for case .send(let datagram) in outputs {
                times.append(now)
                // Everybody answers at once, so that congestion plays no part.
                if let request = try? RPCRequest(datagram: datagram.bytes) { rig.answer(request) }
            }
        }
        for number in 0..<2_000 { rig.node.ping(RPCRig.peer(number), options: options, now: rig.now) }
        let start = rig.now
        note(rig.outputs(), rig.now)
        while rig.now - start < .seconds(14), let deadline = rig.node.nextDeadline {
            rig.now = max(rig.now, deadline)
            rig.node.wake(now: rig.now)
            note(rig.outputs(), rig.now)
        }
        #expect(times.count == 2_000)
        for (index, time) in times.enumerated() {
            let within = times[index...].prefix { $0 - time <= .seconds(1) }.count
            #expect(within <= 190)
        }
        #expect(times.last! - start < .seconds(11.5))
        // What somebody waits for does not stand behind them.
        for number in 0..<500 { rig.node.ping(RPCRig.peer(number), options: options, now: rig.now) }
        _ = rig.outputs()
        rig.node.ping(RPCRig.peer(3_000), now: rig.now)
        #expect(rig.sent().count == 1)
    }

    @Test func pacedRequestsEndWithTheNode() throws {
        let rig = RPCRig()
        var options = RPCRequestOptions()
        options.isPaced = true
        for number in 0..<200 { rig.node.ping(RPCRig.peer(number), options: options, now: rig.now) }
        _ = rig.outputs()
        rig.node.close(now: rig.now)
        let ended = rig.outputs().count { output in
            if case .requestFinished(_, .failure(.destroyed)) = output { true } else { false }
        }
        #expect(ended == 200)
        #expect(rig.node.requestCount == 0)
    }
}
