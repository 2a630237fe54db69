import DWebBase
import DWebCrypto
import DWebDHTCore
import Testing

/// Topics, their queries, waits, and rest; spec 30 sections G.5, G.6 and I 46, 47.
@Suite struct SwarmTopicTests {
    @Test func aQueryThatNobodyAnsweredIsRepeatedSoonAndThenRarely() throws {
        var rig = SwarmPolicyRig()
        _ = rig.act { _ = $0.join(SwarmPolicyRig.topic, as: .announce, now: $1) }
        var refresh = try #require(rig.act { $0.listening(true, now: $1) }.refreshes.first).id
        var pauses: [Duration] = []
        for _ in 0..<12 {
            let failed = rig.now
            _ = rig.act { $0.finished(refresh, succeeded: false, now: $1) }
            var new: [SwarmOutput] = []
            while new.refreshes.isEmpty, rig.now - failed < .seconds(1_000) { new += rig.advance(.milliseconds(100)) }
            refresh = try #require(new.refreshes.first).id
            pauses.append(rig.now - failed)
        }
        #expect(pauses[0] < .seconds(7))
        #expect(zip(pauses, pauses.dropFirst()).prefix(6).allSatisfy { $0 < $1 })
        #expect(pauses.suffix(4).allSatisfy { $0 >= .seconds(599) && $0 <= .seconds(721) })
        // One that was answered begins anew.
        _ = rig.act { $0.finished(refresh, succeeded: true, now: $1) }
        var next: [SwarmOutput] = []
        while next.refreshes.isEmpty { next += rig.advance(.seconds(1)) }
        let again = try #require(next.refreshes.first).id
        _ = rig.act { $0.finished(again, succeeded: false, now: $1) }
        #expect(!rig.advance(.seconds(7)).refreshes.isEmpty)
    }

    typealias Rig = SwarmPolicyRig

    @Test func announcingWaitsUntilThisNodeListens() {
        var rig = Rig()
        #expect(rig.act { _ = $0.join(Rig.topic, as: .both, now: $1) } == [.listen])
        #expect(rig.act { _ = $0.join(Bytes32(repeating: 8), as: .announce, now: $1) }.isEmpty)
        let outputs = rig.act { $0.listening(true, now: $1) }
        #expect(outputs.refreshes.map(\.kind) == [.announce(clears: true), .announce(clears: true)])
    }

    @Test func lookingUpDoesNotWait() {
        var rig = Rig()
        let outputs = rig.act { _ = $0.join(Rig.topic, as: .lookup, now: $1) }
        #expect(outputs.refreshes.map(\.kind) == [.lookup])
    }

    @Test func queriesAreRepeatedAfterTenToTwelveMinutes() {
        var waits: [Double] = []
        for seed in UInt8(1)...30 {
            var rig = Rig(seed: seed)
            var refresh = announced(&rig)
            for _ in 0..<3 {
                _ = rig.advance(.seconds(3))
                _ = rig.act { $0.finished(refresh, succeeded: true, now: $1) }
                let start = rig.now
                var next: [SwarmOutput] = []
                while next.refreshes.isEmpty { next = rig.advance(.milliseconds(100)) }
                waits.append((rig.now - start).seconds)
                refresh = next.refreshes[0].id
            }
        }
        #expect(waits.allSatisfy { (599.9...720.2).contains($0) })
        #expect(waits.max()! - waits.min()! > 60)
    }

    /// Announces a topic without looking it up, and returns the query for it.
    private func announced(_ rig: inout Rig) -> SwarmRefreshID {
        _ = rig.act { _ = $0.join(Rig.topic, as: .announce, now: $1) }
        return rig.act { $0.listening(true, now: $1) }.refreshes[0].id
    }

    @Test func whoFindsNobodyLooksAgainSoonAndThenLessOften() {
        var rig = Rig()
        var refresh = rig.lookUp()
        for pause in [5.0, 10, 20, 40, 80] {
            _ = rig.act { $0.finished(refresh, succeeded: true, now: $1) }
            let start = rig.now
            var next: [SwarmOutput] = []
            while next.refreshes.isEmpty { next = rig.advance(.milliseconds(100)) }
            let wait = (rig.now - start).seconds
            #expect(wait >= pause && wait <= 1.5 * pause + 0.1)
            #expect(next.refreshes.map(\.kind) == [.lookup])
            refresh = next.refreshes[0].id
        }
    }

