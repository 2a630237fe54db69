import DWeb
import Testing

/// A networker can be closed at any moment, any number of times, and always ends.
@Suite(.scenarioLimit) struct ClosingScenario {
    @Test(arguments: Ground.everywhere) func closingTwice(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withPeers([stage.home(1), stage.home(2)]) { peers in
                let (writer, reader) = (peers[0], peers[1])
                let source = try await writer.store.database(named: "log")
                try await source.append(content(0))
                try await writer.announce(source)
                let copy = try await reader.find(source.key)
                #expect(try await copy.block(at: 0) == content(0))

                let networker = reader.networker
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<3 { group.addTask { await networker.close() } }
                }
                await networker.close()
                #expect(await networker.streams.isEmpty)
                #expect(await networker.statuses.isEmpty)
                #expect(
                    await networkerCode { () throws(SwarmNetworkerError) in
                        try await networker.join(source.discoveryKey)
                    } == .closed)
                #expect(await networkerCode { () throws(SwarmNetworkerError) in try await networker.run() } == .closed)
                #expect(await !networker.flushed(source.discoveryKey))
                var iterator = networker.events().makeAsyncIterator()
                #expect(await iterator.next() == nil)
                // The writer notices, and the store of the closed one is still of use.
                #expect(await stage.eventually { await writer.networker.streams.isEmpty })
                #expect(try await copy.block(at: 0, .localOnly) == content(0))
            }
        }
    }

    @Test(arguments: Ground.everywhere) func closingWhileJoining(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            let home = stage.home(1)
            try await stage.withPeer(home) { writer in
                let source = try await writer.store.database(named: "log")
                try await writer.announce(source)
                for milliseconds in [0, 1, 15, 40, 90] {
                    try await stage.withPeer(stage.home(2)) { reader in
                        let key = source.discoveryKey
                        let networker = reader.networker
                        try await withThrowingTaskGroup(of: SwarmNetworkerError.Code?.self) { group in
                            for lookup in [true, false] {
                                group.addTask {
                                    await networkerCode { () throws(SwarmNetworkerError) in
                                        try await networker.join(key, announce: true, lookup: lookup)
                                    }
                                }
                            }
                            await stage.pause(.milliseconds(milliseconds))
                            await networker.close()
                            for try await code in group { #expect(code == nil || code == .closed) }
                        }
                        #expect(await networker.streams.isEmpty)
                    }
                }
                #expect(await stage.eventually { await writer.networker.streams.isEmpty })
            }
        }
    }

    @Test(arguments: Ground.everywhere) func closingWhileDownloading(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withPeers([stage.home(1), stage.home(2)]) { peers in
                let (writer, reader) = (peers[0], peers[1])
                let source = try await writer.store.database(named: "log")
                try await source.append(contents(0..<60, byteCount: 30_000))
                try await writer.announce(source)
                let copy = try await reader.find(source.key)
                async let outcome = code { () throws(DDatabaseError) in
                    try await copy.blocks(at: 0..<60, .wait(upTo: .seconds(3)))
                }
                #expect(await stage.eventually { copy.statistics.downloadedBlockCount > 0 })
                await writer.networker.close()
                // Either all of it had left already, or the read ends at its deadline.
                let result = await outcome
                // A goodbye that was lost leaves the peer counted, and its answers awaited, for a while.
                let expected: [DDatabaseError.Code?] = [nil, .noPeers, .blockNotAvailable, .deadlineExceeded]
                #expect(expected.contains(result))
                #expect((result == nil) == (copy.contiguousLength == 60))
                #expect(await stage.eventually(within: .seconds(60)) { await reader.networker.streams.isEmpty })
                #expect(copy.peerCount == 0)
                // What is here is whole.
                for index in 0..<60 where try await copy.has(UInt64(index)) {
                    #expect(try await copy.block(at: UInt64(index), .localOnly) == content(index, byteCount: 30_000))
                }
            }
        }
    }

    @Test(arguments: Ground.everywhere) func closingTheStoreFirst(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withPeers([stage.home(1), stage.home(2)]) { peers in
                let (writer, reader) = (peers[0], peers[1])
                let source = try await writer.store.database(named: "log")
                try await source.append(content(0))
                try await writer.announce(source)
                let copy = try await reader.find(source.key)
                #expect(try await copy.block(at: 0) == content(0))
                await writer.store.close()
                #expect(await stage.eventually { copy.peerCount == 0 })
                #expect(await code { () throws(DDatabaseError) in try await source.append(content(1)) } == .closed)
                await writer.networker.leave(source.discoveryKey)
                await writer.networker.close()
            }
        }
    }

    @Test(arguments: Ground.everywhere) func closingBeforeRunning(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withStore(stage.home(1)) { store in
                let networker = SwarmNetworker(store: store, configuration: stage.configuration)
                await networker.close()
                await networker.close()
                #expect(await networkerCode { () throws(SwarmNetworkerError) in try await networker.run() } == .closed)
            }
        }
    }

    @Test(arguments: Ground.everywhere) func cancellingIsClosing(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withPeer(stage.home(1)) { writer in
                let source = try await writer.store.database(named: "log")
                try await source.append(content(0))
                try await writer.announce(source)
                let key = source.key
                try await stage.withStore(stage.home(2)) { store in
                    let networker = SwarmNetworker(store: store, configuration: stage.configuration)
                    await withTaskGroup(of: Void.self) { group in
                        group.addTask { try? await networker.run() }
                        let copy = try? await store.database(key: key)
                        try? await networker.join(key.discoveryKey, announce: false)
                        #expect(await networker.flushed(key.discoveryKey))
                        #expect((try? await copy?.block(at: 0)) == content(0))
                        group.cancelAll()
                        await group.waitForAll()
                    }
                    #expect(await networker.swarm.dht.diagnostics.socketCount == 0)
                    #expect(store.connectionCount == 0)
                    await networker.close()
                }
                #expect(await stage.eventually { await writer.networker.streams.isEmpty })
            }
        }
    }

    /// Nothing keeps alive what was closed: no timer, no handler, no task.
    @Test(arguments: Ground.everywhere) func whatWasClosedIsReleased(ground: Ground) async throws {
        let remains = Remains()
        try await Stage.run(ground, timeLimit: .seconds(3_000)) { stage in
            try await stage.withPeer(stage.home(1)) { writer in
                let source = try await writer.store.database(named: "log")
                try await source.append(contents(0..<5))
                try await writer.announce(source)
                let key = source.key
                try await stage.withPeer(stage.home(2)) { reader in
                    let copy = try await reader.find(key)
                    #expect(try await copy.blocks(at: 0..<5) == contents(0..<5))
                    remains.note(reader)
                    remains.note(copy)
                }
                remains.note(writer)
                remains.note(source)
            }
            // Timers that were cancelled may hold on until they would have fired.
            await stage.pause(.seconds(stage.ground.isSimulated ? 1_500 : 1))
            #expect(remains.names == [])
        }
    }

    /// What the body throws ends the networker, and comes out.
    @Test(arguments: Ground.everywhere) func anErrorInTheBodyClosesTheNetworker(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            await #expect(throws: ScenarioFailure.self) {
                try await stage.withPeer(stage.home(1)) { peer in
                    let log = try await peer.store.database(named: "log")
                    try await peer.announce(log)
                    throw ScenarioFailure("on purpose")
                }
            }
        }
    }
}

/// The code of the error that `body` throws; nil if it throws none.
func networkerCode<Result>(
    _ body: () async throws(SwarmNetworkerError) -> Result
) async -> SwarmNetworkerError.Code? {
    do throws(SwarmNetworkerError) {
        _ = try await body()
        return nil
    } catch {
        return error.code
    }
}
