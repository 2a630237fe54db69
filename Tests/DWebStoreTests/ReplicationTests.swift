import DWebBase
import DWebCrypto
import DWebDatabase
import DWebPorts
import DWebSimulation
import DWebStore
import DWebTestSupport
import Testing

/// Logs that travel between stores over a pipe in memory.
@Suite struct ReplicationTests {
    @Test func readerGetsEveryBlock() throws {
        let world = SimulatedWorld(seed: 21)
        try world.run {
            let writer = try await world.store(1)
            let reader = try await world.store(2)
            let source = try await writer.database(named: "log")
            try await source.append((0..<100).map { content($0) })
            let copy = try await reader.database(key: source.key)
            try await connected(writer, reader) {
                let first = try await copy.block(at: 42)
                #expect(first == content(42))
                #expect(copy.length == 100 && copy.byteLength == source.byteLength)
                try await copy.download(0..<100)
                #expect(copy.contiguousLength == 100)
                #expect(copy.peerCount == 1 && source.peerCount == 1)
                let blocks = try await copy.blocks(at: 0..<100, .localOnly)
                #expect(blocks == (0..<100).map { content($0) })
                #expect(copy.statistics.downloadedBlockCount == 100)
            }
            #expect(copy.peerCount == 0)
            await writer.close()
            await reader.close()
        }
    }

    @Test func severalBitfieldPages() throws {
        let world = SimulatedWorld(seed: 32)
        try world.run {
            let writer = try await world.store(1)
            let reader = try await world.store(2)
            let source = try await writer.database(named: "log")
            try await source.append((0..<34_000).map { [UInt8(truncatingIfNeeded: $0)] })
            let copy = try await reader.database(key: source.key)
            try await connected(writer, reader) {
                let last = try await copy.block(at: 33_999)
                #expect(last == [UInt8(truncatingIfNeeded: 33_999)])
                try await copy.download(32_000..<34_000)
                let has = try await copy.has(32_000..<34_000)
                #expect(has && copy.contiguousLength == 0)
            }
            await writer.close()
            await reader.close()
        }
    }

    @Test func liveTailFollowsTheWriter() throws {
        let world = SimulatedWorld(seed: 22)
        try world.run {
            let writer = try await world.store(1)
            let reader = try await world.store(2)
            let source = try await writer.database(named: "log")
            let copy = try await reader.database(key: source.key)
            try await connected(writer, reader) {
                try await withThrowingTaskGroup(of: [[UInt8]].self) { group in
                    group.addTask {
                        var read: [[UInt8]] = []
                        for try await block in copy.blocks(live: true) {
                            read.append(block)
                            if read.count == 30 { break }
                        }
                        return read
                    }
                    for number in 0..<30 {
                        try await source.append(content(number))
                        if number % 5 == 0 { await pause(world.loop, .milliseconds(50)) }
                    }
                    let read = try await group.next()
                    #expect(read == (0..<30).map { content($0) })
                }
            }
            await writer.close()
            await reader.close()
        }
    }

    @Test func restartedReaderDownloadsOnlyWhatIsMissing() throws {
        let world = SimulatedWorld(seed: 23)
        let disk = MemoryStorage()
        try world.run {
            let writer = try await world.store(1)
            let source = try await writer.database(named: "log")
            try await source.append((0..<500).map { content($0) })
            var reader = try await world.store(2, storage: disk)
            var copy = try await reader.database(key: source.key)
            try await connected(writer, reader) { [reader, copy] in
                _ = reader
                try await copy.download(0..<300)
            }
            await reader.close()
            reader = try await world.store(2, storage: disk)
            copy = try await reader.database(key: source.key)
            #expect(copy.length == 500 && copy.contiguousLength == 300)
            let kept = try await copy.block(at: 299, .localOnly)
            #expect(kept == content(299))
            try await connected(writer, reader) { [copy] in
                try await copy.download(0..<500)
                #expect(copy.statistics.downloadedBlockCount == 200)
                #expect(copy.contiguousLength == 500)
            }
            await writer.close()
            await reader.close()
        }
    }

