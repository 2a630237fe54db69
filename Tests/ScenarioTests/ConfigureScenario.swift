import DWeb
import Testing

/// One verb joins, changes and leaves; statuses and events tell what came of it.
@Suite(.scenarioLimit) struct ConfigureScenario {
    @Test(arguments: Ground.everywhere) func joinsChangesAndLeaves(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withPeer(stage.home(1)) { peer in
                let log = try await peer.store.database(named: "log")
                let key = log.discoveryKey
                let networker = peer.networker
                let stranger = stage.net.nodes[4]
                #expect(await networker.status(key) == nil)
                #expect(await networker.statuses.isEmpty)
                #expect(await networker.localAddress == nil)

                try await networker.configure(key, announce: false, lookup: true)
                #expect(await networker.localAddress != nil)
                var status = try #require(await networker.status(key))
                #expect(!status.isAnnounced && status.isLookedUp && status.isJoined)
                #expect(try await stranger.lookup(Topic(key)).isEmpty)

                try await networker.configure(key, announce: true, lookup: true)
                status = try #require(await networker.status(key))
                #expect(status.isAnnounced && status.isLookedUp && status.isJoined)
                #expect(try await stranger.lookup(Topic(key)).map(\.publicKey) == [peer.publicKey])
                #expect(await networker.flushed(key))
                #expect(await networker.status(key)?.isFlushed == true)
                #expect(await Array(networker.statuses.keys) == [key])

                // No longer announced: the others no longer find it.
                try await networker.configure(key, announce: false, lookup: true)
                status = try #require(await networker.status(key))
                #expect(!status.isAnnounced && status.isLookedUp)
                #expect(try await stranger.lookup(Topic(key)).isEmpty)

                try await networker.configure(key, announce: false, lookup: false)
                #expect(await networker.status(key) == nil)
                #expect(await networker.statuses.isEmpty)
                #expect(await !networker.joined(key))
                #expect(await networker.swarm.diagnostics.topics.isEmpty)
            }
        }
    }

    @Test(arguments: Ground.everywhere) func eventsTellTheStory(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            let home = stage.home(2)
            try await stage.withPeer(stage.home(1)) { writer in
                let source = try await writer.store.database(named: "log")
                try await source.append(content(0))
                let key = source.key
                let dial = key.discoveryKey
                let all = writer.networker.events(bufferingNewest: 100)
                let few = writer.networker.events(bufferingNewest: 3)
                try await writer.networker.configure(dial, announce: true, lookup: true)
                #expect(await writer.networker.flushed(dial))
                let other = try await stage.withPeer(home) { reader in
                    let copy = try await reader.find(key)
                    #expect(try await copy.block(at: 0) == content(0))
                    return reader.publicKey
                }
                #expect(await stage.eventually { await writer.networker.streams.isEmpty })
                await writer.networker.close()

                var story: [SwarmNetworker.Event] = []
                for await event in all { story.append(event) }
                var end: [SwarmNetworker.Event] = []
                for await event in few { end.append(event) }
                let names = story.map { event in
                    switch event {
                    case .joined(dial): "joined"
                    case .flushed(dial): "flushed"
                    case .handshake(other): "handshake"
                    case .peerAdded(let peer) where peer.publicKey == other: "peerAdded"
                    case .streamClosed(other, reason: _): "streamClosed"
                    case .peerRemoved(let peer) where peer.publicKey == other: "peerRemoved"
                    default: "\(event)"
                    }
                }
                #expect(
                    names == ["joined", "flushed", "handshake", "peerAdded", "streamClosed", "peerRemoved"])
                // A consumer that is too slow misses the oldest.
                #expect(end == Array(story.suffix(3)))
            }
        }
    }
}
