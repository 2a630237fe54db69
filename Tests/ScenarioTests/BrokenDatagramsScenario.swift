import DWeb
import Testing

/// Datagrams that are cut off, or nonsense, are dropped without a trace, whoever sends them.
@Suite(.scenarioLimit) struct BrokenDatagramsScenario {
    @Test(arguments: Ground.everywhere) func theyDisturbNobody(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withPeers([stage.home(1), stage.home(2)]) { peers in
                let (writer, reader) = (peers[0], peers[1])
                let source = try await writer.store.database(named: "log")
                try await source.append(contents(0..<4))
                try await writer.announce(source)
                let copy = try await reader.find(source.key)
                #expect(try await copy.block(at: 0) == content(0))

                let stranger = stage.runtime(stage.home(9))
                let socket = try await stranger.network.bind(
                    DatagramSocketOptions(address: stage.address(stage.home(9))), receive: { _ in })
                let targets = [
                    try #require(await writer.networker.streams.first?.peer.address),
                    try #require(await reader.networker.streams.first?.peer.address),
                    stage.net.bootstrap[0],
                ]
                var batch = DatagramBatch()
                for packet in BrokenDatagramsScenario.packets {
                    for length in 0...packet.count {
                        for target in targets { batch.append(Array(packet.prefix(length)), address: target) }
                    }
                }
                let broken = batch
                #expect(broken.entries.count > 300)
                try await BrokenDatagramsScenario.onLoop(stage) { socket.send(broken) }
                await stage.pause(.milliseconds(200))
                #expect(try await copy.blocks(at: 0..<4) == contents(0..<4))
                #expect(await writer.networker.streams.count == 1)
                #expect(await reader.networker.streams.count == 1)
                #expect(try await stage.net.nodes[0].lookup(Topic(source.discoveryKey)).count == 1)
                socket.close()
            }
        }
    }

    /// The beginnings of what the protocols send: a stream's packet, a request and a reply of the DHT.
    private static let packets: [[UInt8]] = {
        let tail = (0..<64).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 11) }
        let streamPacket: [UInt8] = [0xff, 1, 1, 0] + [7, 0, 0, 0] + [0, 0, 1, 0] + tail
        let request: [UInt8] = [0x03, 0x0f, 7, 0, 127, 0, 0, 1, 0x49, 0xc2] + tail
        let reply: [UInt8] = [0x13, 0x0f, 7, 0, 127, 0, 0, 1, 0x49, 0xc2] + tail
        return [streamPacket, request, reply, tail]
    }()

    private static func onLoop(_ stage: Stage, _ body: @escaping @Sendable () -> Void) async throws {
        await withCheckedContinuation { continuation in
            stage.loop.execute {
                body()
                continuation.resume()
            }
        }
    }
}
