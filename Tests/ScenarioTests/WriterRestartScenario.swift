import DWeb
import DWebSimulation
import Testing

/// A reader follows a writer that goes away and comes back on the same store.
@Suite(.scenarioLimit) struct WriterRestartScenario {
    @Test(arguments: Ground.everywhere) func theReaderReconnectsByItself(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            let home = stage.homeOnDisk(1)
            try await stage.withPeer(stage.home(2)) { reader in
                let (key, identity) = try await stage.withPeer(home) { writer in
                    let source = try await writer.store.database(named: "log")
                    try await source.append(contents(0..<3))
                    try await writer.announce(source)
                    let copy = try await reader.find(source.key)
                    #expect(try await copy.blocks(at: 0..<3) == contents(0..<3))
                    return (source.key, writer.publicKey)
                }
                let copy = try await reader.store.database(key: key)
                #expect(await stage.eventually { copy.peerCount == 0 })
                #expect(await reader.networker.peers.isEmpty)

                try await stage.withPeer(home) { writer in
                    #expect(writer.publicKey == identity)
                    let source = try await writer.store.database(named: "log")
                    #expect(source.key == key && source.length == 3 && source.isWritable)
                    try await source.append(contents(3..<6))
                    try await writer.announce(source)
                    // The reader does nothing but read on.
                    #expect(try await copy.blocks(at: 3..<6, .wait(upTo: .seconds(40))) == contents(3..<6))
                    #expect(await reader.networker.streams.count == 1)
                    #expect(copy.statistics.downloadedBlockCount == 6)
                }
            }
        }
    }

    /// The writer's host loses power: nobody says goodbye, and what still counts as connected is replaced.
    @Test(arguments: Ground.simulations) func aWriterThatVanishedIsFoundAgain(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            let network = try #require(stage.world).network
            let home = stage.home(1)
            let others =
                [stage.address(stage.home(2))]
                + stage.net.nodes.indices.map {
                    SocketAddress(ipv4: 10, 0, 0, UInt8($0 + 1), port: 0)
                }
            @Sendable func cut(_ isCut: Bool) {
                var dead = LinkConditions()
                dead.isPartitioned = true
                for other in others {
                    network.setConditions(isCut ? dead : nil, from: stage.address(home), to: other)
                    network.setConditions(isCut ? dead : nil, from: other, to: stage.address(home))
                }
            }
            try await stage.withPeer(stage.home(2)) { reader in
                let key = try await stage.withPeer(home) { writer in
                    let source = try await writer.store.database(named: "log")
                    try await source.append(contents(0..<3))
                    try await writer.announce(source)
                    let copy = try await reader.find(source.key)
                    #expect(try await copy.blocks(at: 0..<3) == contents(0..<3))
                    cut(true)
                    return source.key
                }
                cut(false)
                let copy = try await reader.store.database(key: key)
                try await stage.withPeer(home) { writer in
                    let source = try await writer.store.database(named: "log")
                    try await source.append(contents(3..<6))
                    try await writer.announce(source)
                    #expect(try await copy.blocks(at: 3..<6, .wait(upTo: .seconds(120))) == contents(3..<6))
                    #expect(await reader.networker.streams.count == 1)
                    #expect(await writer.networker.streams.count == 1)
                }
            }
        }
    }
}
