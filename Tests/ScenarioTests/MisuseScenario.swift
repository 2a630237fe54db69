import DWeb
import Testing

/// Mistakes of the caller get a typed error and a sentence, not silence.
@Suite(.scenarioLimit) struct MisuseScenario {
    @Test(arguments: Ground.everywhere) func nobodyRunsTheNetworker(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withStore(stage.home(1)) { store in
                let networker = SwarmNetworker(store: store, configuration: stage.configuration)
                let log = try await store.database(named: "log")
                do throws(SwarmNetworkerError) {
                    try await networker.join(log.discoveryKey)
                    Issue.record("a join without run() succeeded")
                } catch {
                    #expect(error.code == .notRunning)
                    #expect(error.detail.contains("run()"))
                }
                #expect(await networker.localAddress == nil)
                await networker.close()
            }
        }
    }

    @Test(arguments: Ground.everywhere) func runningTwice(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withPeer(stage.home(1)) { peer in
                let log = try await peer.store.database(named: "log")
                try await peer.announce(log)
                let networker = peer.networker
                #expect(
                    await networkerCode { () throws(SwarmNetworkerError) in try await networker.run() }
                        == .alreadyRunning)
                // The one that runs is not disturbed.
                #expect(await networker.joined(log.discoveryKey))
            }
        }
    }

    @Test(arguments: Ground.everywhere) func thePortIsInUse(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            let home = stage.home(1)
            let runtime = stage.runtime(home)
            let port: UInt16 =
                stage.ground.isSimulated ? 50_000 : try await Stage.freeAddress(runtime).port
            let socket = try await runtime.network.bind(
                DatagramSocketOptions(address: stage.address(home).with(port: port)), receive: { _ in })
            defer { socket.close() }
            try await stage.withStore(home) { store in
                let log = try await store.database(named: "log")
                var configuration = stage.configuration
                configuration.port = port
                configuration.isAnyPortAllowed = false
                let networker = SwarmNetworker(store: store, configuration: configuration)
                try await withThrowingTaskGroup(of: SwarmNetworkerError?.self) { group in
                    group.addTask {
                        do throws(SwarmNetworkerError) { try await networker.run() } catch { return error }
                        return nil
                    }
                    group.addTask {
                        do throws(SwarmNetworkerError) {
                            try await networker.join(log.discoveryKey)
                        } catch {
                            return error
                        }
                        return nil
                    }
                    for try await error in group {
                        #expect(error?.code == .bindFailed)
                        #expect(error?.detail.contains("\(port)") == true)
                        #expect(error?.detail.contains("in use") == true)
                    }
                }
                await networker.close()

                // Any other port would have done.
                configuration.isAnyPortAllowed = true
                try await SwarmNetworker.withNetworker(store: store, configuration: configuration) { networker in
                    try await networker.join(log.discoveryKey)
                    let address = try #require(await networker.localAddress)
                    #expect(address.port != port)
                }
            }
        }
    }
}
