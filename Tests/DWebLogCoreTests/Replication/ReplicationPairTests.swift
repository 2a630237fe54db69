import DWebBase
import DWebCrypto
import DWebLogCore
import Testing

/// Two and three replicas with real proofs in virtual time.
@Suite struct ReplicationPairTests {
    func expectEqual(_ reader: ReplicaShell, _ writer: ReplicaShell, sourceLocation: SourceLocation = #_sourceLocation)
    {
        #expect(reader.tree == writer.tree, sourceLocation: sourceLocation)
        #expect(reader.blocks == writer.blocks, sourceLocation: sourceLocation)
        #expect(reader.rejections.isEmpty, sourceLocation: sourceLocation)
    }

    @Test(arguments: [true, false]) func readerDownloadsEverything(isLinear: Bool) {
        let writer = ReplicaShell.writer(blocks: replicaBlocks(1000))
        let reader = writer.reader()
        let world = ReplicaWorld(writer, reader)
        let ticket = reader.download(0, 1000, isLinear: isLinear)
        world.connect(writer, reader)
        world.run()
        expectEqual(reader, writer)
        #expect(reader.outcomes[ticket] == .rangeComplete)
        // One request for the upgrade, one per block, none twice.
        #expect(world.requests(from: "reader").count == 1001)
        // Nodes that arrive with earlier blocks are not asked for again.
        #expect(reader.verifiedNodeCount < 2100)
        let ranges = world.messages(from: "reader") { if case .range(let range) = $0 { range } else { nil } }
        #expect(ranges == [RangeMessage(start: 0, length: 1000)])
        let cancels = world.messages(from: "reader") { if case .cancel = $0 { true } else { nil } }
        #expect(cancels.isEmpty)
    }

    @Test func sessionComesInTheOrderOfTheReference() {
        let writer = ReplicaShell.writer(blocks: replicaBlocks(2))
        let reader = writer.reader()
        let world = ReplicaWorld(writer, reader)
        world.connect(writer, reader)
        world.run()
        let first = reader.get(0)
        world.run()
        #expect(reader.outcomes[first] == .blockStored(0))
        let kinds = world.sent.filter { $0.from == "reader" }.map(\.message.type)
        #expect(kinds.first == 0)
        let requests = world.requests(from: "reader")
        #expect(requests.count == 2)
        #expect(requests[0].proof == ProofRequest(upgrade: ProofRequest.Upgrade(start: 0, length: 2)))
        #expect(requests[0].manifest)
        #expect(requests[1].proof == ProofRequest(block: ProofRequest.Block(index: 0, nodes: 1)))
        #expect(requests[1].priority == 1)
        let writerKinds = world.sent.filter { $0.from == "writer" }.map(\.message.type)
        #expect(Array(writerKinds.prefix(2)) == [0, 8])
    }

    @Test func liveAppendsArrive() {
        let writer = ReplicaShell.writer()
        let reader = writer.reader()
        let world = ReplicaWorld(writer, reader)
        let live = reader.download(0)
        world.connect(writer, reader)
        world.run()
        for round in 0..<40 {
            writer.append(replicaBlocks(round % 4 + 1, salt: round))
            world.run(for: .milliseconds(round % 3 == 0 ? 0 : 10))
        }
        world.run()
        expectEqual(reader, writer)
        #expect(reader.outcomes[live] == nil)
        let upgrades = world.requests(from: "reader").filter { $0.proof.upgrade != nil }
        #expect(upgrades.count <= 41)
        // The newest block travels with the upgrade.
        #expect(upgrades.contains { $0.proof.block != nil })
    }

    @Test func blockBeyondTheEndWaitsForGrowth() {
        let writer = ReplicaShell.writer(blocks: replicaBlocks(3))
        let reader = writer.reader()
        let world = ReplicaWorld(writer, reader)
        world.connect(writer, reader)
        let ticket = reader.get(5)
        world.run()
        #expect(reader.outcomes[ticket] == nil)
        writer.append(replicaBlocks(4, salt: 2))
        world.run()
        #expect(reader.outcomes[ticket] == .blockStored(5))
        #expect(reader.stored == [5])
    }

    @Test func sparseGetsTransferOnlyThose() {
        let writer = ReplicaShell.writer(blocks: replicaBlocks(300))
        let reader = writer.reader()
        let world = ReplicaWorld(writer, reader)
        world.connect(writer, reader)
        world.run()
        let wanted: [UInt64] = [250, 3, 77, 78, 299]
        let tickets = wanted.map { reader.get($0) }
        world.run()
        #expect(reader.stored == Set(wanted))
        for (ticket, index) in zip(tickets, wanted) { #expect(reader.outcomes[ticket] == .blockStored(index)) }
        #expect(reader.rejections.isEmpty)
    }

    @Test func readersServeEachOther() {
        let writer = ReplicaShell.writer(blocks: replicaBlocks(400))
        let first = writer.reader("first")
        let second = writer.reader("second", seed: 11)
        let world = ReplicaWorld(writer, first, second)
        _ = first.download(0)
        let ticket = second.download(0, 400)
        world.connect(writer, first)
        world.connect(first, second)
        world.run()
        expectEqual(first, writer)
        expectEqual(second, writer)
        #expect(second.outcomes[ticket] == .rangeComplete)
    }

    @Test func twoSourcesShareTheWork() {
        let writer = ReplicaShell.writer(blocks: replicaBlocks(600))
        let seeder = writer.reader("seeder")
        let reader = writer.reader("reader", seed: 11)
        let world = ReplicaWorld(writer, seeder, reader)
        _ = seeder.download(0)
        world.connect(writer, seeder)
        world.run()
        let ticket = reader.download(0, 600)
        world.connect(writer, reader, latency: .milliseconds(5))
        world.connect(seeder, reader, latency: .milliseconds(5))
        world.run()
        expectEqual(reader, writer)
        #expect(reader.outcomes[ticket] == .rangeComplete)
        let served = world.messages(from: "seeder") { if case .data(let data) = $0 { data } else { nil } }
        #expect(served.count > 100)
        // The seeder's own download went before. Every block comes once, but for the last ones, which an idle peer may be
        // asked for as well.
        let given = world.messages(from: "writer") { if case .data(let data) = $0 { data.block } else { nil } }
        let passed = served.compactMap(\.block)
        #expect((600...632).contains(given.count - 600 + passed.count), "\(given.count) and \(passed.count)")
    }

    @Test func slowPeerIsOvertaken() {
        let writer = ReplicaShell.writer(blocks: replicaBlocks(500))
        let seeder = writer.reader("seeder")
        let reader = writer.reader("reader", seed: 11)
        let world = ReplicaWorld(writer, seeder, reader)
        _ = seeder.download(0)
        world.connect(writer, seeder)
        world.run()
        let ticket = reader.download(0, 500)
        let slow = world.connect(writer, reader, latency: .milliseconds(1))
        world.run(for: .milliseconds(5))
        world.setHeld(slow, true)
        world.run(for: .milliseconds(10))
        world.connect(seeder, reader, latency: .milliseconds(1))
        world.run(for: .seconds(5))
        #expect(reader.outcomes[ticket] == .rangeComplete)
        // What the slow peer was asked for is withdrawn.
        let cancels = world.messages(from: "reader") { if case .cancel = $0 { true } else { nil } }
        #expect(!cancels.isEmpty)
        world.setHeld(slow, false)
        world.run()
        expectEqual(reader, writer)
    }

    @Test func lostPeerIsReplaced() {
        let writer = ReplicaShell.writer(blocks: replicaBlocks(200))
        let reader = writer.reader()
        let world = ReplicaWorld(writer, reader)
        let ticket = reader.download(0, 200)
        let link = world.connect(writer, reader, latency: .milliseconds(20))
        world.run(for: .milliseconds(130))
        #expect(!reader.blocks.isEmpty || reader.tree.length > 0)
        world.disconnect(link)
        world.run()
        world.connect(writer, reader)
        world.run()
        #expect(reader.outcomes[ticket] == .rangeComplete)
        expectEqual(reader, writer)
    }

    @Test func clearedBlocksAreNotServed() {
        let writer = ReplicaShell.writer(blocks: replicaBlocks(40))
        writer.clear(10..<15)
        let reader = writer.reader()
        let world = ReplicaWorld(writer, reader)
        world.connect(writer, reader)
        world.run()
        writer.clear(20..<30)
        world.run()
        let missing = reader.get(12)
        let download = reader.download(0, 10)
        world.run()
        #expect(reader.outcomes[missing] == nil)
        #expect(reader.outcomes[download] == .rangeComplete)
        let wants = world.messages(from: "reader") { if case .want(let want) = $0 { want } else { nil } }
        #expect(wants == [WantMessage(start: 0, length: 1 << 21)])
        reader.machine.cancel(missing, now: world.now)
        // Now everything that is there, which the bitfield told.
        _ = reader.download(0, 40)
        world.run()
        #expect(reader.stored == Set(writer.blocks.keys))
        #expect(reader.rejections.isEmpty)
    }

    @Test func blockClearedOnTheWayIsNotAskedForAgain() {
        let writer = ReplicaShell.writer(blocks: replicaBlocks(30))
        let reader = writer.reader()
        let world = ReplicaWorld(writer, reader)
        let link = world.connect(writer, reader)
        world.run()
        world.setHeld(link, true)
        let gone = reader.get(7)
        let kept = reader.get(25)
        world.run()
        writer.clear(5..<10)
        world.run()
        world.setHeld(link, false)
        world.run()
        #expect(reader.outcomes[kept] == .blockStored(25))
        #expect(reader.outcomes[gone] == nil)
        #expect(world.requests(from: "reader").filter { $0.proof.block?.index == 7 }.count == 1)
    }

    @Test func cancelledGetIsWithdrawn() {
        let writer = ReplicaShell.writer(blocks: replicaBlocks(30))
        let reader = writer.reader()
        let world = ReplicaWorld(writer, reader)
        world.connect(writer, reader, latency: .milliseconds(10))
        world.run()
        let ticket = reader.get(3)
        reader.pump()
        reader.machine.cancel(ticket, now: world.now)
        world.run()
        let cancels = world.messages(from: "reader") { if case .cancel(let cancel) = $0 { cancel } else { nil } }
        #expect(cancels.count == 1)
        #expect(reader.stored.isEmpty)
        #expect(reader.outcomes[ticket] == nil)
        // The id stays away until a younger request is answered.
        let again = reader.get(4)
        world.run()
        #expect(reader.outcomes[again] == .blockStored(4))
        let ids = world.requests(from: "reader").map(\.id)
        #expect(ids[ids.count - 1] != ids[ids.count - 2])
    }

    @Test func seeksFindBytes() {
        let blocks = replicaBlocks(50)
        let writer = ReplicaShell.writer(blocks: blocks)
        let reader = writer.reader()
        let world = ReplicaWorld(writer, reader)
        let early = reader.seek(100)
        world.connect(writer, reader)
        world.run()
        let total = blocks.reduce(0) { $0 + $1.count }
        var tickets: [(ReplicationTicket, Int)] = [(early, 100)]
        for bytes in [0, 1, 11, 12, 333, total - 1, total] { tickets.append((reader.seek(UInt64(bytes)), bytes)) }
        world.run()
        for (ticket, bytes) in tickets {
            var block = 0
            var remainder = bytes
            while block < blocks.count, remainder >= blocks[block].count {
                remainder -= blocks[block].count
                block += 1
            }
            #expect(
                reader.seekResults[ticket]
                    == ReplicaShell.BlockPosition(block: UInt64(block), offset: UInt64(remainder)),
                "byte \(bytes)")
        }
        #expect(reader.stored.isEmpty)
        #expect(reader.rejections.isEmpty)
    }

    @Test func truncationIsFollowed() {
        let writer = ReplicaShell.writer(blocks: replicaBlocks(20))
        let reader = writer.reader()
        let world = ReplicaWorld(writer, reader)
        _ = reader.download(0)
        world.connect(writer, reader)
        world.run()
        expectEqual(reader, writer)
        writer.truncate(to: 12)
        world.run()
        expectEqual(reader, writer)
        #expect(reader.machine.head == LogHead(fork: 1, length: 12))
        writer.append(replicaBlocks(5, salt: 9))
        world.run()
        expectEqual(reader, writer)
    }

    @Test(arguments: [1, 5, 17, 64, 90]) func reorganisationFindsTheCommonAncestor(shared: Int) {
        let writer = ReplicaShell.writer(blocks: replicaBlocks(100))
        let reader = writer.reader()
        let world = ReplicaWorld(writer, reader)
        _ = reader.download(0)
        let link = world.connect(writer, reader)
        world.run()
        world.disconnect(link)
        writer.truncate(to: UInt64(shared))
        writer.append(replicaBlocks(73, salt: 5))
        world.sent = []
        world.connect(writer, reader)
        world.run()
        expectEqual(reader, writer)
        // Only what differs is fetched again.
        let blocks = Set(world.requests(from: "reader").compactMap(\.proof.block?.index))
        #expect(blocks == Set(UInt64(shared)..<UInt64(shared + 73)))
    }

    @Test func updatesSayWhetherThereIsMore() {
        let writer = ReplicaShell.writer(blocks: replicaBlocks(5))
        let reader = writer.reader()
        let world = ReplicaWorld(writer, reader)
        reader.machine.setFindingPeers(true, now: world.now)
        let first = reader.update()
        world.run()
        #expect(reader.outcomes[first] == nil, "peers are still being searched")
        let link = world.connect(writer, reader)
        world.run()
        #expect(reader.outcomes[first] == .updated(true))
        let second = reader.update()
        world.run()
        #expect(reader.outcomes[second] == .updated(false))
        world.disconnect(link)
        reader.machine.setFindingPeers(false, now: world.now)
        let third = reader.update()
        world.run()
        #expect(reader.outcomes[third] == .updated(false))
    }

    @Test func badPeerIsReplacedByAGoodOne() {
        let writer = ReplicaShell.writer(blocks: replicaBlocks(100))
        let seeder = writer.reader("seeder")
        let reader = writer.reader("reader", seed: 11)
        let world = ReplicaWorld(writer, seeder, reader)
        _ = seeder.download(0)
        world.connect(writer, seeder)
        world.run()
        seeder.corrupt = { data in
            var data = data
            data.block?.value.append(1)
            return data
        }
        world.connect(seeder, reader)
        let ticket = reader.download(0, 100)
        world.run()
        #expect(reader.outcomes[ticket] == nil)
        #expect(reader.stored.isEmpty)
        // The probe shows the same history, so that the peer is tried again, but not without end.
        #expect(reader.events.contains { if case .peerResumed = $0 { true } else { false } })
        #expect(reader.faults == [.invalidProof])
        world.connect(writer, reader)
        world.run()
        #expect(reader.outcomes[ticket] == .rangeComplete)
        #expect(reader.blocks == writer.blocks)
    }

    @Test func twoHistoriesOfOneKeyAreAConflict() {
        let honest = ReplicaShell.writer(blocks: replicaBlocks(20))
        let double = ReplicaShell.writer(blocks: replicaBlocks(15) + replicaBlocks(15, salt: 4))
        let reader = honest.reader()
        let world = ReplicaWorld(honest, double, reader)
        _ = reader.download(0)
        world.connect(honest, reader)
        world.run()
        #expect(reader.blocks == honest.blocks)
        world.connect(double, reader)
        world.run()
        #expect(reader.machine.isFrozen)
        #expect(reader.events.contains { if case .conflict = $0 { true } else { false } })
        #expect(world.links.allSatisfy { !$0.isOpen })
        #expect(reader.blocks == honest.blocks)
        // The double writer learns of it from the proof that the reader pushes.
        #expect(double.machine.isFrozen)
        #expect(!honest.machine.isFrozen)
    }

    @Test func serversMayAnswerInAnyOrder() {
        let writer = ReplicaShell.writer(blocks: replicaBlocks(300))
        let reader = writer.reader()
        let world = ReplicaWorld(writer, reader)
        let ticket = reader.download(0, 300, isLinear: true)
        world.connect(writer, reader)
        world.run(for: .milliseconds(5))
        writer.holdsWork = true
        var random = SecureRandom(seed: Bytes32(repeating: 5))
        for _ in 0..<200 where reader.outcomes[ticket] == nil {
            world.run(for: .milliseconds(3))
            writer.work { Int.random(in: 0..<$0, using: &random) }
        }
        world.run(for: .milliseconds(3))
        writer.holdsWork = false
        writer.work()
        world.run()
        expectEqual(reader, writer)
        #expect(world.requests(from: "reader").count == 301, "nothing is asked twice")
    }

    @Test func extensionsPassThrough() {
        let writer = ReplicaShell.writer(blocks: replicaBlocks(2))
        let reader = writer.reader()
        let world = ReplicaWorld(writer, reader)
        world.connect(writer, reader)
        writer.machine.sendExtension("ping", payload: [1, 2], to: ReplicationPeerID(1))
        writer.machine.sendExtension("ping", payload: [3], to: ReplicationPeerID(1))
        writer.machine.sendExtension("pong", payload: [], to: ReplicationPeerID(1))
        world.run()
        #expect(reader.extensions.map(\.name) == ["ping", "ping", "pong"])
        #expect(reader.extensions.map(\.payload) == [[1, 2], [3], []])
        let names = world.messages(from: "writer") {
            if case .extensionMessage(let message) = $0 { message.name } else { nil }
        }
        #expect(names == ["ping", "", "pong"])
    }

    @Test func idlePairClosesAfterLingering() {
        let writer = ReplicaShell.writer(blocks: replicaBlocks(5))
        let reader = writer.reader()
        let world = ReplicaWorld(writer, reader)
        _ = reader.download(0, 5)
        world.connect(writer, reader)
        writer.machine.setActive(false, now: world.now)
        reader.machine.setActive(false, now: world.now)
        world.run(for: .seconds(19))
        #expect(world.links[0].isOpen)
        expectEqual(reader, writer)
        world.run(for: .seconds(22))
        #expect(!world.links[0].isOpen)
        #expect(reader.machine.openPeerCount == 0)
        #expect(writer.machine.openPeerCount == 0)
    }

    @Test func pushedBlocksAreTakenOnlyIfAllowed() {
        var options = ReplicationOptions()
        options.allowsPush = true
        options.isPushOnly = true
        options.upgradesEagerly = false
        let writer = ReplicaShell.writer(blocks: replicaBlocks(9))
        let taker = writer.reader("taker", options: options)
        let refuser = writer.reader("refuser")
        let world = ReplicaWorld(writer, taker, refuser)
        world.connect(writer, taker)
        world.connect(writer, refuser)
        world.run()
        writer.machine.push(3, now: world.now)
        writer.machine.push(8, now: world.now)
        writer.append(replicaBlocks(1, salt: 3))
        writer.machine.push(9, now: world.now)
        world.run()
        #expect(taker.stored == [3, 8, 9])
        #expect(taker.tree == writer.tree)
        #expect(taker.rejections.isEmpty)
        #expect(refuser.stored.isEmpty)
        #expect(world.requests(from: "taker").isEmpty)
    }

    @Test func pushesAreIgnoredWithoutConsent() {
        let writer = ReplicaShell.writer(blocks: replicaBlocks(9))
        let reader = writer.reader()
        let world = ReplicaWorld(writer, reader)
        world.connect(writer, reader)
        world.run()
        let data =
            try! writer.tree.length == 9
            ? ProofProducer(
                signed: SignedTree(tree: writer.tree, signature: writer.signature), prologue: nil, source: writer.table
            ).answer(
                to: RequestMessage(id: 0, fork: 0, proof: ProofRequest(block: ProofRequest.Block(index: 2, nodes: 3))),
                blockValue: writer.blocks[2]!) : DataMessage(request: 0, fork: 0)
        reader.machine.handle(.data(data), from: ReplicationPeerID(1), now: world.now)
        world.run()
        #expect(reader.stored.isEmpty)
    }
}
