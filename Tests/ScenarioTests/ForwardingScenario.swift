import DWeb
import Testing

/// Every peer of a log is a source of it.
@Suite(.scenarioLimit) struct ForwardingScenario {
    @Test(arguments: Ground.everywhere) func readersServeReaders(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withPeer(stage.home(2)) { middle in
                let (key, identity) = try await stage.withPeer(stage.home(1)) { writer in
                    let source = try await writer.store.database(named: "log")
                    try await source.append(contents(0..<12))
                    try await writer.announce(source)
                    let mirror = try await middle.find(source.key)
                    try await mirror.download(0..<12)
                    try await middle.networker.join(source.discoveryKey)
                    return (source.key, writer.publicKey)
                }
                // The writer is gone for good.
                let mirror = try await middle.store.database(key: key)
                #expect(!mirror.isWritable)
                try await stage.withPeer(stage.home(3)) { late in
                    let copy = try await late.find(key)
                    #expect(try await copy.blocks(at: 0..<12) == contents(0..<12))
                    #expect(copy.length == 12)
                    #expect(await late.networker.peers.map(\.publicKey) == [middle.publicKey])
                    #expect(await !late.networker.peers.map(\.publicKey).contains(identity))
                    #expect(mirror.statistics.uploadedBlockCount == 12)
                }
            }
        }
    }

    @Test(arguments: Ground.everywhere) func allToAll(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withPeers([stage.home(1), stage.home(2), stage.home(3)]) { peers in
                // A common topic leads everybody to everybody.
                let meeting = try await peers[0].store.database(named: "meeting")
                var logs: [DDatabase] = []
                for (number, peer) in peers.enumerated() {
                    let log = try await peer.store.database(named: "mine")
                    try await log.append(contents(number * 100..<number * 100 + 5))
                    logs.append(log)
                    try await peer.networker.join(meeting.discoveryKey)
                    #expect(await peer.networker.flushed(meeting.discoveryKey))
                }
                let keys = logs.map(\.key)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for peer in peers {
                        group.addTask {
                            for (number, key) in keys.enumerated() {
                                let copy = try await peer.store.database(key: key)
                                let expected = contents(number * 100..<number * 100 + 5)
                                #expect(try await copy.blocks(at: 0..<5) == expected)
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                for peer in peers {
                    #expect(await stage.eventually { await peer.networker.streams.count == 2 })
                    #expect(await peer.networker.peers.count == 2)
                }
            }
        }
    }
}
