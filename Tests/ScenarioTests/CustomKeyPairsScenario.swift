import DWeb
import Testing

/// A networker is known to its peers by the key pair it was given.
@Suite(.scenarioLimit) struct CustomKeyPairsScenario {
    @Test(arguments: Ground.everywhere) func bothEndsSeeTheOthersKey(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            let keyPairs = [KeyPair(seed: Bytes32(repeating: 41)), KeyPair(seed: Bytes32(repeating: 42))]
            try await stage.withPeer(stage.home(1), { $0.keyPair = keyPairs[0] }) { writer in
                try await stage.withPeer(stage.home(2), { $0.keyPair = keyPairs[1] }) { reader in
                    let source = try await writer.store.database(named: "log")
                    try await source.append(content(0))
                    try await writer.announce(source)
                    let copy = try await reader.find(source.key)
                    #expect(try await copy.block(at: 0) == content(0))

                    #expect(writer.networker.keyPair.publicKey == keyPairs[0].publicKey)
                    let atWriter = try #require(await writer.networker.streams.first)
                    let atReader = try #require(await reader.networker.streams.first)
                    #expect(atWriter.peer.publicKey == keyPairs[1].publicKey)
                    #expect(atReader.peer.publicKey == keyPairs[0].publicKey)
                    #expect(atReader.isInitiator && !atWriter.isInitiator)
                    #expect(await writer.networker.peers == [atWriter.peer])
                    #expect(await reader.networker.peers == [atReader.peer])
                    #expect(atReader.peer.address.hasSameHost(as: stage.address(writer.home)))
                }
            }
        }
    }

    @Test(arguments: Ground.everywhere) func theStoresOwnIdentitySurvivesARestart(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            let home = stage.homeOnDisk(1)
            let first = try await stage.withPeer(home) { $0.publicKey }
            let second = try await stage.withPeer(home) { $0.publicKey }
            let other = try await stage.withPeer(stage.home(2)) { $0.publicKey }
            #expect(first == second)
            #expect(first != other)
        }
    }
}
