import DWeb
import Testing

/// A read that cannot be answered fails at its deadline and says why.
@Suite(.scenarioLimit) struct MissingBlocksScenario {
    @Test(arguments: Ground.everywhere) func withoutPeers(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withPeer(stage.home(1)) { reader in
                let key = KeyPair(seed: Bytes32(repeating: 77)).publicKey
                let copy = try await reader.find(key)
                let start = stage.loop.now
                let outcome = await code { () throws(DDatabaseError) in
                    try await copy.block(at: 0, .wait(upTo: .milliseconds(700)))
                }
                let waited = stage.loop.now - start
                #expect(outcome == .noPeers)
                #expect(waited >= .milliseconds(700) && waited < .seconds(3))
                let local = await code { () throws(DDatabaseError) in try await copy.block(at: 0, .localOnly) }
                #expect(local == .outOfBounds)
            }
        }
    }

    @Test(arguments: Ground.everywhere) func withAPeerThatLacksIt(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            let writerHome = stage.home(1)
            try await stage.withPeers([stage.home(2), stage.home(3)]) { peers in
                let (middle, reader) = (peers[0], peers[1])
                // The one in the middle knows the log's length, and has only its first two blocks.
                let key = try await stage.withPeer(writerHome) { writer in
                    let source = try await writer.store.database(named: "log")
                    try await source.append(contents(0..<6))
                    try await writer.announce(source)
                    let mirror = try await middle.find(source.key)
                    try await mirror.download(0..<2)
                    return source.key
                }
                let mirror = try await middle.store.database(key: key)
                try await middle.networker.join(key.discoveryKey, announce: true, lookup: false)
                let copy = try await reader.find(key)
                #expect(try await copy.block(at: 1) == content(1))
                #expect(copy.length == 6)
                for index in [UInt64(4), 6] {
                    let start = stage.loop.now
                    let outcome = await code { () throws(DDatabaseError) in
                        try await copy.block(at: index, .wait(upTo: .milliseconds(700)))
                    }
                    let waited = stage.loop.now - start
                    #expect(outcome == .blockNotAvailable)
                    #expect(waited >= .milliseconds(700) && waited < .seconds(3))
                }
                #expect(copy.peerCount == 1)
                // The writer's goodbye may have been lost.
                #expect(await stage.eventually(within: .seconds(60)) { mirror.peerCount == 1 })
                // Once the writer is back, everything is to be had.
                try await stage.withPeer(writerHome) { writer in
                    let source = try await writer.store.database(named: "log")
                    try await writer.announce(source)
                    try await reader.networker.join(key.discoveryKey, announce: false, lookup: true)
                    #expect(try await copy.block(at: 4, .wait(upTo: .seconds(20))) == content(4))
                }
            }
        }
    }
}
