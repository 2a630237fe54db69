import DWeb
import DWebDaemonKit
import DWebDrive
import DWebSimulation
import DWebTree
import Testing

/// What is seeded is found, downloaded whole, followed, kept over restarts and given to others.
@Suite struct DaemonSeedTests {
    @Test func aLogIsDownloadedWholeAndFollowed() throws {
        try DaemonStage.run { stage in
            try await stage.withLog { log in
                try await stage.withDaemon(DaemonHome(2)) { daemon in
                    #expect(try await daemon.seed([SeedTarget(key: log.key)]) == 1)
                    #expect(await stage.reaches(.complete, log.key, daemon))
                    let status = await daemon.seedStatuses().first
                    #expect(status?.kind == .log)
                    #expect(status?.blockCount == 10 && status?.storedBlockCount == 10)
                    #expect(status?.byteCount == 1_000 && status?.storedByteCount == 1_000)
                    try await log.append(Array(repeating: 1, count: 50))
                    #expect(await stage.eventually { await daemon.seedStatuses().first?.storedByteCount == 1_050 })
                }
            }
        }
    }

    @Test func aTreeIsToldFromALogAndADrive() throws {
        try DaemonStage.run { stage in
            try await stage.withWriter(1) { store in
                let database = try await store.database(named: "tree")
                let tree = DTree(database, runtime: store.runtime)
                try await tree.put("key", "value")
                return (tree.key, database.discoveryKey)
            } _: { key in
                try await stage.withDaemon(DaemonHome(2)) { daemon in
                    try await daemon.seed([SeedTarget(key: key)])
                    #expect(await stage.reaches(.complete, key, daemon))
                    #expect(await daemon.seedStatuses().first?.kind == .tree)
                }
            }
        }
    }

    @Test func aDriveIsKeptWithItsContentAndGivenToOthersWhenItsWriterIsGone() throws {
        try DaemonStage.run { stage in
            try await stage.withDaemon(DaemonHome(2)) { daemon in
                let key = try await stage.withWriter(1) { store in
                    let drive = try await DDrive.open(in: store)
                    try await drive.write(Array("hello".utf8), to: "/a/greeting.txt")
                    try await drive.write(Array(repeating: 9, count: 200_000), to: "/large")
                    return (drive.key, drive.discoveryKey)
                } _: { key in
                    try await daemon.seed([SeedTarget(key: key)])
                    #expect(await stage.reaches(.complete, key, daemon))
                    #expect(await daemon.seedStatuses().first?.kind == .drive)
                    return key
                }
                try await stage.withPeer(DaemonHome(3)) { store, networker in
                    let copy = try await DDrive.open(in: store, key: key)
                    try await networker.join(copy.discoveryKey, announce: false, lookup: true)
                    #expect(try await copy.read("/a/greeting.txt") == Array("hello".utf8))
                    #expect(try await copy.read("/large")?.count == 200_000)
                }
            }
        }
    }

    @Test func seedsGoOnAfterARestart() throws {
        try DaemonStage.run { stage in
            let home = DaemonHome(2)
            try await stage.withLog { log in
                try await stage.withDaemon(home) { daemon in
                    try await daemon.seed([SeedTarget(key: log.key, priority: 42, note: "a note")])
                    #expect(await stage.reaches(.complete, log.key, daemon))
                }
                try await log.append(Array(repeating: 1, count: 50))
                try await stage.withDaemon(home) { daemon in
                    #expect(await stage.eventually { await daemon.seedStatuses().first?.storedByteCount == 1_050 })
                    let status = await daemon.seedStatuses().first
                    #expect(status?.priority == 42)
                    #expect(status?.note == "a note")
                    #expect(
                        await stage.eventually { await daemon.networker.status(log.discoveryKey)?.isAnnounced ?? false }
                    )
                }
            }
        }
    }

    @Test func whoHoldsASeedWholeIsReported() throws {
        try DaemonStage.run { stage in
            try await stage.withLog { log in
                try await stage.withDaemon(DaemonHome(2)) { daemon in
                    try await daemon.seed([SeedTarget(key: log.key)])
                    #expect(
                        await stage.eventually {
                            await daemon.seedStatuses().first?.holders.count { $0.isComplete } == 1
                        })
                    let peers = await daemon.peers().filter(\.isConnected)
                    #expect(peers.count == 1)
                    #expect(peers.first?.path == "local network")
                    #expect(peers.first?.downloadedByteCount == 1_000)
                }
            }
        }
    }

    @Test func whatIsNoLongerSeededIsLeftAndKeptUntilItIsPurged() throws {
        try DaemonStage.run { stage in
            try await stage.withLog { log in
                try await stage.withDaemon(DaemonHome(2)) { daemon in
                    try await daemon.seed([SeedTarget(key: log.key)])
                    #expect(await stage.reaches(.complete, log.key, daemon))
                    #expect(try await daemon.unseed([log.key]) == 1)
                    #expect(await daemon.seedStatuses().isEmpty)
                    #expect(await stage.eventually { await daemon.networker.status(log.discoveryKey) == nil })
                    let isKept = try await daemon.store.contains(log.discoveryKey)
                    #expect(isKept)
                    try await daemon.seed([SeedTarget(key: log.key)])
                    #expect(try await daemon.unseed([log.key], purge: true) == 1)
                    let isPurged = try await !daemon.store.contains(log.discoveryKey)
                    #expect(isPurged)
                }
            }
        }
    }

    @Test func aLogThatIsWrittenHereIsNeverPurged() throws {
        try DaemonStage.run { stage in
            try await stage.withDaemon(DaemonHome(2)) { daemon in
                let log = try await daemon.store.database(named: "own")
                try await log.append([1, 2, 3])
                try await daemon.seed([SeedTarget(key: log.key)])
                #expect(await stage.reaches(.complete, log.key, daemon))
                await #expect(throws: DaemonError.self) { try await daemon.unseed([log.key], purge: true) }
                #expect(log.length == 1)
            }
        }
    }

    @Test func moreKeysThanTheLimitAreRefusedTogether() throws {
        try DaemonStage.run { stage in
            try await stage.withDaemon(DaemonHome(2)) { daemon in
                var limits = SeedLimits()
                limits.seedCount = 2
                try await daemon.setLimits(limits)
                let targets = (1...3).map { SeedTarget(key: PublicKey(Bytes32(repeating: $0))) }
                await #expect(throws: DaemonError.self) { try await daemon.seed(targets) }
                #expect(await daemon.seedStatuses().isEmpty)
                #expect(try await daemon.seed(Array(targets.prefix(2))) == 2)
            }
        }
    }
}
