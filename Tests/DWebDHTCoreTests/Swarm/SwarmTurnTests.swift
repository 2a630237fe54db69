import DWebBase
import DWebCrypto
import DWebDHTCore
import Testing

/// What this swarm does beyond the living network's: second looks, turns of many topics, connections per host.
@Suite struct SwarmTurnTests {
    typealias Rig = SwarmPolicyRig

    private func announced(seed: UInt8 = 1, finds peer: PublicKey? = nil) -> Rig {
        var rig = Rig(seed: seed)
        _ = rig.act { _ = $0.join(Rig.topic, as: .both, now: $1) }
        let refresh = rig.act { $0.listening(true, now: $1) }.refreshes[0].id
        if let peer { _ = rig.find(peer, in: refresh) }
        _ = rig.act { $0.finished(refresh, succeeded: true, now: $1) }
        return rig
    }

    /// Ends every query as it comes; returns when each began.
    private func looks(_ rig: inout Rig, for duration: Duration) -> [(time: Duration, kind: SwarmRefreshKind)] {
        let start = rig.now
        var looks: [(Duration, SwarmRefreshKind)] = []
        while rig.now - start < duration {
            for refresh in rig.advance(.milliseconds(50)).refreshes {
                looks.append((rig.now - start, refresh.kind))
                _ = rig.act { $0.finished(refresh.id, succeeded: true, now: $1) }
            }
        }
        return looks
    }

    @Test func aFirstAnnouncementIsFollowedByTwoLooksAtRandomMoments() {
        var times: [[Double]] = []
        for seed in UInt8(1)...20 {
            var rig = announced(seed: seed)
            let looks = looks(&rig, for: .seconds(60))
            #expect(looks.map(\.kind) == [.lookup, .lookup])
            times.append(looks.map(\.time.seconds))
        }
        #expect(times.allSatisfy { (1.4...3.2).contains($0[0]) && (8...17).contains($0[1] - $0[0]) })
        #expect(Set(times.map { $0[0] }).count > 10, "not all at the same moment")
        // The schedule of ten to twelve minutes goes on beside them, and brings no further looks.
        var rig = announced()
        let all = looks(&rig, for: .seconds(1_500))
        #expect(all.map(\.kind) == [.lookup, .lookup, .announce(clears: false), .announce(clears: false)])
        #expect((600...735).contains(all[2].time.seconds))
    }

    @Test func ofManyTopicsOnlyThoseThatAreNotLookedUpShareSearches() {
        var rig = Rig()
        let topics = (1...40).map { Bytes32(repeating: UInt8($0)) }
        _ = rig.act { policy, now in
            for (index, topic) in topics.reversed().enumerated() {
                _ = policy.join(topic, as: index % 2 == 0 ? .announce : .both, now: now)
            }
        }
        var running = rig.act { $0.listening(true, now: $1) }.refreshes
        #expect(running.map(\.kind) == Array(repeating: .announce(clears: true), count: SwarmLimits.refreshes))
        var later: [(topic: Bytes32, kind: SwarmRefreshKind)] = []
        while !running.isEmpty {
            let first = running.removeFirst()
            let started = rig.act { $0.finished(first.id, succeeded: true, now: $1) }.refreshes
            later += started.map { ($0.topic, $0.kind) }
            running += started
        }
        #expect(later.map(\.topic) == Array(topics.prefix(40 - SwarmLimits.refreshes)))
        for (number, entry) in later.enumerated() {
            let isAmongMany = number % 2 == 1 && number + 1 < later.count
            #expect(entry.kind == .announce(clears: true, isAmongMany: isAmongMany))
        }
    }

    @Test func whoFoundSomebodyLooksOnceMoreOnly() {
        var rig = announced(finds: Rig.key(5))
        #expect(looks(&rig, for: .seconds(60)).map(\.kind) == [.lookup])
    }

    @Test func whoOnlyAnnouncesDoesNotLookAgain() {
        var rig = Rig()
        _ = rig.act { _ = $0.join(Rig.topic, as: .announce, now: $1) }
        let refresh = rig.act { $0.listening(true, now: $1) }.refreshes[0].id
        _ = rig.act { $0.finished(refresh, succeeded: true, now: $1) }
        #expect(looks(&rig, for: .seconds(60)).isEmpty)
    }

