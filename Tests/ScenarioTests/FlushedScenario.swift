import DWeb
import Testing

/// `flushed` is true only once every peer that was found is connected and the logs were offered to it.
@Suite(.scenarioLimit) struct FlushedScenario {
    @Test(arguments: Ground.everywhere) func allHandshakesAreMade(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withPeers([stage.home(1), stage.home(2), stage.home(3)]) { peers in
                let (first, second, third) = (peers[0], peers[1], peers[2])
                let source = try await first.store.database(named: "log")
                try await source.append(contents(0..<3))
                try await first.announce(source)
                let mirror = try await second.find(source.key)
                try await mirror.download(0..<3)
                try await second.announce(mirror)

                let events = third.networker.events(bufferingNewest: 100)
                let copy = try await third.store.database(key: source.key)
                #expect(await !third.networker.flushed(copy.discoveryKey))
                try await third.networker.join(copy.discoveryKey, announce: false, lookup: true)
                #expect(await third.networker.joined(copy.discoveryKey))
                #expect(await third.networker.flushed(copy.discoveryKey))
                // From here on nothing is waited for: it must have happened.
                let expected = Set([first.publicKey, second.publicKey])
                #expect(Set(await third.networker.peers.map(\.publicKey)) == expected)
                #expect(await third.networker.status(copy.discoveryKey)?.isFlushed == true)
                // An update asks both, and waits for neither to appear. True where the news is not here already.
                let isNews = copy.length == 0
                #expect(try await copy.update() == isNews)
                #expect(copy.length == 3)
                // A second time it is true at once.
                #expect(await third.networker.flushed(copy.discoveryKey))
                await third.networker.close()

                var handshakes: [PublicKey] = []
                var flushedAfter: [PublicKey]?
                for await event in events {
                    switch event {
                    case .handshake(let key): handshakes.append(key)
                    case .flushed(copy.discoveryKey): flushedAfter = handshakes
                    default: break
                    }
                }
                #expect(Set(flushedAfter ?? []) == expected)
            }
        }
    }

    @Test(arguments: Ground.everywhere) func nobodyThereIsFlushedToo(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withPeer(stage.home(1)) { peer in
                let log = try await peer.store.database(named: "log")
                try await peer.networker.join(log.discoveryKey)
                #expect(await peer.networker.flushed(log.discoveryKey))
                #expect(await peer.networker.peers.isEmpty)
                // Nobody to ask: an update does not wait.
                let start = stage.loop.now
                #expect(try await !log.update())
                #expect(stage.loop.now - start < .seconds(1))
                await peer.networker.leave(log.discoveryKey)
                #expect(await !peer.networker.flushed(log.discoveryKey))
            }
        }
    }
}
