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

    /// A node that has thousands of paced requests, with everything else that it does meanwhile.
    @Test func noSecondOfANodeWithManyPacedRequestsHasTwoHundred() throws {
        var rig = RPCRig()
        var options = RPCRequestOptions()
        options.isPaced = true
        var times: [MonotonicTime] = []
        var urgentDelays: [Duration] = []
        var started: [UInt16: MonotonicTime] = [:]
        func takeSent() throws {
            var sent = try rig.requests().map(\.request)
            while !sent.isEmpty {
                for request in sent {
                    times.append(rig.now)
                    if let time = started.removeValue(forKey: request.transaction) {
                        urgentDelays.append(rig.now - time)
                    }
                    // One in ten is lost, so that some are repeated.
                    if times.count % 10 != 0 { rig.answer(request, id: NodeID.of(request.to)) }
                }
                sent = try rig.requests().map(\.request)
            }
        }
        for number in 0..<60 { rig.introduce(number) }
        try takeSent()
        // What the node did in the second before counts, too.
        for number in 0..<100 { rig.node.ping(RPCRig.peer(30_000 + number), now: rig.now) }
        try takeSent()
        for number in 0..<2_500 { rig.node.ping(RPCRig.peer(number), options: options, now: rig.now) }
        try takeSent()
        let start = rig.now
        var nextWish = start
        var nextStranger = start
        var strangers = 0
        while rig.now - start < .seconds(12) {
            rig.node.wake(now: rig.now)
            // Every three seconds a user wants thirty things at once, and strangers ask for places in full rows.
            if rig.now >= nextWish {
                nextWish = rig.now + .seconds(3)
                for number in 0..<30 {
                    started[rig.node.ping(RPCRig.peer(20_000 + number), now: rig.now).transaction] = rig.now
                }
            }
            if rig.now >= nextStranger {
                rig.introduce(10_000 + strangers)
                strangers += 1
                nextStranger = rig.now + .milliseconds(10)
            }
            try takeSent()
            rig.now = max(rig.now + .nanoseconds(1), min(rig.node.nextDeadline ?? rig.now, nextWish, nextStranger))
        }
        var first = 0
        var most = 0
        for last in times.indices {
            while times[last] - times[first] > .seconds(1) { first += 1 }
            most = max(most, last - first + 1)
        }
        #expect(most <= RPCConstants.limitPerSecond, "\(most)")
        #expect(times.count > 12 * 180, "\(times.count)")
        #expect(urgentDelays.count == 120)
        #expect(urgentDelays.allSatisfy { $0 < .milliseconds(250) }, "\(urgentDelays.max() ?? .zero)")
    }

    /// What a few topics send is not held back, and neither is what the node does beside them.
    @Test func aNodeWithFewPacedRequestsWaitsForNothing() throws {
        let rig = RPCRig()
        var options = RPCRequestOptions()
        options.isPaced = true
        for number in 0..<45 { rig.node.ping(RPCRig.peer(number), options: options, now: rig.now) }
        for number in 0..<30 { rig.node.ping(RPCRig.peer(100 + number), now: rig.now) }
        let sent = try rig.requests().map(\.request)
        #expect(sent.count == 75)
        for request in sent { rig.answer(request) }
        for round in 0..<10 {
            for number in 0..<40 { rig.node.ping(RPCRig.peer(200 + round * 40 + number), now: rig.now) }
            let more = try rig.requests().map(\.request)
            #expect(more.count == 40)
            for request in more { rig.answer(request) }
        }
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
