import DWeb
import Testing

/// A peer that is not admitted gets no connection, whoever dials.
@Suite(.scenarioLimit) struct FirewallScenario {
    @Test(arguments: Ground.everywhere) func aRefusedPeerCannotConnect(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            let refused = KeyPair(seed: Bytes32(repeating: 51))
            try await stage.withPeer(stage.home(1), { $0.admits = { $0 != refused.publicKey } }) { writer in
                let source = try await writer.store.database(named: "log")
                try await source.append(content(0))
                try await writer.announce(source)
                let key = source.key
                try await stage.withPeer(stage.home(2), { $0.keyPair = refused }) { stranger in
                    let copy = try await stranger.store.database(key: key)
                    try await stranger.networker.join(key.discoveryKey, announce: false, lookup: true)
                    let outcome = await code { () throws(DDatabaseError) in
                        try await copy.block(at: 0, .wait(upTo: .seconds(3)))
                    }
                    #expect(outcome == .noPeers)
                    #expect(await stranger.networker.streams.isEmpty)
                    #expect(await writer.networker.streams.isEmpty)
                    #expect(await writer.networker.swarm.status(of: refused.publicKey) == .notConnected(.banned))
                    // Somebody else is welcome all the while.
                    try await stage.withPeer(stage.home(3)) { friend in
                        let copy = try await friend.find(key)
                        #expect(try await copy.block(at: 0) == content(0))
                        #expect(await writer.networker.peers.map(\.publicKey) == [friend.publicKey])
                    }
                }
            }
        }
    }

    @Test(arguments: Ground.everywhere) func aRefusedPeerIsNotDialled(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            let refused = KeyPair(seed: Bytes32(repeating: 52))
            try await stage.withPeer(stage.home(1), { $0.keyPair = refused }) { writer in
                let source = try await writer.store.database(named: "log")
                try await source.append(content(0))
                try await writer.announce(source)
                let key = source.key
                try await stage.withPeer(stage.home(2), { $0.admits = { $0 != refused.publicKey } }) { reader in
                    let copy = try await reader.find(key)
                    #expect(await reader.networker.streams.isEmpty)
                    let outcome = await code { () throws(DDatabaseError) in
                        try await copy.block(at: 0, .wait(upTo: .milliseconds(500)))
                    }
                    #expect(outcome == .noPeers)
                    #expect(await writer.networker.streams.isEmpty)
                    #expect(await reader.networker.swarm.status(of: refused.publicKey) == .notConnected(.banned))
                }
            }
        }
    }
}
