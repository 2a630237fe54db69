import DWebBase
import DWebDatabase
import DWebLogCore
import DWebPorts
import DWebSimulation
import DWebStore
import Synchronization
import Testing

/// What a log tells about its peers, and lets them tell each other.
@Suite struct PeerTests {
    @Test func eventsTellWhatHappens() throws {
        let world = SimulatedWorld(seed: 161)
        try world.run {
            let writer = try await world.store(1)
            let reader = try await world.store(2)
            let source = try await writer.database(named: "log")
            let copy = try await reader.database(key: source.key)
            let session = try await copy.session()
            let given = source.events()
            let taken = session.events()
            try await source.append((0..<4).map { content($0) })
            try await connected(writer, reader) {
                try await copy.download(1..<3)
                try await source.truncate(to: 1)
                #expect(await eventually(world.loop) { copy.fork == 1 })
            }
            #expect(await eventually(world.loop) { copy.peerCount == 0 })
            await session.close()
            await source.close()
            var atReader: [DDatabase.Event] = []
            for await event in taken { atReader.append(event) }
            var atWriter: [DDatabase.Event] = []
            for await event in given { atWriter.append(event) }
            guard case .peerAdded(let peer) = atReader.first else {
                Issue.record("no peer came: \(atReader)")
                return
            }
            let expected: [DDatabase.Event] = [
                .appended(length: 4), .downloaded(block: 1, byteCount: 12, from: peer),
                .downloaded(block: 2, byteCount: 12, from: peer), .truncated(sharedLength: 1, fork: 1),
                .peerRemoved(peer),
            ]
            for event in expected { #expect(atReader.contains(event), "\(event) in \(atReader)") }
            #expect(atReader.count == expected.count + 1)
            #expect(atWriter.first == .appended(length: 4))
            #expect(atWriter.contains { if case .uploaded(1, 12, to: _) = $0 { true } else { false } })
            await writer.close()
            await reader.close()
        }
    }

    @Test func slowListenersLoseTheOldestEvents() throws {
        let world = SimulatedWorld(seed: 162)
        try world.run {
            let store = try await world.store(1)
            let log = try await store.database(named: "log")
            let few = log.events(bufferingNewest: 3)
            let many = log.events(bufferingNewest: 1_000)
            for index in 0..<20 { try await log.append(content(index)) }
            #expect(log.statistics.droppedEventCount == 17)
            await store.close()
            var lengths: [DDatabase.Event] = []
            for await event in few { lengths.append(event) }
            #expect(lengths == (18...20).map { .appended(length: $0) })
            var all = 0
            for await _ in many { all += 1 }
            #expect(all == 20)
        }
    }

    @Test func peersAreListedWithWhatTheySay() throws {
        let world = SimulatedWorld(seed: 163)
        try world.run {
            let writer = try await world.store(1)
            let source = try await writer.database(named: "log")
            try await source.append((0..<10).map { content($0) })
            let reader = try await world.store(2)
            let copy = try await reader.database(key: source.key)
            let before = try await copy.peers()
            #expect(before.isEmpty)
            try await connected(writer, reader) {
                try await copy.download(0..<6)
                await pause(world.loop, .seconds(1))
                let atReader = try await copy.peers()
                let atWriter = try await source.peers()
                #expect(atReader.count == 1 && atWriter.count == 1)
                let seen = atReader[0]
                #expect(seen.isKnown && seen.length == 10 && seen.contiguousLength == 10 && seen.fork == 0)
                #expect(seen.publicKey != nil && seen.isUploading && !seen.isPaused)
                #expect(seen.statistics.downloadedBlockCount == 6 && seen.statistics.downloadedByteCount == 72)
                #expect(seen.unansweredRequestCount == 0)
                #expect(atWriter[0].length == 10 && atWriter[0].statistics.uploadedBlockCount == 6)
                #expect(atWriter[0].publicKey != seen.publicKey && atWriter[0].isDownloading)
            }
            let after = try await copy.peers()
            #expect(after.isEmpty)
            await writer.close()
            await reader.close()
        }
    }

    @Test func messagesOfApplications() throws {
        let world = SimulatedWorld(seed: 164)
        try world.run {
            let first = try await world.store(1)
            let source = try await first.database(named: "log")
            let second = try await world.store(2)
            let third = try await world.store(3)
            let copies = [
                try await second.database(key: source.key), try await third.database(key: source.key),
            ]
            let chat = try source.messageExtension("chat", as: .utf8)
            let chats = [
                try copies[0].messageExtension("chat", as: .utf8), try copies[1].messageExtension("chat", as: .utf8),
            ]
            let numbers = try copies[1].messageExtension("numbers", as: .bytes)
            let raw = try copies[0].messageExtension("chat", as: .bytes)
            let heard = [chat.messages(), chats[0].messages(), chats[1].messages()]
            try await connected(first, second) {
                try await connected(first, third) {
                    #expect(await eventually(world.loop) { source.peerCount == 2 })
                    try await chat.broadcast("hello")
                    // Not text, so nobody hears it; then something under a name that nobody listens to.
                    try await raw.broadcast([0xff])
                    try await numbers.broadcast([1, 2, 3])
                    try await chats[0].broadcast("from two")
                    try await chats[1].broadcast("from three")
                    var atSource: [String: DDatabase.Peer.ID] = [:]
                    for await received in heard[0] {
                        atSource[received.message] = received.peer
                        if atSource.count == 2 { break }
                    }
                    #expect(Set(atSource.keys) == ["from two", "from three"])
                    try await chat.send("only three", to: atSource["from three"]!)
                    try await chat.send("to nobody", to: atSource["from two"]!)
                    await pause(world.loop, .seconds(1))
                }
            }
            await copies[0].close()
            await copies[1].close()
            var texts: [[String]] = [[], []]
            for await received in heard[1] { texts[0].append(received.message) }
            for await received in heard[2] { texts[1].append(received.message) }
            #expect(texts == [["hello", "to nobody"], ["hello", "only three"]])
            await expectCode(.closed) { try await chats[0].broadcast("late") }
            #expect(throws: DDatabaseError.self) { try source.messageExtension("", as: .utf8) }
            await expectCode(.outOfBounds) {
                try source.messageExtension(String(repeating: "n", count: 1_025), as: .utf8)
            }
            let large = try source.messageExtension("large", as: .bytes)
            await expectCode(.blockTooLarge) {
                try await large.broadcast([UInt8](repeating: 0, count: (15 << 20) + 1))
            }
            for store in [first, second, third] { await store.close() }
        }
    }

    /// Peers may make up as many names as they like.
    @Test func namesOfStrangersCostNothing() throws {
        let world = SimulatedWorld(seed: 165)
        try world.run {
            let store = try await world.store(1)
            let log = try await store.database(named: "log")
            let key = log.key
            let known = try log.messageExtension("known", as: .bytes).messages()
            let (ours, theirs) = DuplexPipe.makePair()
            await withTaskGroup(of: Void.self) { group in
                group.addTask { _ = try? await store.replicate(over: ours, isInitiator: true) }
                group.addTask {
                    let peer = RawPeer(theirs, loop: world.loop)
                    guard (try? await peer.open()) != nil, let channel = try? await peer.openLog(key) else { return }
                    for number in 0..<500 {
                        _ = try? await peer.send(
                            .extensionMessage(ExtensionMessage(name: "name\(number)", message: content(number))),
                            on: channel)
                    }
                    _ = try? await peer.send(
                        .extensionMessage(ExtensionMessage(name: "known", message: [7])), on: channel)
                    // The name of the previous message is left out.
                    _ = try? await peer.send(
                        .extensionMessage(ExtensionMessage(name: "", message: [8])), on: channel)
                }
                var received: [[UInt8]] = []
                for await message in known {
                    received.append(message.message)
                    if received.count == 2 { break }
                }
                #expect(received == [[7], [8]])
                theirs.abort()
                group.cancelAll()
            }
            await store.close()
        }
    }

    /// An update returns once the search for peers is over and nobody has anything newer.
    @Test func updatesWaitWhilePeersAreSearched() throws {
        let world = SimulatedWorld(seed: 166)
        try world.run {
            let writer = try await world.store(1)
            let reader = try await world.store(2)
            let source = try await writer.database(named: "log")
            try await source.append(content(0))
            let copy = try await reader.database(key: source.key)
            let start = world.loop.now
            let alone = try await copy.update()
            #expect(!alone && world.loop.now == start, "nobody is searched for")
            await reader.setFindingPeers(true, copy.discoveryKey)
            await withTaskGroup(of: Bool?.self) { group in
                group.addTask { try? await copy.update(upTo: .seconds(60)) }
                await pause(world.loop, .seconds(2))
                await reader.setFindingPeers(false, copy.discoveryKey)
                let isLonger = await group.next()
                #expect(isLonger == false && world.loop.now - start == .seconds(2))
            }
            await reader.setFindingPeers(true, copy.discoveryKey)
            try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask { try await copy.update(upTo: .seconds(60)) }
                await pause(world.loop, .seconds(1))
                try await connected(writer, reader) {
                    #expect(await eventually(world.loop) { copy.length == 1 })
                }
                let isLonger = try await group.next()
                #expect(isLonger == true)
            }
            await writer.close()
            await reader.close()
        }
    }

