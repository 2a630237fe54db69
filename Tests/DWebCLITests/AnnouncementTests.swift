import DWeb
import Foundation
import Testing

@testable import DWebCLI

/// When the key of what is shared is printed.
@Suite struct AnnouncementTests {
    /// A store in memory and its networker, in a network of which no node is there.
    private func withNetworker(
        _ body: @escaping @Sendable (Basestore, SwarmNetworker) async throws -> Void
    ) async throws {
        let loop = PosixLoop()
        let store = try await Basestore.open("store", runtime: .posix(loop: loop, storage: MemoryStorage()))
        var configuration = SwarmNetworker.Configuration()
        configuration.bootstrap = []
        configuration.host = "127.0.0.1"
        configuration.port = 0
        try await SwarmNetworker.withNetworker(store: store, configuration: configuration) { networker in
            try await body(store, networker)
        }
        await store.close()
        await loop.shutdown()
    }

    @Test(.timeLimit(.minutes(1))) func aDaemonBesideIsNotTheNetwork() async throws {
        try await withNetworker { _, daemon in
            try await daemon.listen()
            let neighbor = try #require(await daemon.localAddress)
            try await withNetworker { store, networker in
                let log = try await store.database(named: "log")
                try await networker.listen()
                await networker.swarm.joinPeer(daemon.keyPair.publicKey, relayAddresses: [neighbor])
                while await networker.peers.isEmpty { try await Task.sleep(for: .milliseconds(10)) }
                let announcement = Announcement(
                    discoveryKey: log.discoveryKey, networker: networker, neighbor: neighbor)
                await withThrowingTaskGroup(of: Void.self) { group in
                    let (answers, continuation) = AsyncStream.makeStream(
                        of: Bool.self, bufferingPolicy: .bufferingNewest(1))
                    group.addTask {
                        try await announcement.make(Console(isJSON: false, isQuiet: true)) { isFound in
                            continuation.yield(isFound)
                            continuation.finish()
                        }
                    }
                    // With entry points that do not answer, the key would be held back for eight seconds and more.
                    for await isFound in answers { #expect(!isFound) }
                    group.cancelAll()
                    do { try await group.waitForAll() } catch {}
                }
            }
        }
    }
}
