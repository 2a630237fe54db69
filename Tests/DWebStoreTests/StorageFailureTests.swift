import DWebBase
import DWebDatabase
import DWebPorts
import DWebSimulation
import DWebStore
import Testing

/// What a log does when its disk fails, or answers only after a while.
@Suite struct StorageFailureTests {
    @Test func aFailedWriteChangesNothingAndStopsTheLog() throws {
        let world = SimulatedWorld(seed: 81)
        let storage = FailingStorage()
        try world.run {
            let store = try await world.store(1, storage: storage)
            let log = try await store.database(named: "log")
            try await log.append([content(0), content(1)])
            storage.isFailing = true
            await expectCode(.storage) { try await log.append(content(2)) }
            #expect(log.length == 2 && log.contiguousLength == 2)
            storage.isFailing = false
            await expectCode(.storage) { try await log.append(content(2)) }
            await expectCode(.storage) { try await log.truncate(to: 1) }
            await store.close()
            let again = try await world.store(1, storage: storage)
            let reopened = try await again.database(named: "log")
            #expect(reopened.length == 2 && reopened.fork == 0)
            let index = try await reopened.append(content(2))
            #expect(index == 2)
            await again.close()
        }
    }

    @Test func aReaderWhoseDiskFailsStoresNothing() throws {
        let world = SimulatedWorld(seed: 82)
        let storage = FailingStorage()
        try world.run {
            let writer = try await world.store(1)
            let source = try await writer.database(named: "log")
            try await source.append((0..<20).map { content($0) })
            var reader = try await world.store(2, storage: storage)
            var copy = try await reader.database(key: source.key)
            try await connected(writer, reader) { [copy] in
                _ = try await copy.block(at: 3)
                storage.isFailing = true
                await expectCode(.storage) { try await copy.block(at: 4, .wait(upTo: .seconds(5))) }
            }
            storage.isFailing = false
            await reader.close()
            reader = try await world.store(2, storage: storage)
            copy = try await reader.database(key: source.key)
            #expect(copy.length == 20)
            let kept = try await copy.has(3)
            let lost = try await copy.has(4)
            #expect(kept && !lost)
            try await connected(writer, reader) { [copy] in try await copy.download(0..<20) }
            #expect(copy.contiguousLength == 20)
            await writer.close()
            await reader.close()
        }
    }

    @Test func everythingWorksOnADiskThatAlwaysWaits() throws {
        let world = SimulatedWorld(seed: 83)
        try world.run {
            let writer = try await world.store(1, storage: FailingStorage())
            let reader = try await world.store(2, storage: FailingStorage())
            let source = try await writer.database(named: "log")
            try await source.append((0..<200).map { content($0) })
            let copy = try await reader.database(key: source.key)
            try await connected(writer, reader) {
                let block = try await copy.block(at: 150)
                #expect(block == content(150))
                try await copy.download(0..<200)
                let found = try await copy.seek(toByte: 1_000)
                let expected = try await source.seek(toByte: 1_000)
                #expect(found == expected)
                try await source.truncate(to: 77)
                try await source.append(content(1_000))
                #expect(await eventually(world.loop) { copy.fork == 1 && copy.length == 78 })
                try await copy.download(0..<78)
                let last = try await copy.block(at: 77)
                #expect(last == content(1_000))
            }
            var read = 0
            for try await block in copy.blocks(from: 0, .localOnly) where !block.isEmpty { read += 1 }
            #expect(read == 78)
            await writer.close()
            await reader.close()
        }
    }
}