    /// A pipe that claims to be long.
    private final class MeasuredPipe: MeasuredStream {
        private let pipe: DuplexPipe

        init(_ pipe: DuplexPipe) { self.pipe = pipe }

        var roundTripTime: Duration? { get async { .milliseconds(80) } }
        func read() async throws(PortError) -> [UInt8]? { try await pipe.read() }
        func write(_ chunk: [UInt8]) async throws(PortError) { try await pipe.write(chunk) }
        func finish() async { await pipe.finish() }
        func abort() { pipe.abort() }
    }

    @Test func theStreamsDistanceIsThePeers() throws {
        let world = SimulatedWorld(seed: 167)
        try world.run {
            let writer = try await world.store(1)
            let reader = try await world.store(2)
            let source = try await writer.database(named: "log")
            try await source.append((0..<10).map { content($0) })
            let copy = try await reader.database(key: source.key)
            let (left, right) = DuplexPipe.makePair()
            await withTaskGroup(of: Void.self) { group in
                group.addTask { _ = try? await writer.replicate(over: left, isInitiator: true) }
                group.addTask { _ = try? await reader.replicate(over: MeasuredPipe(right), isInitiator: false) }
                #expect(await eventually(world.loop) { copy.peerCount == 1 })
                for index in 0..<5 as Range<UInt64> {
                    _ = try? await copy.block(at: index)
                    await pause(world.loop, .seconds(1))
                }
                let peers = try? await copy.peers()
                #expect(peers?.first?.roundTripTime == .milliseconds(80))
                group.cancelAll()
            }
            await writer.close()
            await reader.close()
        }
    }

