import DWebBase
import DWebCrypto
import DWebLogCore
import Testing

/// The rules of spec 30 E for who is asked, and for peers that come and go.
extension ReplicationMachineTests {
    // MARK: Serving

    @Test func missingBlocksAndOtherForksGetNoData() {
        let played = PlayedMachine(length: 10, contiguous: 5)
        played.connect()
        played.say(.ask(4, id: 1), .ask(5, id: 2), .ask(4, id: 3, fork: 1), .ask(99, id: 4))
        #expect(played.serves.map(\.request.id) == [1])
        #expect(played.noData.map(\.request) == [2, 3, 4])
        #expect(played.noData.allSatisfy { $0.reason == .notAvailable })
        var request = RequestMessage(
            id: 6, fork: 1, proof: ProofRequest(upgrade: ProofRequest.Upgrade(start: 0, length: 1)), manifest: true)
        played.say(.request(request))
        #expect(played.serves.last?.kind == .manifestOnly)
        request.proof = ProofRequest()
        request.fork = 0
        request.id = 7
        played.say(.request(request))
        #expect(played.serves.last?.kind == .manifestOnly)
    }

    @Test func fullStreamHoldsAnswersBack() {
        let played = PlayedMachine(length: 100, contiguous: 100)
        let peer = played.connect()
        played.machine.setPeer(peer, isDrained: false, now: played.now)
        for index: UInt64 in 0..<4 { played.say(.ask(index, id: index + 1)) }
        played.say(.ask(50, id: 51, priority: 1), .ask(60, id: 61, priority: 1), .ask(70, id: 2))
        played.say(.cancel(CancelMessage(request: 3)))
        #expect(played.serves.isEmpty)
        played.machine.setPeer(peer, isDrained: true, now: played.now)
        played.pump()
        #expect(
            played.serves.map { $0.request.proof.block?.index } == [60, 50, 0, 3, 70],
            "urgent ones first, the last of them before the others")
    }

    @Test func servingIsLimitedPerPeer() {
        let played = PlayedMachine(length: 10_000, contiguous: 10_000)
        let peer = played.connect()
        for index in 0..<UInt64(ReplicationLimits.concurrentServesPerPeer + 10) {
            played.say(.ask(index, id: index + 1))
        }
        #expect(played.serves.count == ReplicationLimits.concurrentServesPerPeer)
        let serve = played.serves.removeFirst()
        played.machine.served(serve.token, .unavailable, now: played.now)
        played.pump()
        #expect(played.serves.count == ReplicationLimits.concurrentServesPerPeer)
        #expect(played.noData.map(\.request) == [1])
        var id: UInt64 = 5000
        while played.faults.isEmpty, id < 20_000 {
            id += 1
            played.machine.handle(.ask(1, id: id), from: peer, now: played.now)
            played.pump()
        }
        #expect(played.faults == [.tooManyRequests])
        #expect(id - 5000 <= UInt64(ReplicationLimits.queuedRequestsPerPeer))
    }

    @Test func cancelledAnswersAreSuppressed() {
        let played = PlayedMachine(length: 10, contiguous: 10)
        played.connect()
        played.say(.ask(1, id: 1), .ask(2, id: 2))
        let cancelled = played.serves[0]
        played.say(.cancel(CancelMessage(request: 1)), .cancel(CancelMessage(request: 9)))
        #expect(played.cancelledServes == [cancelled.token])
        played.machine.served(cancelled.token, .data(DataMessage(request: 1, fork: 0)), now: played.now)
        played.pump()
        #expect(played.messages { if case .data = $0 { true } else { nil } }.isEmpty)
        // A reused id stands for the newer request only.
        played.say(.ask(3, id: 2))
        for serve in played.serves {
            played.machine.served(
                serve.token, .data(DataMessage(request: 2, fork: serve.request.proof.block!.index)), now: played.now)
        }
        played.pump()
        let answers = played.messages { if case .data(let data) = $0 { data } else { nil } }
        #expect(answers.map(\.fork) == [3])
        #expect(played.machine.isQuiet)
    }

    // MARK: Coming and going

    @Test func nothingIsSentBeforeThePeerOpened() {
        let played = PlayedMachine(length: 10, contiguous: 10)
        played.machine.addPeer(ReplicationPeerID(1), transport: PeerTransport(isUDX: true), now: played.now)
        played.say(.ask(1, id: 1), .sync(length: 5))
        played.machine.localAppended(LogHead(fork: 0, length: 11), now: played.now)
        played.pump()
        #expect(played.sent.isEmpty && played.serves.isEmpty)
    }

    @Test func channelIsReopenedIfItWasClosedTooEarly() {
        let played = PlayedMachine(length: 10, contiguous: 10)
        let peer = played.connect()
        played.say(.sync(length: 10, remoteLength: 10, downloading: false))
        #expect(played.closed.isEmpty, "we still download")
        played.machine.peerClosedChannel(peer, now: played.now)
        played.pump()
        #expect(played.reopened == [peer])
        let other = played.connect(2)
        played.say(.sync(length: 10, remoteLength: 10), from: other)
        played.machine.peerClosedChannel(other, now: played.now)
        played.pump()
        #expect(played.reopened == [peer])
    }

    @Test func lingersBeforeSayingThatNothingIsWanted() {
        let played = PlayedMachine(length: 10, contiguous: 10)
        played.connect()
        played.say(.sync(length: 10, remoteLength: 10))
        let count = played.syncs.count
        played.machine.setActive(false, now: played.now)
        played.pump()
        let deadline = played.machine.nextDeadline!
        #expect(deadline >= played.now + .seconds(20) && deadline <= played.now + .seconds(40))
        #expect(played.syncs.count == count)
        played.advance(.seconds(40))
        #expect(played.syncs.last?.downloading == false)
        #expect(played.closed.isEmpty, "the peer still downloads")
        played.machine.setActive(true, now: played.now)
        played.pump()
        #expect(played.syncs.last?.downloading == true)
        played.machine.setActive(false, now: played.now)
        played.advance(.seconds(40))
        played.say(.sync(length: 10, remoteLength: 10, downloading: false))
        #expect(played.closed == [ReplicationPeerID(1)])
    }

    @Test func forksAreLimited() {
        let played = PlayedMachine(length: 10, contiguous: 10)
        for number in 1...UInt64(ReplicationLimits.reorganisations + 3) {
            let peer = played.connect(number)
            played.say(.sync(length: 5, fork: number), from: peer)
        }
        let forks = played.requests.map(\.fork)
        #expect(forks == Array(1...UInt64(ReplicationLimits.reorganisations + 3)))
        // Only the highest are still collected.
        for (position, request) in played.requests.enumerated() {
            let data = DataMessage(
                request: request.id, fork: request.fork,
                upgrade: DataMessage.Upgrade(start: 0, length: 5, nodes: [], additionalNodes: [], signature: [1]))
            played.say(.data(data), from: ReplicationPeerID(UInt64(position + 1)))
        }
        #expect(played.verifications.count == ReplicationLimits.reorganisations)
        while !played.verifications.isEmpty { played.verified(.rejected(.invalidSignature)) }
        #expect(played.faults == Array(repeating: .invalidProof, count: ReplicationLimits.reorganisations))
        #expect(played.requests.last?.fork == 1, "now the others are looked at again")
    }

    @Test func extensionNamesAreLimited() {
        let played = PlayedMachine()
        played.connect()
        let name = String(repeating: "x", count: ReplicationLimits.extensionNameByteCount + 1)
        played.machine.handle(
            .extensionMessage(ExtensionMessage(name: name, message: [])), from: ReplicationPeerID(1), now: played.now)
        let output = played.machine.pollOutput()
        if output != nil { Issue.record("the message is ignored") }
    }

    @Test func whatFewHaveComesFirst() {
        var options = ReplicationOptions()
        options.inFlight = .adaptive(start: 4, most: 4, byteCount: 1 << 20)
        let played = PlayedMachine(length: 300, options: options)
        for number in UInt64(1)...3 { played.connect(number) }
        // One peer has all, one the middle, one the end of the middle.
        played.say(.sync(length: 300, remoteLength: 300), .range(2..<298), from: ReplicationPeerID(2))
        played.say(.sync(length: 300, remoteLength: 300), .range(150..<298), from: ReplicationPeerID(3))
        played.say(.sync(length: 300, remoteLength: 300), .range(0..<300), from: ReplicationPeerID(1))
        played.download(0, 300, isLinear: false)
        func asked(_ number: UInt64) -> [UInt64] {
            played.messages(to: ReplicationPeerID(number)) { message in
                if case .request(let request) = message { request.proof.block?.index } else { nil }
            }
        }
        #expect(Set(asked(1).prefix(4)) == [0, 1, 298, 299])
        #expect(asked(2).prefix(4).allSatisfy { 2..<150 ~= $0 } && asked(2).count >= 4, "\(asked(2))")
        #expect(asked(3).prefix(4).allSatisfy { 150..<298 ~= $0 } && asked(3).count >= 4, "\(asked(3))")
    }

    @Test func repeatedLiesEndTheStream() {
        let played = PlayedMachine(length: 10)
        played.connect()
        played.say(.sync(length: 10, remoteLength: 10), .range(0..<10))
        let proof = DataMessage(
            request: 0, fork: 0,
            upgrade: DataMessage.Upgrade(start: 0, length: 10, nodes: [], additionalNodes: [], signature: [1]))
        played.get(5)
        for strike in 1...ReplicationLimits.invalidProofsPerPeer {
            #expect(played.faults.isEmpty)
            played.say(.block(5, answering: played.requests.last!.id))
            played.verified(.rejected(.invalidChecksum))
            if strike == ReplicationLimits.invalidProofsPerPeer { break }
            played.say(.data(proof))
            played.verified(.sameHistory)
        }
        #expect(played.faults == [.invalidProof])
    }

    @Test func liesThatNothingExplainsEndTheStream() {
        // Without a log of our own there is no history that could differ.
        let empty = PlayedMachine()
        empty.connect()
        empty.say(.sync(length: 10))
        empty.say(
            .data(
                DataMessage(
                    request: 1, fork: 0,
                    upgrade: DataMessage.Upgrade(start: 0, length: 10, nodes: [], additionalNodes: [], signature: [1])))
        )
        empty.verified(.rejected(.invalidSignature))
        #expect(empty.faults == [.invalidProof])
        // A history that the peer cannot prove.
        let played = PlayedMachine(length: 10)
        played.connect()
        played.say(.sync(length: 10, remoteLength: 10), .range(0..<10))
        played.get(5)
        played.say(.block(5, answering: 1))
        played.verified(.rejected(.invalidChecksum))
        #expect(played.faults.isEmpty)
        played.say(
            .data(
                DataMessage(
                    request: 0, fork: 0,
                    upgrade: DataMessage.Upgrade(start: 0, length: 10, nodes: [], additionalNodes: [], signature: [1])))
        )
        played.verified(.rejected(.invalidSignature))
        #expect(played.faults == [.invalidProof])
        // A fork that is not signed.
        let forked = PlayedMachine(length: 10)
        forked.connect()
        forked.say(.sync(length: 5, fork: 3))
        forked.say(
            .data(
                DataMessage(
                    request: 1, fork: 3,
                    upgrade: DataMessage.Upgrade(start: 0, length: 5, nodes: [], additionalNodes: [], signature: [1]))))
        forked.verified(.rejected(.invalidSignature))
        #expect(forked.faults == [.invalidProof])
    }

    @Test func anUpgradeThatDoesNotComeIsAskedOfAnother() {
        let played = PlayedMachine()
        for number in UInt64(1)...2 {
            played.connect(number)
            played.say(.sync(length: 10), from: ReplicationPeerID(number))
        }
        #expect(played.requests.count == 1, "one is enough")
        played.advance(ReplicationLimits.upgradePatience)
        #expect(played.requests.count == 2 && played.requests[1].proof.upgrade?.length == 10)
    }

    @Test func fewWindowsOfARangeAreWantedAtATime() {
        let length = ReplicationLimits.wantWindowBlockCount * 8
        let played = PlayedMachine(length: length)
        played.connect()
        played.say(.sync(length: length, remoteLength: length))
        played.download(0, length)
        #expect(played.wants.count == ReplicationLimits.activeWindowsPerRange)
    }

    @Test func wantsOfAFullStreamAreLimited() {
        let length: UInt64 = 1 << 24
        let played = PlayedMachine(length: length, contiguous: length - 1)
        let peer = played.connect()
        played.say(.sync(length: 0))
        played.machine.setPeer(peer, isDrained: false, now: played.now)
        let before = played.ranges.count
        for number in 0..<UInt64(ReplicationLimits.wantWindowsPerPeer + 200) {
            played.say(.want(WantMessage(start: number * 32, length: 32)))
        }
        #expect(played.ranges.count == before)
        played.machine.setPeer(peer, isDrained: true, now: played.now)
        played.pump()
        #expect(played.ranges.count - before == ReplicationLimits.wantWindowsPerPeer)
    }

    /// One peer is dead, a second one gives nothing after all: the block must not wait for the first for ever.
    @Test func aCopyThatFailedIsAskedOfAnother() {
        let played = PlayedMachine(length: 10)
        for number in UInt64(1)...3 {
            played.connect(number)
            played.say(.sync(length: 10, remoteLength: 10), .range(0..<10), from: ReplicationPeerID(number))
            if number == 1 { played.get(5) }
            played.advance(.seconds(1))
            #expect(played.requests.count == Int(number))
            if number == 2 {
                played.say(
                    .noData(NoDataMessage(request: played.requests[1].id, reason: .notAvailable)),
                    from: ReplicationPeerID(2))
            }
        }
        let last = played.messages(to: ReplicationPeerID(3)) { message in
            if case .request(let request) = message { request.proof.block?.index } else { nil }
        }
        #expect(last == [5])
    }
}
