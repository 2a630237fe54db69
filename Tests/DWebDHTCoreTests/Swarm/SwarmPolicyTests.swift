import DWebBase
import DWebCrypto
import DWebDHTCore
import Testing

/// Which peers are dialled, kept and retried; spec 30 sections G.1 to G.4 and I 44, 45.
@Suite struct SwarmPolicyTests {
    typealias Rig = SwarmPolicyRig

    // MARK: Duplicates

    @Test func anArrivalReplacesAnAttemptOnlyOfTheSmallerKey() {
        // The peer with the larger key is the one expected to dial.
        for (mine, keepsNew) in [(UInt8(1), true), (UInt8(200), false)] {
            var rig = Rig(key: Rig.key(mine))
            let attempt = rig.find(Rig.key(100), in: rig.lookUp())!
            let (arrival, outputs) = rig.arrive(Rig.key(100))
            if keepsNew {
                #expect(outputs == [.close(attempt, .duplicate)])
                #expect(rig.act { $0.closed(attempt, now: $1) } == [.deliver(arrival)])
                #expect(rig.policy.status(of: Rig.key(100)) == .connected(isInitiator: false))
            } else {
                #expect(outputs == [.close(arrival, .duplicate)])
                #expect(rig.act { $0.opened(attempt, now: $1) } == [.deliver(attempt)])
                #expect(rig.policy.status(of: Rig.key(100)) == .connected(isInitiator: true))
            }
            #expect(rig.policy.statistics.duplicateCount == 1)
        }
    }

    @Test func bothSidesKeepTheSameConnection() {
        var low = Rig(key: Rig.key(1))
        var high = Rig(key: Rig.key(2))
        let fromLow = low.find(Rig.key(2), in: low.lookUp())!
        let fromHigh = high.find(Rig.key(1), in: high.lookUp())!
        let (atHigh, highOutputs) = high.arrive(Rig.key(1))
        let (atLow, lowOutputs) = low.arrive(Rig.key(2))
        #expect(highOutputs == [.close(atHigh, .duplicate)])
        #expect(lowOutputs == [.close(fromLow, .duplicate)])
        #expect(low.act { $0.closed(fromLow, now: $1) } == [.deliver(atLow)])
        #expect(high.act { $0.opened(fromHigh, now: $1) } == [.deliver(fromHigh)])
    }

    @Test func aFreshConnectionReplacesAnEstablishedOneWhoeverDials() {
        for mine in [UInt8(1), 200] {
            var rig = Rig(key: Rig.key(mine))
            let (first, delivered) = rig.arrive(Rig.key(100))
            #expect(delivered == [.deliver(first)])
            let (second, outputs) = rig.arrive(Rig.key(100), established: true)
            #expect(outputs == [.close(first, .duplicate)])
            #expect(rig.act { $0.closed(first, now: $1) } == [.deliver(second)])
        }
    }

    @Test func anIdleConnectionOfTheExpectedInitiatorStaysAndIsProbed() {
        var rig = Rig(key: Rig.key(200))
        let (first, _) = rig.arrive(Rig.key(100))
        let (second, outputs) = rig.arrive(Rig.key(100))
        #expect(outputs == [.sendKeepAlive(first), .close(second, .duplicate)])
    }

    @Test func ofTwoWaitingArrivalsOneIsDelivered() {
        var rig = Rig(key: Rig.key(1))
        let (first, _) = rig.arrive(Rig.key(100))
        let (second, _) = rig.arrive(Rig.key(100), established: true)
        let (third, outputs) = rig.arrive(Rig.key(100), established: true)
        #expect(outputs == [.close(second, .duplicate)])
        #expect(rig.act { $0.closed(second, now: $1) }.isEmpty)
        #expect(rig.act { $0.closed(first, now: $1) } == [.deliver(third)])
    }

    @Test func aReplacementThatClosesMeanwhileIsNotDelivered() {
        var rig = Rig(key: Rig.key(1))
        let (first, _) = rig.arrive(Rig.key(100))
        let (second, _) = rig.arrive(Rig.key(100), established: true)
        #expect(rig.act { $0.closed(second, now: $1) }.isEmpty)
        #expect(rig.act { $0.closed(first, now: $1) }.isEmpty)
        #expect(rig.policy.connection(with: Rig.key(100)) == nil)
    }

    @Test func nothingIsDialledWhileAConnectionExists() {
        var rig = Rig()
        let refresh = rig.lookUp()
        _ = rig.arrive(Rig.key(5))
        #expect(rig.find(Rig.key(5), in: refresh) == nil)
        #expect(rig.act { $0.joinPeer(Rig.key(5), now: $1) }.attempts.isEmpty)
    }

