import DWeb
import DWebDaemonKit
import DWebSimulation
import Testing

/// What happens when there is not room for everything.
@Suite struct DaemonSpaceTests {
    @Test func theLowestPriorityLosesItsContentAndGetsItBack() throws {
        try DaemonStage.run { stage in
            try await stage.withLog(1) { low in
                try await stage.withLog(3) { high in
                    try await stage.withDaemon(DaemonHome(2)) { daemon in
                        try await daemon.seed([
                            SeedTarget(key: low.key, priority: 10), SeedTarget(key: high.key, priority: 200),
                        ])
                        #expect(await stage.reaches(.complete, low.key, daemon))
                        #expect(await stage.reaches(.complete, high.key, daemon))

                        var limits = await daemon.limits
                        limits.storageByteCount = 1_500
                        try await daemon.setLimits(limits)
                        #expect(await stage.reaches(.evicted, low.key, daemon))
                        #expect(await stage.reaches(.complete, high.key, daemon))
                        #expect(await stage.eventually { await daemon.status().storedByteCount <= 1_500 })
                        #expect(await stage.eventually { await daemon.networker.status(low.discoveryKey) == nil })
                        #expect(await daemon.status().health == .degraded)

                        limits.storageByteCount = 0
                        try await daemon.setLimits(limits)
                        #expect(await stage.reaches(.complete, low.key, daemon))
                        #expect(await daemon.status().storedByteCount == 2_000)
                    }
                }
            }
        }
    }

    @Test func whatHasNoRoomIsNotDownloadedAgainAfterARestart() throws {
        try DaemonStage.run { stage in
            let home = DaemonHome(2)
            try await stage.withLog(1) { log in
                try await stage.withDaemon(home) { daemon in
                    try await daemon.seed([SeedTarget(key: log.key)])
                    #expect(await stage.reaches(.complete, log.key, daemon))
                    var limits = await daemon.limits
                    limits.storageByteCount = 500
                    try await daemon.setLimits(limits)
                    #expect(await stage.reaches(.evicted, log.key, daemon))
                }
                try await stage.withDaemon(home) { daemon in
                    #expect(await stage.reaches(.evicted, log.key, daemon))
                    await stage.pause(.seconds(60))
                    #expect(await daemon.seedStatuses().first?.storedByteCount ?? 0 <= 100)
                }
            }
        }
    }

    @Test func aDiskThatIsNearlyFullPausesDownloads() throws {
        try DaemonStage.run { stage in
            let home = DaemonHome(2)
            home.freeByteCount.value = 1_000
            try await stage.withLog(1) { log in
                try await stage.withDaemon(home) { daemon in
                    try await daemon.seed([SeedTarget(key: log.key)])
                    #expect(await stage.reaches(.paused, log.key, daemon))
                    home.freeByteCount.value = 100 << 30
                    #expect(await stage.reaches(.complete, log.key, daemon))
                }
            }
        }
    }
}
