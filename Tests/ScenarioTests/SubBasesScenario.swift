import DWeb
import Testing

/// Logs that are opened under namespaces after the connection was made are replicated over it.
@Suite(.scenarioLimit) struct SubBasesScenario {
    @Test(arguments: Ground.everywhere) func logsOpenedLaterTakePart(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withPeers([stage.home(1), stage.home(2)]) { peers in
                let (writer, reader) = (peers[0], peers[1])
                let top = try await writer.store.database(named: "log")
                try await top.append(content(0))
                try await writer.announce(top)
                let topCopy = try await reader.find(top.key)
                #expect(try await topCopy.block(at: 0) == content(0))

                // The same name in three namespaces is three logs.
                let sub = writer.store.namespace("sub")
                let first = try await sub.database(named: "log")
                let second = try await sub.namespace("deeper").database(named: "log")
                #expect(Set([top.key, first.key, second.key]).count == 3)
                try await first.append(contents(10..<13))
                let firstCopy = try await reader.store.namespace("anywhere").database(key: first.key)
                #expect(try await firstCopy.blocks(at: 0..<3) == contents(10..<13))

                // The reader waits before there is anything.
                let secondCopy = try await reader.store.database(key: second.key)
                async let awaited = secondCopy.block(at: 0, .wait(upTo: .seconds(20)))
                await stage.pause(.milliseconds(100))
                try await second.append(content(20))
                #expect(try await awaited == content(20))

                #expect(await writer.networker.streams.count == 1)
                #expect(await reader.networker.streams.count == 1)
            }
        }
    }

    @Test(arguments: Ground.everywhere) func aStoredLogIsServedWithoutBeingOpened(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            let home = stage.homeOnDisk(1)
            let (top, stored) = try await stage.withStore(home) { store in
                let top = try await store.database(named: "log")
                let stored = try await store.namespace("sub").database(named: "log")
                try await stored.append(contents(0..<3))
                return (top.key, stored.key)
            }
            try await stage.withPeers([home, stage.home(2)]) { peers in
                let (writer, reader) = (peers[0], peers[1])
                try await writer.announce(try await writer.store.database(key: top))
                let topCopy = try await reader.find(top)
                let copy = try await reader.store.database(key: stored)
                #expect(try await copy.blocks(at: 0..<3, .wait(upTo: .seconds(20))) == contents(0..<3))
                #expect(topCopy.length == 0)
            }
        }
    }
}