    @Test func readersServeEachOther() throws {
        let world = SimulatedWorld(seed: 24)
        try world.run {
            let writer = try await world.store(1)
            let source = try await writer.database(named: "log")
            try await source.append((0..<200).map { content($0) })
            let second = try await world.store(2)
            let third = try await world.store(3)
            let copy = try await second.database(key: source.key)
            let copyOfCopy = try await third.database(key: source.key)
            try await connected(writer, second) { try await copy.download(0..<200) }
            await writer.close()
            try await connected(third, second) {
                try await copyOfCopy.download(0..<200)
                let blocks = try await copyOfCopy.blocks(at: 0..<200, .localOnly)
                #expect(blocks == (0..<200).map { content($0) })
            }
            #expect(copy.statistics.uploadedBlockCount == 200)
            await second.close()
            await third.close()
        }
    }

    @Test func severalReadersAtOnce() throws {
        let world = SimulatedWorld(seed: 25)
        try world.run {
            let writer = try await world.store(1)
            let source = try await writer.database(named: "log")
            try await source.append((0..<300).map { content($0) })
            try await withThrowingTaskGroup(of: UInt64.self) { group in
                for number in UInt8(2)..<7 {
                    group.addTask {
                        let reader = try await world.store(number)
                        let copy = try await reader.database(key: source.key)
                        try await connected(writer, reader) { try await copy.download(0..<300) }
                        let length = copy.contiguousLength
                        await reader.close()
                        return length
                    }
                }
                for try await length in group { #expect(length == 300) }
            }
            await writer.close()
        }
    }

    @Test func sparseReadsAndSeeks() throws {
        let world = SimulatedWorld(seed: 26)
        try world.run {
            let writer = try await world.store(1)
            let reader = try await world.store(2)
            let source = try await writer.database(named: "log")
            try await source.append((0..<1_000).map { content($0, byteCount: 10 + $0 % 7) })
            let copy = try await reader.database(key: source.key)
            try await connected(writer, reader) {
                #expect(await eventually(world.loop) { copy.peerCount == 1 })
                let isLonger = try await copy.update() || copy.length == 1_000
                #expect(isLonger && copy.length == 1_000)
                for byteOffset in [UInt64(0), 1, 5_000, 12_345, source.byteLength] {
                    let expected = try await source.seek(toByte: byteOffset)
                    let found = try await copy.seek(toByte: byteOffset)
                    #expect(found == expected)
                }
                for index in [UInt64(999), 3, 500, 501] {
                    let block = try await copy.block(at: index)
                    #expect(block == content(Int(index), byteCount: 10 + Int(index) % 7))
                }
                #expect(copy.statistics.downloadedBlockCount < 20)
                let has = try await copy.has(4)
                #expect(!has)
            }
            await writer.close()
            await reader.close()
        }
    }

    @Test func truncationsReachReaders() throws {
        let world = SimulatedWorld(seed: 27)
        try world.run {
            let writer = try await world.store(1)
            let reader = try await world.store(2)
            let source = try await writer.database(named: "log")
            try await source.append((0..<50).map { content($0) })
            let copy = try await reader.database(key: source.key)
            try await connected(writer, reader) {
                try await copy.download(0..<50)
                try await source.truncate(to: 20)
                try await source.append([content(1_000), content(1_001)])
                #expect(await eventually(world.loop) { copy.fork == 1 && copy.length == 22 })
                try await copy.download(0..<22)
                let block = try await copy.block(at: 20)
                #expect(block == content(1_000))
                let kept = try await copy.block(at: 19, .localOnly)
                #expect(kept == content(19))
            }
            // While the reader is away the history changes again.
            try await source.truncate(to: 10)
            try await source.append((0..<40).map { content(2_000 + $0) })
            try await connected(writer, reader) {
                #expect(await eventually(world.loop) { copy.fork == 2 && copy.length == 50 })
                try await copy.download(0..<50)
                let blocks = try await copy.blocks(at: 0..<50, .localOnly)
                #expect(blocks == (0..<10).map { content($0) } + (0..<40).map { content(2_000 + $0) })
            }
            await writer.close()
            await reader.close()
        }
    }

    @Test func clearedBlocksAreNotAvailable() throws {
        let world = SimulatedWorld(seed: 28)
        try world.run {
            let writer = try await world.store(1)
            let reader = try await world.store(2)
            let source = try await writer.database(named: "log")
            try await source.append((0..<10).map { content($0) })
            try await source.clear(3..<5)
            let copy = try await reader.database(key: source.key)
            try await connected(writer, reader) {
                let block = try await copy.block(at: 5)
                #expect(block == content(5))
                await expectCode(.blockNotAvailable) { try await copy.block(at: 3, .wait(upTo: .seconds(3))) }
                await expectCode(.blockNotAvailable) { try await copy.block(at: 10, .wait(upTo: .seconds(3))) }
            }
            await writer.close()
            await reader.close()
        }
    }

    @Test func logsOpenedLaterAndLogsAskedFor() throws {
        let world = SimulatedWorld(seed: 29)
        try world.run {
            let writer = try await world.store(1)
            let reader = try await world.store(2)
            let first = try await writer.database(named: "first")
            try await first.append([content(1)])
            let firstKey = first.key
            let second = try await writer.database(named: "second")
            try await second.append([content(2)])
            let secondKey = second.key
            await first.close()
            await second.close()
            await pause(world.loop, .seconds(10))
            #expect(first.engine.isClosed)
            try await connected(writer, reader) {
                // Stored but not open at the writer: opened because the reader asks.
                let copy = try await reader.database(key: firstKey)
                let block = try await copy.block(at: 0)
                #expect(block == content(1))
                // Opened by both while the connection lives.
                let third = try await writer.database(named: "third")
                try await third.append([content(3)])
                let copyOfThird = try await reader.database(key: third.key)
                let last = try await copyOfThird.block(at: 0)
                #expect(last == content(3))
                // Unknown to the writer: never created there.
                let stranger = try await reader.database(key: PublicKey(Bytes32(repeating: 200)))
                await expectCode(.noPeers) { try await stranger.block(at: 0, .wait(upTo: .seconds(2))) }
                let isStored = try await writer.contains(stranger.discoveryKey)
                #expect(!isStored)
                let copyOfSecond = try await reader.database(key: secondKey)
                let other = try await copyOfSecond.block(at: 0)
                #expect(other == content(2))
            }
            await writer.close()
            await reader.close()
        }
    }

    @Test func downloadWaitsForPeers() throws {
        let world = SimulatedWorld(seed: 30)
        try world.run {
            let writer = try await world.store(1)
            let reader = try await world.store(2)
            let source = try await writer.database(named: "log")
            try await source.append((0..<20).map { content($0) })
            let copy = try await reader.database(key: source.key)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await copy.download(0..<20) }
                group.addTask {
                    let block = try await copy.block(at: 7)
                    #expect(block == content(7))
                }
                await pause(world.loop, .seconds(3))
                try await connected(writer, reader) { try await copy.download(0..<20) }
                try await group.waitForAll()
            }
            #expect(copy.contiguousLength == 20)
            await writer.close()
            await reader.close()
        }
    }

    @Test func largeBlocksPassThroughBoundedQueues() throws {
        let world = SimulatedWorld(seed: 31)
        try world.run {
            let writer = try await world.store(1)
            let reader = try await world.store(2)
            let source = try await writer.database(named: "log")
            for number in 0..<8 { try await source.append(content(number, byteCount: 400_000)) }
            let copy = try await reader.database(key: source.key)
            try await connected(writer, reader) {
                try await copy.download(0..<8)
                for number in 0..<8 {
                    let block = try await copy.block(at: UInt64(number), .localOnly)
                    #expect(block == content(number, byteCount: 400_000))
                }
            }
            await writer.close()
            await reader.close()
        }
    }
}
