import DWebBase
import DWebCrypto
import DWebLogCore
import Testing

/// The rules of spec 30 E one by one, and the limits.
@Suite struct ReplicationMachineTests {
    // MARK: Syncs and availability

    @Test func upgradesAreOfferedOnlyToPeersThatAreBehind() {
        let played = PlayedMachine(length: 8, contiguous: 8)
        played.connect()
        #expect(played.syncs.last?.canUpgrade == true, "a peer of length 0 can be upgraded")
        played.say(.sync(length: 8, remoteLength: 8))
        #expect(played.syncs.last?.canUpgrade == false)
        played.machine.localAppended(LogHead(fork: 0, length: 9), now: played.now)
        played.pump()
        #expect(
            played.syncs.last
                == SyncMessage(
                    fork: 0, length: 9, remoteLength: 8, canUpgrade: true, uploading: true, downloading: true,
                    hasManifest: true, allowPush: false))
        played.say(.sync(length: 12, remoteLength: 9))
        #expect(played.syncs.last?.canUpgrade == false)
        let count = played.syncs.count
        played.say(.sync(length: 12, remoteLength: 9))
        #expect(played.syncs.count == count, "only the longer side answers a sync")
    }

    @Test func otherForksAreNotOfferedUpgrades() {
        let played = PlayedMachine(length: 8, contiguous: 8, fork: 2)
        played.connect()
        played.say(.sync(length: 0, fork: 1))
        #expect(played.syncs.last?.canUpgrade == false)
        #expect(played.syncs.last?.remoteLength == 0)
    }

    @Test func contiguousLogIsAnnouncedOncePerLength() {
        let played = PlayedMachine(length: 4, contiguous: 2)
        played.connect()
        #expect(played.ranges == [RangeMessage(start: 0, length: 2)])
        played.machine.localBlocks(2..<3, stored: true, now: played.now)
        played.pump()
        #expect(played.ranges.last == RangeMessage(start: 2, length: 1))
        played.machine.localBlocks(3..<4, stored: true, now: played.now)
        played.pump()
        #expect(played.ranges.last == RangeMessage(start: 0, length: 4))
        let count = played.ranges.count
        played.machine.localBlocks(0..<4, stored: true, now: played.now)
        played.pump()
        #expect(played.ranges.count == count)
        played.machine.localBlocks(1..<2, stored: false, now: played.now)
        played.pump()
        #expect(played.ranges.last == RangeMessage(drop: true, start: 1, length: 1))
        played.machine.localBlocks(1..<2, stored: true, now: played.now)
        played.pump()
        #expect(played.ranges.last == RangeMessage(start: 0, length: 4))
    }

    @Test func oldBlocksAreAnnouncedToThoseWhoWantThem() {
        let played = PlayedMachine(length: 10_000, contiguous: 0)
        let first = played.connect(1)
        let second = played.connect(2)
        played.say(.want(WantMessage(start: 0, length: 64)), from: second)
        played.machine.localBlocks(5..<6, stored: true, now: played.now)
        played.pump()
        let toFirst = played.messages(to: first) { if case .range(let range) = $0 { range } else { nil } }
        let toSecond = played.messages(to: second) { if case .range(let range) = $0 { range } else { nil } }
        #expect(toFirst.isEmpty)
        #expect(toSecond == [RangeMessage(start: 5, length: 1)])
        played.machine.localBlocks(9_990..<9_991, stored: true, now: played.now)
        played.pump()
        #expect(played.ranges.count == 3, "recent blocks are for everybody")
    }

    @Test func wantsAreAnsweredByRangeOrBitfield() {
        let played = PlayedMachine(length: 200, contiguous: 70)
        played.connect()
        played.machine.localBlocks(130..<140, stored: true, now: played.now)
        played.pump()
        played.sent = []
        played.say(.want(WantMessage(start: 0, length: 64)))
        #expect(played.ranges == [RangeMessage(start: 0, length: 70)])
        played.sent = []
        played.say(.want(WantMessage(start: 128, length: 128)))
        let bitfields = played.messages { if case .bitfield(let message) = $0 { message } else { nil } }
        #expect(bitfields == [BitfieldMessage(start: 128, words: [0b1111_1111_1100, 0, 0])])
        played.sent = []
        played.say(.want(WantMessage(start: 100, length: 50, any: true)))
        #expect(played.ranges == [RangeMessage(start: 130, length: 1)])
        played.sent = []
        played.say(
            .want(WantMessage(start: 0, length: 1 << 22)), .want(WantMessage(start: 1 << 30, length: 32)),
            .want(WantMessage(start: 5, length: 0)))
        #expect(played.sent.isEmpty)
    }

    @Test func bitfieldsOverrideWhatWasAnnounced() {
        let played = PlayedMachine(length: 100, contiguous: 0)
        played.connect()
        played.say(.sync(length: 100, remoteLength: 100), .range(0..<100))
        played.say(
            .bitfield(BitfieldMessage(start: 32, words: [1 << 3])), .bitfield(BitfieldMessage(start: 1, words: [.max])))
        played.download(32, 64)
        #expect(played.requests.map { $0.proof.block?.index } == [35])
        played.get(70)
        #expect(played.requests.last?.proof.block?.index == 70, "blocks outside the bitfield stay known")
    }

    @Test func announcementsCannotFillMemory() {
        let played = PlayedMachine(length: 100, contiguous: 0)
        played.connect()
        played.say(.sync(length: ByteReader.integerLimit, remoteLength: 100))
        for step in 0..<6000 {
            played.machine.handle(
                .range(RangeMessage(start: UInt64(step) * 40_000 + 7, length: 1)), from: ReplicationPeerID(1),
                now: played.now)
        }
        played.say(
            .range(RangeMessage(start: 3, length: ByteReader.integerLimit)),
            .range(RangeMessage(drop: true, start: 5, length: ByteReader.integerLimit)),
            .range(RangeMessage(start: ByteReader.integerLimit, length: ByteReader.integerLimit)),
            .bitfield(BitfieldMessage(start: ByteReader.integerLimit & ~31, words: [.max, .max])))
        played.download(0, 100)
        #expect(!played.requests.isEmpty)

        var map = AvailabilityMap(pageLimit: 4)
        for page: UInt64 in 0..<10 { map.insert(page << 15) }
        #expect(map.allocatedPageCount == 4)
        #expect(map.contains(3 << 15) && !map.contains(4 << 15))
        map.remove(0)
        map.insert(9 << 15)
        #expect(map.contains(9 << 15), "a page that was emptied can be used again")
    }

    @Test func wantedWindowsAreAlignedAndLimited() {
        let window = ReplicationLimits.wantWindowBlockCount
        let played = PlayedMachine(length: 600 * window, contiguous: 0)
        played.connect()
        played.say(.sync(length: 600 * window, remoteLength: 600 * window))
        for number in 0..<UInt64(ReplicationLimits.wantWindowsPerPeer + 1) { played.get(number * window + 77) }
        #expect(played.wants.count == ReplicationLimits.wantWindowsPerPeer + 1)
        #expect(played.wants.allSatisfy { $0.start % window == 0 && $0.length == window })
        #expect(played.unwants == [WantMessage(start: 0, length: window)])
    }

    @Test func tooManyWantsTurnIntoEverything() {
        var wants = PeerWants()
        for number in 0..<UInt64(ReplicationLimits.wantWindowsPerPeer) {
            let isTaken = wants.insert(WantMessage(start: number * 32, length: 32))
            #expect(isTaken)
        }
        #expect(!wants.wantsEverything)
        #expect(wants.contains(31) && !wants.contains(1 << 40))
        #expect(wants.overlaps(500 * 32 + 5..<1 << 40) && !wants.overlaps(1 << 40..<1 << 41))
        wants.remove(WantMessage(start: 0, length: 32))
        #expect(!wants.contains(31))
        _ = wants.insert(WantMessage(start: 0, length: 32))
        _ = wants.insert(WantMessage(start: 1 << 30, length: 32))
        #expect(wants.wantsEverything && wants.contains(1 << 40))

        var sizes = PeerWants()
        for shift in 5..<UInt64(5 + ReplicationLimits.wantSizesPerPeer) {
            _ = sizes.insert(WantMessage(start: 0, length: 1 << shift))
        }
        #expect(!sizes.wantsEverything)
        _ = sizes.insert(WantMessage(start: 0, length: 1 << 20))
        #expect(sizes.wantsEverything)

        var anything = PeerWants()
        for number in 0..<UInt64(ReplicationLimits.anyWantsPerPeer) {
            _ = anything.insert(WantMessage(start: number, length: 5, any: true))
        }
        #expect(!anything.wantsEverything)
        _ = anything.insert(WantMessage(start: 99, length: 5, any: true))
        #expect(anything.wantsEverything)

        var odd = PeerWants()
        let isTaken = odd.insert(WantMessage(start: 1, length: 33))
        #expect(isTaken && odd.wantsEverything)
        let isTooLongTaken = odd.insert(WantMessage(start: 0, length: ReplicationLimits.wantWindowBlockCount * 2))
        #expect(!isTooLongTaken)
    }

    // MARK: Requests

    @Test(arguments: [(false, 10, 48), (true, 50, 16), (true, 100, 32), (true, 10_000, 512)])
    func referenceWindows(isUDX: Bool, milliseconds: Int, expected: Int) {
        var options = ReplicationOptions()
        options.inFlight = .reference
        let played = PlayedMachine(length: 2000, options: options)
        played.connect(isUDX: isUDX, roundTripTime: .milliseconds(milliseconds))
        played.say(.sync(length: 2000, remoteLength: 2000), .range(0..<2000))
        played.download(0, 2000)
        #expect(played.requests.count == expected)
    }

    @Test func windowGrowsWhileAnswersAreQuick() {
        let played = PlayedMachine(length: 100_000)
        played.connect()
        played.say(.sync(length: 100_000, remoteLength: 100_000), .range(0..<100_000))
        played.download(0, 100_000)
        #expect(played.requests.count == 64)
        var answered = 0
        for _ in 0..<2000 {
            let request = played.requests[answered]
            answered += 1
            played.say(.block(request.proof.block!.index, answering: request.id))
            played.verified(played.applied)
        }
        #expect(played.requests.count - answered == 512)
    }

    @Test func windowIsBoundedByBytesAndDelay() {
        var window = RequestWindow(policy: .adaptive(start: 64, most: 512, byteCount: 1 << 20))
        let transport = PeerTransport(isUDX: false)
        window.noteAnswer(after: .milliseconds(1), byteCount: 64 << 10, inFlight: 64)
        #expect(window.limit(transport: transport, peerCount: 1) == 16)
        var slow = RequestWindow(policy: .adaptive(start: 256, most: 512, byteCount: 1 << 30))
        slow.noteAnswer(after: .milliseconds(20), byteCount: 100, inFlight: 256)
        for _ in 0..<3000 { slow.noteAnswer(after: .seconds(1), byteCount: 100, inFlight: 256) }
        #expect(slow.limit(transport: transport, peerCount: 1) < 64)
        #expect(slow.limit(transport: transport, peerCount: 1) >= 16)
    }

    @Test func upgradesNeedAcknowledgementAndComeOneAtATime() {
        let played = PlayedMachine(length: 10, contiguous: 10)
        let first = played.connect(1)
        let second = played.connect(2)
        played.say(.sync(length: 20, remoteLength: 5), from: first)
        #expect(played.requests.isEmpty, "the peer has not acknowledged our length")
        played.say(.sync(length: 20, remoteLength: 10), from: first)
        #expect(played.requests.count == 1)
        #expect(played.requests[0].proof.upgrade == ProofRequest.Upgrade(start: 10, length: 10))
        played.say(.sync(length: 25, remoteLength: 10), from: second)
        #expect(played.requests.count == 1, "another upgrade is in flight")
        played.say(.noData(NoDataMessage(request: 1, reason: .notAvailable)), from: first)
        #expect(played.requests.count == 2)
    }

    @Test func upgradesTravelWithBlocks() {
        let played = PlayedMachine(length: 10, contiguous: 0)
        played.connect()
        played.say(.sync(length: 10, remoteLength: 10, canUpgrade: false), .range(0..<10))
        played.get(3)
        #expect(played.requests.last?.proof.upgrade == nil)
        played.say(.block(3, answering: 1))
        played.verified(played.applied)
        played.machine.wantBlock(4, ticket: played.ticket(), now: played.now)
        played.say(.sync(length: 30, remoteLength: 10))
        #expect(played.requests.last?.proof.block?.index == 4)
        #expect(played.requests.last?.proof.upgrade == ProofRequest.Upgrade(start: 10, length: 20))
    }

    @Test func blocksOfAnUnprovenHistoryAreNotRequested() {
        // The peer is behind, and whether its blocks are of the same history cannot be told.
        let played = PlayedMachine(length: 100, contiguous: 0)
        played.machine.hasNode = { _ in false }
        played.connect()
        played.say(.sync(length: 50, remoteLength: 100, canUpgrade: false), .range(0..<50))
        played.get(7)
        #expect(played.requests.isEmpty)
        played.machine.hasNode = { _ in true }
        played.say(.sync(length: 50, remoteLength: 100, canUpgrade: false))
        #expect(played.requests.map { $0.proof.block?.index } == [7])
    }

    @Test func otherForkIsNotAskedForBlocks() {
        var options = ReplicationOptions()
        options.allowsForks = false
        let played = PlayedMachine(length: 10, options: options)
        played.connect()
        played.say(.sync(length: 10, remoteLength: 0, fork: 1), .range(0..<10))
        played.get(7)
        #expect(played.requests.isEmpty)
    }

    @Test func cancelledIdentifierWaitsForAYoungerAnswer() {
        let played = PlayedMachine(length: 10)
        played.connect()
        played.say(.sync(length: 10, remoteLength: 10), .range(0..<10))
        played.get(2)
        let ticket = played.get(1)
        played.machine.cancel(ticket, now: played.now)
        played.pump()
        #expect(played.cancels == [2])
        played.say(.block(2, answering: 1))
        played.verified(played.applied)
        played.get(3)
        #expect(played.requests.last?.id == 1)
        played.get(4)
        #expect(played.requests.last?.id == 3, "the answer to an older request proves nothing")
        // A late answer to the cancelled request is nobody's.
        played.say(.block(1, answering: 2))
        #expect(played.verifications.isEmpty)
        played.say(.block(3, answering: 1))
        played.verified(played.applied)
        played.get(5)
        played.get(6)
        #expect(Set(played.requests.suffix(2).map(\.id)) == [1, 2])
    }

    @Test func identifiersAreLimited() {
        let played = PlayedMachine(length: 100_000)
        played.connect()
        played.say(.sync(length: 100_000, remoteLength: 100_000), .range(0..<100_000))
        for index in 0..<UInt64(ReplicationLimits.requestIDsPerPeer + 10) {
            let ticket = played.get(index)
            played.machine.cancel(ticket, now: played.now)
        }
        played.pump()
        played.get(99_000)
        #expect(played.requests.count == ReplicationLimits.requestIDsPerPeer)
        #expect(Set(played.requests.map(\.id)).count == ReplicationLimits.requestIDsPerPeer)
    }

    @Test func verificationsInHandAreLimited() {
        let played = PlayedMachine(length: 100_000)
        played.connect()
        played.say(.sync(length: 100_000, remoteLength: 100_000), .range(0..<100_000))
        played.download(0, 100_000)
        var answered = 0
        while answered < played.requests.count {
            let request = played.requests[answered]
            answered += 1
            played.say(.block(request.proof.block!.index, answering: request.id))
            if answered > 5000 { break }
        }
        #expect(played.verifications.count < ReplicationLimits.pendingVerifications + 512)
        #expect(answered == played.requests.count)
        while !played.verifications.isEmpty { played.verified(played.applied) }
        #expect(played.requests.count > answered, "it goes on once there is room")
    }

    @Test func levelsStopAtTheNearestStoredNode() {
        let played = PlayedMachine(length: 16)
        played.connect()
        played.say(.sync(length: 16, remoteLength: 16), .range(0..<16))
        func levels(_ index: UInt64) -> UInt64? {
            played.get(index)
            return played.requests.last?.proof.block?.nodes
        }
        #expect(levels(5) == 4, "up to the root")
        #expect(levels(4) == 0, "the sibling comes with block 5")
        #expect(levels(6) == 1)
        #expect(levels(0) == 2)
        #expect(levels(15) == 3)
    }

    @Test func answersWaitForTheNodesTheyBuildOn() {
        let played = PlayedMachine(length: 16)
        played.connect()
        played.say(.sync(length: 16, remoteLength: 16), .range(0..<16))
        for index: UInt64 in [5, 4, 6, 7] { played.get(index) }
        let ids = Dictionary(uniqueKeysWithValues: played.requests.map { ($0.proof.block!.index, $0.id) })
        played.say(.block(7, answering: ids[7]!), .block(6, answering: ids[6]!))
        #expect(played.verifications.isEmpty, "the nodes they connect to are still on their way")
        played.say(.block(5, answering: ids[5]!))
        #expect(played.verifications.compactMap { $0.data.block?.index } == [5, 6, 7])
        played.say(.block(4, answering: ids[4]!))
        #expect(played.verifications.count == 4)
        while !played.verifications.isEmpty { played.verified(played.applied) }
        #expect(played.machine.isQuiet)
    }

    @Test func answersWithoutTheirNodesAreAskedForAgain() {
        let played = PlayedMachine(length: 16)
        played.connect()
        played.say(.sync(length: 16, remoteLength: 16), .range(0..<16))
        played.get(5)
        played.get(4)
        played.say(.block(4, answering: 2))
        played.say(.noData(NoDataMessage(request: 1, reason: .unspecified)))
        let last = played.requests.last { $0.proof.block?.index == 4 }
        #expect(last?.proof.block?.nodes == 4, "now with everything up to the root")
    }

    @Test func answersThatDoNotFitAreRefused() {
        let played = PlayedMachine(length: 16)
        played.connect()
        played.say(.sync(length: 16, remoteLength: 16), .range(0..<16))
        played.get(5)
        played.say(.block(6, answering: 1))
        played.say(.block(5, answering: 77))
        #expect(played.verifications.isEmpty)
        #expect(played.requests.count == 2, "it is asked for again")
        played.say(.block(5, answering: played.requests[1].id, fork: 3))
        #expect(played.verifications.isEmpty)
        let other = played.connect(2)
        played.say(.block(5, answering: played.requests[2].id), from: other)
        #expect(played.verifications.isEmpty, "another peer's request")
    }

    // MARK: Misbehaviour

    @Test(arguments: [NoDataMessage.Reason.notAvailable, .invalidRequest])
    func peerWithoutDataIsPaused(reason: NoDataMessage.Reason) {
        let played = PlayedMachine(length: 1000)
        played.connect()
        played.say(.sync(length: 1000, remoteLength: 1000), .range(0..<1000))
        played.download(0, 1000)
        for count in 0..<ReplicationLimits.noDataPerPeer {
            #expect(!played.events.contains(.peerPaused(ReplicationPeerID(1))), "after \(count)")
            played.say(.noData(NoDataMessage(request: played.requests[count].id, reason: reason)))
        }
        #expect(played.events.contains(.peerPaused(ReplicationPeerID(1))))
        let count = played.requests.count
        played.say(.sync(length: 1000, remoteLength: 1000))
        #expect(played.requests.count == count)
        #expect(played.faults.isEmpty, "the stream stays")
    }

    @Test func invalidDataPausesAndProbes() {
        let played = PlayedMachine(length: 10)
        played.connect()
        played.say(.sync(length: 10, remoteLength: 10), .range(0..<10))
        played.get(5)
        played.say(.block(5, answering: 1))
        played.verified(.rejected(.invalidChecksum))
        #expect(
            played.requests.last
                == RequestMessage(
                    id: 0, fork: 0, proof: ProofRequest(upgrade: ProofRequest.Upgrade(start: 0, length: 10))))
        #expect(played.events.contains(.peerPaused(ReplicationPeerID(1))))
        #expect(played.faults.isEmpty && played.closed.isEmpty)
        let proof = DataMessage(
            request: 0, fork: 0,
            upgrade: DataMessage.Upgrade(start: 0, length: 10, nodes: [], additionalNodes: [], signature: [1]))
        let count = played.requests.count
        played.say(.data(proof))
        #expect(played.verifications.last?.purpose == .conflict)
        played.verified(.sameHistory)
        #expect(played.events.contains(.peerResumed(ReplicationPeerID(1))))
        #expect(played.requests.count == count + 1, "the block is asked for again")
    }

    @Test func invalidOperationsPauseOnlyAfterMany() {
        let played = PlayedMachine(length: 1000)
        played.connect()
        played.say(.sync(length: 1000, remoteLength: 1000), .range(0..<1000))
        played.get(5)
        for count in 0..<ReplicationLimits.invalidOperationsPerPeer {
            #expect(played.requests.count == count + 1)
            played.say(.block(5, answering: played.requests[count].id))
            played.verified(.rejected(.invalidOperation))
        }
        #expect(played.events.contains(.peerPaused(ReplicationPeerID(1))))
        #expect(played.requests.count == ReplicationLimits.invalidOperationsPerPeer)
    }

    @Test func storageFailurePausesThePeer() {
        let played = PlayedMachine(length: 10)
        played.connect()
        played.say(.sync(length: 10, remoteLength: 10), .range(0..<10))
        played.get(5)
        played.say(.block(5, answering: 1))
        played.verified(.storageFailed)
        #expect(played.events == [.remoteContiguousLength(10), .peerPaused(ReplicationPeerID(1))])
    }

    @Test func invalidRequestsAreAnsweredLateAndEndTheStream() {
        let played = PlayedMachine(length: 10, contiguous: 10)
        played.connect()
        var expected: [Duration] = [.milliseconds(200)]
        expected += Array(repeating: .milliseconds(500), count: 3)
        expected += Array(repeating: .seconds(1), count: 35)
        expected += Array(repeating: .seconds(5), count: 24)
        #expect(expected.count == ReplicationLimits.invalidRequestsPerPeer - 1)
        for (count, delay) in expected.enumerated() {
            played.say(
                .request(
                    RequestMessage(
                        id: 5, fork: 0, proof: ProofRequest(upgrade: ProofRequest.Upgrade(start: 3, length: 0)))))
            let serve = played.serves.removeFirst()
            played.machine.served(serve.token, .invalidRequest, now: played.now)
            played.pump()
            #expect(played.machine.nextDeadline == played.now + delay)
            played.advance(delay - .milliseconds(1))
            #expect(played.noData.count == count)
            played.advance(.milliseconds(1))
            #expect(played.noData.last == NoDataMessage(request: 5, reason: .invalidRequest))
        }
        played.say(
            .request(RequestMessage(id: 5, fork: 0, proof: ProofRequest(hash: ProofRequest.Hash(index: 9, nodes: 99)))))
        played.machine.served(played.serves.removeFirst().token, .invalidRequest, now: played.now)
        played.pump()
        #expect(played.faults == [.tooManyInvalidRequests])
    }

    @Test func conflictEndsEverything() {
        let played = PlayedMachine(length: 10, contiguous: 10)
        played.connect(1)
        played.connect(2)
        let proof = DataMessage(
            request: 0, fork: 0,
            upgrade: DataMessage.Upgrade(start: 0, length: 9, nodes: [], additionalNodes: [], signature: [1]))
        played.say(.data(proof))
        played.verified(.conflict)
        #expect(played.machine.isFrozen)
        #expect(played.events.contains(.conflict(ReplicationPeerID(1))))
        #expect(played.serves.map(\.kind) == [.conflictProof, .conflictProof])
        #expect(played.serves.allSatisfy { $0.request.id == 0 })
        for serve in played.serves { played.machine.served(serve.token, .data(proof), now: played.now) }
        played.pump()
        #expect(played.closed == [ReplicationPeerID(1), ReplicationPeerID(2)])
        let count = played.sent.count
        played.connect(3)
        played.say(.ask(3, id: 1), from: ReplicationPeerID(3))
        #expect(played.sent.count == count)
    }

    @Test func conflictChecksAreLimited() {
        let played = PlayedMachine(length: 10, contiguous: 10)
        played.connect()
        let proof = DataMessage(
            request: 0, fork: 0,
            upgrade: DataMessage.Upgrade(start: 0, length: 9, nodes: [], additionalNodes: [], signature: [1]))
        for _ in 0..<ReplicationLimits.conflictChecksPerPeer + 5 { played.say(.data(proof)) }
        #expect(played.verifications.count == ReplicationLimits.conflictChecksPerPeer)
        let longer = DataMessage(
            request: 0, fork: 0,
            upgrade: DataMessage.Upgrade(start: 0, length: 11, nodes: [], additionalNodes: [], signature: [1]))
        played.say(.data(longer), from: played.connect(2))
        #expect(played.verifications.count == ReplicationLimits.conflictChecksPerPeer, "nothing to compare with")
    }
}
