import DWeb
import Testing

/// A reader that follows a log gets every block soon after it was written, in order.
@Suite(.scenarioLimit) struct LiveTailScenario {
    @Test(arguments: Ground.everywhere) func blocksArriveAsTheyAreWritten(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withPeers([stage.home(1), stage.home(2)]) { peers in
                let (writer, reader) = (peers[0], peers[1])
                let source = try await writer.store.database(named: "log")
                try await source.append(contents(0..<2))
                try await writer.announce(source)
                let copy = try await reader.find(source.key)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        for index in 2..<20 {
                            await stage.pause(.milliseconds(index % 5 == 0 ? 120 : 8))
                            try await source.append(content(index))
                        }
                    }
                    var received: [[UInt8]] = []
                    for try await block in copy.blocks(live: true) {
                        received.append(block)
                        if received.count == 20 { break }
                    }
                    #expect(received == contents(0..<20))
                    try await group.waitForAll()
                }
                let written = stage.loop.now
                try await source.append(content(20))
                #expect(try await copy.block(at: 20) == content(20))
                #expect(stage.loop.now - written < .seconds(2))
                #expect(copy.statistics.downloadedBlockCount == 21)
            }
        }
    }
}
