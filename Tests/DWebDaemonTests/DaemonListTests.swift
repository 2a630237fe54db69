import DWeb
import DWebDaemonKit
import DWebSimulation
import DWebTree
import Testing

/// A live list adds and removes seeds as its author changes it.
@Suite struct DaemonListTests {
    @Test func aListIsFollowedAsItChangesAndOverRestarts() throws {
        try DaemonStage.run { stage in
            let home = DaemonHome(2)
            try await stage.withLog(1) { log in
                try await stage.withWriter(3) { store in
                    let database = try await store.database(named: "list")
                    return (DTree(database, runtime: store.runtime), database.discoveryKey)
                } _: { list in
                    try await list.put(log.key.text, #"{"type": "core", "priority": 7, "description": "named"}"#)
                    try await stage.withDaemon(home) { daemon in
                        try await daemon.follow(list.key)
                        #expect(await stage.reaches(.complete, log.key, daemon))
                        let seed = await daemon.seedStatuses([log.key]).first
                        #expect(seed?.priority == 7 && seed?.note == "named" && seed?.lists == [list.key])
                        #expect(seed?.isDirect == false)
                    }
                    try await list.delete(log.key.text)
                    try await stage.withDaemon(home) { daemon in
                        #expect(await daemon.lists == [list.key])
                        #expect(await stage.eventually { await daemon.seedStatuses([log.key]).isEmpty })
                        #expect(await daemon.seedStatuses([list.key]).first?.kind == .tree)
                        let wasFollowed = try await daemon.unfollow(list.key)
                        #expect(wasFollowed)
                        #expect(await daemon.seedStatuses().isEmpty)
                    }
                }
            }
        }
    }

    @Test func whatWasAskedForDirectlyStaysWhenAListDropsIt() throws {
        try DaemonStage.run { stage in
            try await stage.withLog(1) { log in
                try await stage.withWriter(3) { store in
                    let database = try await store.database(named: "list")
                    let tree = DTree(database, runtime: store.runtime)
                    // As the network's own lists of seeds have it: two zero bytes, then the key.
                    try await tree.put([0, 0] + log.key.bytes, [4] + Array("core".utf8) + [0, 0])
                    return (tree, database.discoveryKey)
                } _: { list in
                    try await stage.withDaemon(DaemonHome(2)) { daemon in
                        try await daemon.seed([SeedTarget(key: log.key)])
                        try await daemon.follow(list.key)
                        #expect(
                            await stage.eventually { await daemon.seedStatuses([log.key]).first?.lists == [list.key] })
                        let wasFollowed = try await daemon.unfollow(list.key)
                        #expect(wasFollowed)
                        let seed = await daemon.seedStatuses([log.key]).first
                        #expect(seed?.isDirect == true && seed?.lists == [])
                    }
                }
            }
        }
    }
}