    @Test func ownKeyIsNeverAPeer() {
        var rig = Rig(key: Rig.key(9))
        #expect(rig.find(Rig.key(9), in: rig.lookUp()) == nil)
        let (arrival, outputs) = rig.arrive(Rig.key(9))
        #expect(outputs == [.close(arrival, .banned)])
        #expect(rig.policy.diagnostics().isEmpty)
    }

    // MARK: Limits

    @Test func attemptsRunInParallelUpToTheLimit() {
        var rig = Rig()
        let refresh = rig.lookUp()
        let attempts = (1...6).compactMap { rig.find(Rig.key($0), in: refresh) }
        #expect(attempts.count == 3)
        let waiting = (1...6).map { Rig.key($0) }.filter {
            rig.policy.status(of: $0) == .notConnected(.parallelLimitReached(limit: 3))
        }
        #expect(waiting.count == 3)
        #expect(rig.act { $0.opened(attempts[0], now: $1) }.attempts.count == 1)
        #expect(rig.act { $0.closed(attempts[1], now: $1) }.attempts.count == 1)
    }

    @Test func connectionsStayBelowThePeerLimit() {
        for (explicitCount, factor) in [(0, 1), (1, 2), (2, 3), (3, 3), (4, 4)] {
            var rig = Rig {
                $0.peerLimit = 24
                $0.parallelLimit = 100
            }
            // Explicit peers that are connected already only reduce the room.
            for number in 0..<explicitCount {
                _ = rig.arrive(Rig.key(1_000 + number))
                _ = rig.act { $0.joinPeer(Rig.key(1_000 + number), now: $1) }
            }
            let refresh = rig.lookUp()
            for number in 1...60 { _ = rig.find(Rig.key(number), in: refresh) }
            #expect(rig.outputs.attempts.count + explicitCount == (24 + factor - 1) / factor)
            #expect(
                rig.policy.diagnostics().contains {
                    $0.status == .notConnected(.peerLimitReached(limit: 24))
                })
        }
    }

    @Test func clientAndServerLimitsHold() {
        var rig = Rig {
            $0.clientLimit = 1
            $0.serverLimit = 2
        }
        let refresh = rig.lookUp()
        #expect(rig.find(Rig.key(1), in: refresh) != nil)
        #expect(rig.find(Rig.key(2), in: refresh) == nil)
        #expect(rig.policy.status(of: Rig.key(2)) == .notConnected(.clientLimitReached(limit: 1)))
        _ = rig.arrive(Rig.key(3))
        _ = rig.arrive(Rig.key(4))
        let (third, outputs) = rig.arrive(Rig.key(5))
        #expect(outputs == [.close(third, .limitReached)])
    }

    @Test func knownPeersAreBounded() {
        var rig = Rig()
        let refresh = rig.lookUp()
        for number in 1...SwarmLimits.knownPeers + 50 { _ = rig.find(Rig.key(number), in: refresh) }
        #expect(rig.policy.diagnostics().count == SwarmLimits.knownPeers)
    }

    @Test func bannedPeersAreBounded() {
        var rig = Rig()
        for number in 1...SwarmLimits.bannedPeers + 50 {
            _ = rig.act {
                $0.setBanned(true, Rig.key(number)); _ = $1
            }
        }
        #expect(rig.policy.diagnostics().count == SwarmLimits.bannedPeers)
        // Bans leave room for peers.
        #expect(rig.find(Rig.key(1_000_000), in: rig.lookUp()) != nil)
    }

    @Test func whatAPeerSaysAboutItselfIsBounded() {
        var rig = Rig()
        let relays = (1...40).map { SocketAddress(ipv4: 10, 0, 0, 1, port: $0) }
        let refresh = rig.lookUp()
        let outputs = rig.act { $0.found(Rig.key(1), relayAddresses: relays, in: refresh, now: $1) }
        guard case .connect(_, _, let kept, _) = outputs.first else {
            Issue.record("no attempt")
            return
        }
        #expect(kept == Array(relays.prefix(SwarmLimits.relayAddresses)))
        for number in 0..<100 {
            let topic = Bytes32(repeating: UInt8(100 + number))
            let new = rig.act { _ = $0.join(topic, as: .lookup, now: $1) }
            _ = rig.act { $0.found(Rig.key(1), relayAddresses: [], in: new.refreshes[0].id, now: $1) }
            // Ended, or those after it would wait for their turn.
            _ = rig.act { $0.finished(new.refreshes[0].id, succeeded: true, now: $1) }
        }
        #expect(rig.policy.topics(of: Rig.key(1)).count == SwarmLimits.topicsPerPeer)
    }

    // MARK: Retries

    /// The delay until the next attempt after one ended.
    private func delays(seed: UInt8, isProven: Bool, count: Int) -> [Duration] {
        var rig = Rig(seed: seed)
        let refresh = rig.lookUp()
        var attempt = rig.find(Rig.key(1), in: refresh)
        var delays: [Duration] = []
        while let current = attempt, delays.count < count {
            if isProven { _ = rig.act { $0.opened(current, now: $1) } }
            _ = rig.act { $0.closed(current, now: $1) }
            let start = rig.now
            var next: SwarmConnectionID?
            while next == nil, rig.now - start < .seconds(60) {
                next = rig.advance(.milliseconds(10)).attempts.first?.id
            }
            if next != nil { delays.append(rig.now - start) }
            attempt = next
        }
        return delays
    }

    @Test func retriesComeBetweenTwoThirdsAndFourThirdsOfTheirDelay() {
        func bounds(_ base: Double, _ spread: Double) -> ClosedRange<Double> {
            // A jitter of its own and one shared by the swarm, half a second each; 10 ms of measuring.
            (0.66 * base - 0.02)...(1.32 * (base + 0.5 * spread + 0.5) + 0.02)
        }
        for seed in UInt8(1)...20 {
            let unproven = delays(seed: seed, isProven: false, count: 10).map(\.seconds)
            #expect(unproven.count == 3, "the fourth attempt is the last one")
            #expect(bounds(5, 2).contains(unproven[0]))
            #expect(bounds(15, 4).contains(unproven[1]))
            #expect(bounds(15, 4).contains(unproven[2]))
            let proven = delays(seed: seed, isProven: true, count: 10).map(\.seconds)
            #expect(proven.count == 3)
            #expect(bounds(1, 1).contains(proven[0]))
            #expect(bounds(5, 2).contains(proven[1]))
            #expect(bounds(15, 4).contains(proven[2]))
        }
    }

    @Test func aLongConnectionResetsTheAttempts() {
        for (seconds, attemptCount) in [(14, 2), (15, 1)] {
            var rig = Rig()
            let refresh = rig.lookUp()
            let first = rig.find(Rig.key(1), in: refresh)!
            _ = rig.act { $0.closed(first, now: $1) }
            let second = rig.advance(.seconds(10)).attempts[0].id
            _ = rig.act { $0.opened(second, now: $1) }
            _ = rig.advance(.seconds(seconds))
            _ = rig.act { $0.closed(second, now: $1) }
            #expect(rig.policy.diagnostics()[0].attemptCount == attemptCount)
        }
    }

    @Test func aPeerThatKeepsFailingIsGivenUpUntilFoundAgain() {
        var rig = Rig()
        let refresh = rig.lookUp()
        var attempt = rig.find(Rig.key(1), in: refresh)
        var count = 0
        while let current = attempt {
            count += 1
            _ = rig.act { $0.closed(current, failure: SwarmFailure("no answer"), now: $1) }
            attempt = rig.advance(.seconds(60)).attempts.first?.id
        }
        #expect(count == 4)
        // Nothing keeps a peer that was given up; a lookup makes it a new one.
        #expect(rig.policy.status(of: Rig.key(1)) == nil)
        #expect(rig.find(Rig.key(1), in: refresh) != nil)
    }

    @Test func anExplicitPeerIsNeverForgottenAndTriedOutsideTheQueue() {
        var rig = Rig { $0.peerLimit = 1 }
        _ = rig.arrive(Rig.key(50))
        var attempts = rig.act { $0.joinPeer(Rig.key(1), now: $1) }.attempts
        #expect(attempts.count == 1, "an explicit peer ignores the limit")
        var times: [MonotonicTime] = []
        while times.count < 5, let attempt = attempts.first {
            times.append(rig.now)
            _ = rig.act { $0.closed(attempt.id, failure: SwarmFailure("no answer"), now: $1) }
            attempts = []
            let start = rig.now
            while attempts.isEmpty, rig.now - start < .seconds(30) {
                attempts = rig.advance(.milliseconds(100)).attempts
            }
        }
        #expect(times.count == 5)
        // One second per attempt; a retry timer that fires meanwhile sets the count of an explicit peer back to three.
        let pauses = zip(times, times.dropFirst()).map { ($1 - $0).seconds }
        for (index, pause) in pauses.prefix(3).enumerated() { #expect(abs(pause - Double(index + 1)) < 0.2) }
        #expect((2.8...4.2).contains(pauses[3]))
        #expect(rig.policy.diagnostics().first { $0.publicKey == Rig.key(1) }?.lastFailure == "no answer")
    }

    @Test func anExplicitPeerThatWasLeftIsNotDialledAgain() {
        var rig = Rig()
        let attempt = rig.act { $0.joinPeer(Rig.key(1), now: $1) }.attempts[0].id
        _ = rig.act { policy, _ in policy.leavePeer(Rig.key(1)) }
        _ = rig.act { $0.closed(attempt, now: $1) }
        #expect(rig.advance(.seconds(3_600)).attempts.isEmpty)
        #expect(rig.policy.diagnostics().isEmpty)
    }

    @Test func aServerSideConnectionIsNotRedialledByItself() {
        var rig = Rig()
        _ = rig.lookUp()
        let (arrival, _) = rig.arrive(Rig.key(1))
        _ = rig.act { $0.closed(arrival, now: $1) }
        #expect(rig.advance(.seconds(120)).attempts.isEmpty)
        #expect(rig.policy.diagnostics().isEmpty)
    }

    @Test func aClientConnectionIsNotRetriedOnceItsTopicsAreLeft() {
        var rig = Rig()
        let attempt = rig.find(Rig.key(1), in: rig.lookUp())!
        _ = rig.act { $0.opened(attempt, now: $1) }
        _ = rig.act { $0.leave(topic: Rig.topic, now: $1) }
        _ = rig.act { $0.closed(attempt, now: $1) }
        #expect(rig.advance(.seconds(120)).attempts.isEmpty)
        #expect(rig.policy.diagnostics().isEmpty)
    }

    @Test func aFailureThatARelayAvoidsIsRetriedThroughIt() {
        var rig = Rig { $0.hasRelay = true }
        let attempt = rig.find(Rig.key(1), in: rig.lookUp())!
        _ = rig.act { $0.closed(attempt, failure: SwarmFailure("punch", isAvoidableByRelay: true), now: $1) }
        let next = rig.advance(.seconds(30)).attempts
        #expect(next.first?.forcesRelay == true)
    }

    @Test func higherPrioritiesAreDialledFirst() {
        var rig = Rig {
            $0.parallelLimit = 1
            $0.retryJitter = .zero
        }
        let refresh = rig.lookUp()
        let first = rig.find(Rig.key(1), in: refresh)!
        _ = rig.act { $0.opened(first, now: $1) }
        // A dropped connection has very high priority; what is found meanwhile has normal priority.
        let blocker = rig.find(Rig.key(2), in: refresh)!
        _ = rig.act { $0.closed(first, now: $1) }
        for number in 3...30 { _ = rig.find(Rig.key(number), in: refresh) }
        _ = rig.advance(.seconds(2))
        let next = rig.act { $0.closed(blocker, now: $1) }.attempts
        #expect(next.first?.key == Rig.key(1))
    }

    // MARK: Bans

    @Test func aBannedPeerIsRefusedInBothDirections() {
        var rig = Rig()
        let attempt = rig.find(Rig.key(1), in: rig.lookUp())!
        #expect(
            rig.act { policy, _ in policy.firewallRefused(Rig.key(1)) }
                == [.close(attempt, .banned), .banned(Rig.key(1))])
        _ = rig.act { $0.closed(attempt, now: $1) }
        #expect(rig.advance(.seconds(120)).attempts.isEmpty)
        let (arrival, outputs) = rig.arrive(Rig.key(1))
        #expect(outputs == [.close(arrival, .banned)])
        #expect(!rig.policy.admits(Rig.key(1)))
        #expect(rig.policy.status(of: Rig.key(1)) == .notConnected(.banned))
        _ = rig.act { policy, _ in policy.setBanned(false, Rig.key(1)) }
        #expect(rig.policy.admits(Rig.key(1)))
    }

    @Test func theSameSeedMakesTheSameChoices() {
        func choices() -> [PublicKey] {
            var rig = Rig { $0.parallelLimit = 1 }
            let refresh = rig.lookUp()
            for number in 1...40 { _ = rig.find(Rig.key(number), in: refresh) }
            var index = 0
            while index < rig.outputs.attempts.count, index < 30 {
                let attempt = rig.outputs.attempts[index]
                _ = rig.act { $0.opened(attempt.id, now: $1) }
                index += 1
            }
            return rig.outputs.attempts.map(\.key)
        }
        let first = choices()
        #expect(first == choices())
        #expect(first != first.sorted(), "the order within a priority is random")
    }
}
