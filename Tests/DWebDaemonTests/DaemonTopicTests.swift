import DWeb
import DWebDaemonKit
import DWebSimulation
import Testing

/// What is done on the network for a log, and that it outlives the daemon.
@Suite struct DaemonTopicTests {
    @Test func rememberedTopicsAreJoinedAgainAfterARestart() throws {
        try DaemonStage.run { stage in
            let home = DaemonHome(1)
            let key = DiscoveryKey(Bytes32(repeating: 7))
            try await stage.withDaemon(home) { daemon in
                try await daemon.configure(key, TopicSetting(announce: true, lookup: false))
                #expect(await stage.eventually { await daemon.topics().first?.isJoined ?? false })
            }
            try await stage.withDaemon(home) { daemon in
                #expect(await stage.eventually { await daemon.topics().first?.isJoined ?? false })
                let topic = await daemon.topics().first
                #expect(topic?.discoveryKey == key)
                #expect(topic?.setting == TopicSetting(announce: true, lookup: false))
                #expect(await daemon.networker.status(key)?.isAnnounced == true)
            }
        }
    }

    @Test func topicsThatAreNotToBeRememberedEndWithTheDaemon() throws {
        try DaemonStage.run { stage in
            let home = DaemonHome(1)
            let key = DiscoveryKey(Bytes32(repeating: 7))
            try await stage.withDaemon(home) { daemon in
                try await daemon.configure(key, TopicSetting(remember: false))
                #expect(await stage.eventually { await daemon.networker.joined(key) })
            }
            try await stage.withDaemon(home) { daemon in
                #expect(await daemon.topics().isEmpty)
            }
        }
    }

    @Test func leavingATopicIsRemembered() throws {
        try DaemonStage.run { stage in
            let home = DaemonHome(1)
            let key = DiscoveryKey(Bytes32(repeating: 7))
            try await stage.withDaemon(home) { daemon in
                try await daemon.configure(key, TopicSetting())
                #expect(await stage.eventually { await daemon.networker.joined(key) })
                try await daemon.configure(key, TopicSetting(announce: false, lookup: false))
                #expect(await stage.eventually { await daemon.networker.status(key) == nil })
                #expect(await daemon.topics().isEmpty)
            }
            try await stage.withDaemon(home) { daemon in #expect(await daemon.topics().isEmpty) }
        }
    }

    @Test func aDiskThatRefusesChangesNothingAndIsUsedAgainOnceItTakesWrites() throws {
        try DaemonStage.run { stage in
            let storage = RefusingStorage()
            let home = DaemonHome(1, storage: storage)
            let (first, second) = (DiscoveryKey(Bytes32(repeating: 1)), DiscoveryKey(Bytes32(repeating: 2)))
            try await stage.withDaemon(home) { daemon in
                try await daemon.configure(first, TopicSetting())
                storage.isRefusing = true
                await #expect(throws: DaemonError.self) { try await daemon.configure(second, TopicSetting()) }
                #expect(await daemon.status().health == .readOnly)
                #expect(await daemon.topics().map(\.discoveryKey) == [first])
                storage.isRefusing = false
                try await daemon.configure(second, TopicSetting())
                #expect(await daemon.status().health != .readOnly)
            }
            try await stage.withDaemon(home) { daemon in
                #expect(await daemon.topics().map(\.discoveryKey) == [first, second])
            }
        }
    }

    @Test func aDaemonThatRecoversByItselfSaysSo() throws {
        try DaemonStage.run { stage in
            let storage = RefusingStorage()
            try await stage.withDaemon(DaemonHome(1, storage: storage)) { daemon in
                storage.isRefusing = true
                await #expect(throws: DaemonError.self) {
                    try await daemon.configure(DiscoveryKey(Bytes32(repeating: 1)), TopicSetting())
                }
                storage.isRefusing = false
                #expect(await stage.eventually { await daemon.status().health != .readOnly })
            }
        }
    }
}