    @Test func aFirstAnnouncementClearsOlderOnesAndLaterOnesDoNot() {
        var rig = Rig()
        _ = rig.act { _ = $0.join(Rig.topic, as: .announce, now: $1) }
        let first = rig.act { $0.listening(true, now: $1) }.refreshes[0]
        #expect(first.kind == .announce(clears: true))
        _ = rig.act { $0.finished(first.id, succeeded: true, now: $1) }
        #expect(rig.act { $0.refresh(Rig.topic, now: $1) }.refreshes.map(\.kind) == [.announce(clears: false)])
    }

    @Test func aLateQueryAfterSleepIsSpreadAnew() {
        var rig = Rig()
        let refresh = announced(&rig)
        _ = rig.act { $0.finished(refresh, succeeded: true, now: $1) }
        let due = rig.policy.nextDeadline!
        rig.now = due + .seconds(31)
        #expect(rig.act { $0.wake(now: $1) }.refreshes.isEmpty)
        let wait = rig.policy.nextDeadline! - rig.now
        #expect(wait >= .zero && wait <= .seconds(120))
        #expect(rig.advance(.seconds(121)).refreshes.count == 1)
    }

    @Test func aChangeOfInterestReplacesTheRunningQuery() {
        var rig = Rig()
        let refresh = rig.lookUp()
        var session: SwarmSessionID?
        #expect(
            rig.act { session = $0.join(Rig.topic, as: .announce, now: $1) } == [.cancelRefresh(refresh), .listen])
        #expect(rig.act { $0.listening(true, now: $1) }.refreshes.map(\.kind) == [.announce(clears: true)])
        // The interest in being found ends: the announcement is taken back by the next query.
        let outputs = rig.act { $0.leave(session!, now: $1) }
        #expect(outputs.refreshes.map(\.kind) == [.lookupAndUnannounce])
        #expect(rig.act { $0.finished(outputs.refreshes[0].id, succeeded: true, now: $1) }.isEmpty)
        #expect(rig.act { $0.refresh(Rig.topic, now: $1) }.refreshes.map(\.kind) == [.lookup])
    }

    @Test func equalInterestJoinsTheRunningQuery() {
        var rig = Rig()
        _ = rig.lookUp()
        #expect(rig.act { _ = $0.join(Rig.topic, as: .lookup, now: $1) }.isEmpty)
    }

    @Test func onlyLookingUpTakesPeers() {
        var rig = Rig()
        _ = rig.act { _ = $0.join(Rig.topic, as: .announce, now: $1) }
        let refresh = rig.act { $0.listening(true, now: $1) }.refreshes[0].id
        #expect(rig.find(Rig.key(1), in: refresh) == nil)
        #expect(rig.policy.diagnostics().isEmpty)
    }

    @Test func aLimitBoundsTheNewPeersPerQuery() {
        var rig = Rig { $0.parallelLimit = 100 }
        let refresh = rig.lookUp(limit: 2)
        for number in 1...10 { _ = rig.find(Rig.key(number), in: refresh) }
        #expect(rig.policy.diagnostics().count == 2)
    }

    @Test func resultsOfACancelledQueryAreIgnored() {
        var rig = Rig()
        let refresh = rig.lookUp()
        _ = rig.act { $0.leave(topic: Rig.topic, now: $1) }
        #expect(rig.find(Rig.key(1), in: refresh) == nil)
        #expect(rig.act { $0.finished(refresh, succeeded: true, now: $1) }.isEmpty)
        #expect(rig.policy.nextDeadline == nil)
    }

    @Test func leavingTakesTheAnnouncementBackAndRejoiningWaitsForThat() {
        var rig = Rig()
        _ = rig.act { _ = $0.join(Rig.topic, as: .announce, now: $1) }
        let refresh = rig.act { $0.listening(true, now: $1) }.refreshes[0].id
        #expect(
            rig.act { $0.leave(topic: Rig.topic, now: $1) }
                == [.cancelRefresh(refresh), .unannounce(topic: Rig.topic)])
        #expect(rig.policy.isLeaving(topic: Rig.topic))
        #expect(rig.act { _ = $0.join(Rig.topic, as: .announce, now: $1) }.isEmpty)
        let again = rig.act { $0.unannounceFinished(topic: Rig.topic, now: $1) }
        #expect(again.refreshes.map(\.kind) == [.announce(clears: true)])
    }

    // MARK: Waiting

    @Test func flushEndsAtOnceWhenNothingIsQueued() {
        var rig = Rig()
        #expect(rig.act { _ = $0.flush(now: $1) }.flushes == [true])
    }

    @Test func flushWaitsForQueriesThenForEveryPeerFound() {
        var rig = Rig { $0.parallelLimit = 2 }
        let refresh = rig.lookUp()
        #expect(rig.act { _ = $0.flush(now: $1) }.flushes.isEmpty)
        let attempts = (1...3).compactMap { rig.find(Rig.key($0), in: refresh) }
        #expect(rig.act { $0.finished(refresh, succeeded: true, now: $1) }.flushes.isEmpty)
        #expect(rig.act { $0.opened(attempts[0], now: $1) }.flushes.isEmpty)
        let third = rig.outputs.attempts.last!.id
        #expect(rig.act { $0.closed(attempts[1], now: $1) }.flushes.isEmpty)
        // A peer found after the wait began does not prolong it.
        let later = rig.act { $0.refresh(Rig.topic, now: $1) }.refreshes[0].id
        #expect(rig.find(Rig.key(9), in: later) != nil)
        #expect(rig.act { $0.opened(third, now: $1) }.flushes == [true])
    }

    @Test func flushEndsWhenTheSwarmIsFull() {
        var rig = Rig {
            $0.peerLimit = 2
            $0.parallelLimit = 1
        }
        let refresh = rig.lookUp()
        for number in 1...5 { _ = rig.find(Rig.key(number), in: refresh) }
        _ = rig.act { $0.finished(refresh, succeeded: true, now: $1) }
        #expect(rig.act { _ = $0.flush(now: $1) }.flushes.isEmpty)
        let first = rig.outputs.attempts[0].id
        _ = rig.act { $0.opened(first, now: $1) }
        let second = rig.outputs.attempts[1].id
        #expect(rig.act { $0.opened(second, now: $1) }.flushes == [true])
    }

    @Test func aTopicsFlushTellsWhetherItsQuerySucceeded() {
        for succeeded in [true, false] {
            var rig = Rig()
            let refresh = rig.lookUp()
            #expect(rig.act { _ = $0.flush(topic: Rig.topic, now: $1) }.flushes.isEmpty)
            #expect(rig.act { $0.finished(refresh, succeeded: succeeded, now: $1) }.flushes == [succeeded])
        }
    }

    @Test func closingEndsWaitsWithoutSuccess() {
        var rig = Rig()
        _ = rig.lookUp()
        _ = rig.act { _ = $0.flush(now: $1) }
        #expect(rig.act { $0.close(now: $1) }.flushes == [false])
        #expect(rig.act { _ = $0.flush(now: $1) }.flushes == [false])
        #expect(rig.policy.nextDeadline == nil)
    }

    // MARK: Rest

    @Test func suspendingClosesAndForgetsAndResumingQueriesAgain() {
        var rig = Rig()
        _ = rig.act { _ = $0.join(Rig.topic, as: .both, now: $1) }
        let refresh = rig.act { $0.listening(true, now: $1) }.refreshes[0].id
        let attempt = rig.find(Rig.key(1), in: refresh)!
        let (arrival, _) = rig.arrive(Rig.key(2))
        let outputs = rig.act { $0.suspend(now: $1) }
        #expect(outputs.contains(.cancelRefresh(refresh)))
        #expect(outputs.contains(.unannounce(topic: Rig.topic)))
        #expect(outputs.contains(.close(attempt, .suspended)))
        #expect(outputs.contains(.close(arrival, .suspended)))
        #expect(rig.policy.status(of: Rig.key(1)) == .notConnected(.suspended))
        _ = rig.act { $0.closed(attempt, now: $1) }
        _ = rig.act { $0.closed(arrival, now: $1) }
        _ = rig.act { $0.unannounceFinished(topic: Rig.topic, now: $1) }
        #expect(rig.policy.nextDeadline == nil)
        #expect(rig.advance(.seconds(3_600)).isEmpty)
        let (late, refused) = rig.arrive(Rig.key(3))
        #expect(refused == [.close(late, .suspended)])
        #expect(rig.act { $0.resume(now: $1) } == [.listen])
        #expect(rig.act { $0.listening(true, now: $1) }.refreshes.count == 1)
    }

    @Test func aNetworkChangeProbesConnectionsAndQueriesAgain() {
        var rig = Rig()
        let refresh = rig.lookUp()
        _ = rig.act { $0.finished(refresh, succeeded: true, now: $1) }
        let (arrival, _) = rig.arrive(Rig.key(2))
        let outputs = rig.act { $0.networkChanged(now: $1) }
        #expect(outputs.contains(.sendKeepAlive(arrival)))
        #expect(outputs.refreshes.count == 1)
    }
}