    @Test func peersTellWhichBlocksTheyHave() throws {
        let world = SimulatedWorld(seed: 168)
        try world.run {
            let writer = try await world.store(1)
            let source = try await writer.database(named: "log")
            try await source.append((0..<10).map { content($0) })
            let reader = try await world.store(2)
            let copy = try await reader.database(key: source.key)
            #expect(copy.remoteContiguousLength == 0)
            try await connected(writer, reader) {
                for index in [UInt64(2), 3, 7] { _ = try await copy.block(at: index) }
                #expect(copy.remoteContiguousLength == 10)
                let peersOfReader = try await copy.peers()
                let atWriter = try #require(peersOfReader.first)
                let all = try await copy.blocks(announcedBy: atWriter.id, in: 4..<100)
                #expect(all == [4..<10])
            }
            let third = try await world.store(3)
            let late = try await third.database(key: source.key)
            try await connected(reader, third) {
                let block = try await late.block(at: 7)
                #expect(block == content(7))
                let peers = try await late.peers()
                let atThird = try #require(peers.first)
                let some = try await late.blocks(announcedBy: atThird.id, in: 0..<10)
                #expect(some == [2..<4, 7..<8])
            }
            await third.close()
            let gone = try await copy.peers()
            #expect(gone.isEmpty)
            await writer.close()
            await reader.close()
        }
    }

    @Test func pushedBlocksNeedConsent() throws {
        let world = SimulatedWorld(seed: 169)
        try world.run {
            let writer = try await world.store(1)
            let source = try await writer.database(named: "log")
            try await source.append((0..<6).map { content($0) })
            let reader = try await world.store(2)
            let copy = try await reader.database(key: source.key)
            try await connected(writer, reader) {
                #expect(await eventually(world.loop) { copy.length == 6 })
                try await source.push(4)
                await pause(world.loop, .seconds(1))
                let isRefused = try await copy.has(4)
                #expect(!isRefused)
                try await copy.setPushPolicy(.accepted)
                await pause(world.loop, .seconds(1))
                try await source.push(4)
                try await source.push(99)
                #expect(await eventually(world.loop) { copy.statistics.downloadedBlockCount == 1 })
                let isTaken = try await copy.has(4)
                #expect(isTaken)
            }
            try await copy.setPushPolicy(.only)
            try await connected(writer, reader) {
                await pause(world.loop, .seconds(1))
                try await source.append([content(6), content(7)])
                await pause(world.loop, .seconds(1))
                #expect(copy.length == 6, "nothing is requested")
                try await source.push(7)
                #expect(await eventually(world.loop) { copy.length == 8 })
                let pushed = try await copy.block(at: 7, .localOnly)
                #expect(pushed == content(7))
                // What a caller reads is requested nevertheless.
                let read = try await copy.block(at: 0)
                #expect(read == content(0))
            }
            await writer.close()
            await reader.close()
        }
    }

    @Test func programsSayThatTheySearch() throws {
        let world = SimulatedWorld(seed: 170)
        try world.run {
            let store = try await world.store(1)
            let log = try await store.database(key: PublicKey(Bytes32(repeating: 9)))
            let start = world.loop.now
            await withTaskGroup(of: Void.self) { group in
                for seconds in [2, 5] {
                    group.addTask {
                        await log.findingPeers { await pause(world.loop, .seconds(seconds)) }
                    }
                }
                await pause(world.loop, .seconds(1))
                let isLonger = try? await log.update(upTo: .seconds(60))
                #expect(isLonger == false && world.loop.now - start == .seconds(5))
            }
            let again = try await log.update(upTo: .seconds(60))
            #expect(!again && world.loop.now - start == .seconds(5))
            await store.close()
        }
    }
}
