import DWeb
import Testing

/// However many topics lead two peers to each other, they hold one connection.
@Suite(.scenarioLimit) struct SharedKeysScenario {
    @Test(arguments: Ground.everywhere) func fiftySharedKeysAreOneConnection(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withPeers([stage.home(1), stage.home(2)]) { peers in
                // Each peer writes half of the logs.
                var keys: [PublicKey] = []
                var logs: [[DDatabase]] = [[], []]
                for number in 0..<50 {
                    let source = try await peers[number % 2].store.database(named: "log \(number)")
                    try await source.append(content(number))
                    logs[number % 2].append(source)
                    logs[1 - number % 2].append(try await peers[1 - number % 2].store.database(key: source.key))
                    keys.append(source.key)
                }
                let all = logs
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for key in keys {
                        for peer in peers {
                            group.addTask { try await peer.networker.join(key.discoveryKey) }
                        }
                    }
                    try await group.waitForAll()
                }
                // Two that announce at the same moment may miss each other; looking once more settles it.
                for peer in peers {
                    try await peer.networker.join(keys[0].discoveryKey)
                    #expect(await peer.networker.flushed(keys[0].discoveryKey))
                }
                await stage.pause(.seconds(stage.ground.isSimulated ? 60 : 1))
                let streams = [await peers[0].networker.streams, await peers[1].networker.streams]
                #expect(streams[0].count == 1 && streams[1].count == 1)
                #expect(peers[0].store.connectionCount == 1 && peers[1].store.connectionCount == 1)
                // Of one connection exactly one side is the initiator.
                #expect(streams[0].first?.isInitiator != streams[1].first?.isInitiator)
                for number in keys.indices {
                    for peer in 0..<2 {
                        let log = try #require(all[peer].first { $0.key == keys[number] })
                        #expect(try await log.block(at: 0) == content(number))
                        #expect(log.peerCount == 1)
                    }
                }
                #expect(await peers[0].networker.statuses.count == 50)
            }
        }
    }
}