    @Test func aRefreshReplacesASecondLookAndRestEndsIt() {
        var rig = announced()
        let look = rig.advance(.seconds(4)).refreshes[0].id
        let outputs = rig.act { $0.refresh(Rig.topic, now: $1) }
        #expect(outputs.first == .cancelRefresh(look))
        #expect(outputs.refreshes.map(\.kind) == [.announce(clears: false)])
        _ = rig.act { $0.finished(outputs.refreshes[0].id, succeeded: true, now: $1) }
        #expect(rig.advance(.seconds(60)).refreshes.isEmpty, "it was no first announcement")
        // After a rest all announce again, perhaps at the same moment.
        _ = rig.act { $0.suspend(now: $1) }
        _ = rig.act { $0.unannounceFinished(topic: Rig.topic, now: $1) }
        _ = rig.act { $0.resume(now: $1) }
        let again = rig.act { $0.listening(true, now: $1) }.refreshes
        #expect(again.count == 1)
        _ = rig.act { $0.finished(again[0].id, succeeded: true, now: $1) }
        #expect(looks(&rig, for: .seconds(5)).map(\.kind) == [.lookup])
    }

    @Test func thousandsOfTopicsTakeTurns() {
        var rig = Rig()
        let count = 3_000
        for number in 0..<count {
            _ = rig.act { _ = $0.join(Rig.key(number).bytes32, as: .announce, now: $1) }
        }
        var running = rig.act { $0.listening(true, now: $1) }.refreshes.map(\.id)
        #expect(running.count == SwarmLimits.refreshes)
        var seen = Set(running)
        while let id = running.popLast() {
            let outputs = rig.act { $0.finished(id, succeeded: true, now: $1) }.refreshes.map(\.id)
            for next in outputs where seen.insert(next).inserted { running.append(next) }
            #expect(running.count <= SwarmLimits.refreshes)
        }
        #expect(seen.count == count)
        // Topics that were left meanwhile do not take a turn.
        var other = Rig()
        for number in 0..<100 { _ = other.act { _ = $0.join(Rig.key(number).bytes32, as: .lookup, now: $1) } }
        for number in 20..<100 { _ = other.act { $0.leave(topic: Rig.key(number).bytes32, now: $1) } }
        let first = other.outputs.refreshes.map(\.id)
        var later: [SwarmRefreshID] = []
        for id in first { later += other.act { $0.finished(id, succeeded: true, now: $1) }.refreshes.map(\.id) }
        #expect(first.count == SwarmLimits.refreshes)
        #expect(later.count == 20 - SwarmLimits.refreshes)
    }

    @Test func manyTopicsComeAgainInTheirOrderAndNoneComesLate() {
        var rig = Rig()
        for number in 0..<100 { _ = rig.act { _ = $0.join(Rig.key(number).bytes32, as: .announce, now: $1) } }
        var running = rig.act { $0.listening(true, now: $1) }.refreshes
        var many: Set<Bytes32> = []
        while let refresh = running.popLast() {
            if case .announce(_, isAmongMany: true) = refresh.kind { many.insert(refresh.topic) }
            running += rig.act { $0.finished(refresh.id, succeeded: true, now: $1) }.refreshes
        }
        #expect(many.count > 80)
        // All are due after the same time. A random one would let some miss the round and wait for the next.
        let start = rig.now
        var again: [Bytes32] = []
        while rig.now - start < .milliseconds(600_100) {
            var outputs = rig.advance(.milliseconds(100)).refreshes
            while !outputs.isEmpty {
                let refresh = outputs.removeFirst()
                if many.contains(refresh.topic) { again.append(refresh.topic) }
                outputs += rig.act { $0.finished(refresh.id, succeeded: true, now: $1) }.refreshes
            }
        }
        #expect(Set(again) == many && again.count == many.count)
        #expect(Array(again.dropFirst(SwarmLimits.refreshes)) == again.dropFirst(SwarmLimits.refreshes).sorted())
    }

    @Test func oneHostDoesNotTakeAllConnections() {
        var rig = Rig { $0.serverLimitPerHost = 3 }
        let host = SocketAddress(ipv4: 91, 0, 0, 1, port: 1)
        var ids: [SwarmConnectionID] = []
        var refused = 0
        for number in 1...10 {
            let key = Rig.key(number)
            let id = rig.policy.arrived(
                from: key, isExistingEstablished: false, address: host.with(port: UInt16(number)), now: rig.now)
            if rig.drain().contains(.close(id, .limitReached)) { refused += 1 } else { ids.append(id) }
        }
        #expect(ids.count == 3)
        #expect(refused == 7)
        // Others come in, those behind a relay too, and one that leaves makes room.
        for address in [SocketAddress(ipv4: 91, 0, 0, 2, port: 1), nil] {
            let id = rig.policy.arrived(
                from: Rig.key(address == nil ? 300 : 301), isExistingEstablished: false, address: address,
                now: rig.now)
            #expect(rig.drain() == [.deliver(id)])
        }
        _ = rig.act { $0.closed(ids[0], now: $1) }
        let id = rig.policy.arrived(
            from: Rig.key(200), isExistingEstablished: false, address: host, now: rig.now)
        #expect(rig.drain() == [.deliver(id)])
    }
}
