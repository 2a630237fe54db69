import DWeb
import Testing

/// Leaving a log takes it off the network; the other logs go on over the same connection.
@Suite(.scenarioLimit) struct LeaveScenario {
    @Test(arguments: Ground.everywhere) func aLogThatWasLeftIsNotFoundNorExchanged(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withPeers([stage.home(1), stage.home(2)]) { peers in
                let (writer, reader) = (peers[0], peers[1])
                let left = try await writer.store.database(named: "left")
                let kept = try await writer.store.database(named: "kept")
                try await left.append(content(0))
                try await kept.append(content(1))
                try await writer.announce(left)
                try await writer.announce(kept)
                let leftCopy = try await reader.find(left.key)
                let keptCopy = try await reader.find(kept.key)
                #expect(try await leftCopy.block(at: 0) == content(0))
                #expect(try await keptCopy.block(at: 0) == content(1))
                let stranger = stage.net.nodes[3]
                let topic = Topic(left.discoveryKey)
                #expect(try await stranger.lookup(topic).map(\.publicKey) == [writer.publicKey])

                await writer.networker.leave(left.discoveryKey)
                #expect(try await stranger.lookup(topic).isEmpty)
                #expect(try await stranger.lookup(Topic(kept.discoveryKey)).map(\.publicKey) == [writer.publicKey])
                #expect(await writer.networker.status(left.discoveryKey) == nil)
                #expect(await !writer.networker.joined(left.discoveryKey))
                #expect(left.peerCount == 0)
                #expect(await stage.eventually { leftCopy.peerCount == 0 })
                // The connection and the other log stay.
                #expect(await writer.networker.streams.count == 1)
                try await left.append(content(2))
                try await kept.append(content(3))
                #expect(try await keptCopy.block(at: 1) == content(3))
                let outcome = await code { () throws(DDatabaseError) in
                    try await leftCopy.block(at: 1, .wait(upTo: .milliseconds(500)))
                }
                #expect(outcome == .noPeers)
                #expect(leftCopy.length == 1)
                // Leaving again, or what was never joined, does nothing.
                await writer.networker.leave(left.discoveryKey)

                // Joining again brings it back, over the connection that exists.
                try await writer.announce(left)
                #expect(try await leftCopy.block(at: 1, .wait(upTo: .seconds(20))) == content(2))
                #expect(try await stranger.lookup(topic).map(\.publicKey) == [writer.publicKey])
                #expect(await writer.networker.streams.count == 1)
            }
        }
    }

    /// A peer that closes takes back all that it announced.
    @Test(arguments: Ground.everywhere) func closingTakesBackEverything(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            let keys = try await stage.withPeer(stage.home(1)) { writer in
                var keys: [DiscoveryKey] = []
                for number in 0..<3 {
                    let log = try await writer.store.database(named: "log \(number)")
                    try await writer.announce(log)
                    #expect(try await stage.net.nodes[2].lookup(Topic(log.discoveryKey)).count == 1)
                    keys.append(log.discoveryKey)
                }
                return keys
            }
            for key in keys { #expect(try await stage.net.nodes[2].lookup(Topic(key)).isEmpty) }
        }
    }
}
