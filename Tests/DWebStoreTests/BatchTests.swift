import DWebBase
import DWebDatabase
import DWebLogCore
import DWebPorts
import DWebSimulation
import DWebStore
import Testing

/// Every operation is one write batch with the records that the specification lists; spec 40 section 14.
@Suite struct BatchTests {
    /// A batch as words: what happens to which kind of record, in order, equal ones in a row counted.
    static func words(_ batch: WriteBatch) -> [String] {
        var words: [String] = []
        var counts: [Int] = []
        batch.forEach { operation in
            let word =
                switch operation {
                case .put(let key, _): name(Array(key))
                case .delete(let key): "-" + name(Array(key))
                case .deleteRange(let start, _): "-" + name(Array(start)) + "s"
                }
            if words.last == word {
                counts[counts.count - 1] += 1
            } else {
                words.append(word)
                counts.append(1)
            }
        }
        return zip(words, counts).map { $1 == 1 ? $0 : "\($0) x\($1)" }
    }

    private static func name(_ key: [UInt8]) -> String {
        switch try? RecordKind(key: key) {
        case .storeHead?: "store head"
        case .core?: "core"
        case .alias?: "alias"
        case .auth?: "auth"
        case .sessions?: "sessions"
        case .group?: "group"
        case .head?: "head"
        case .dependency?: "dependency"
        case .hints?: "hints"
        case .block?: "block"
        case .node?: "node"
        case .page?: "page"
        case .userData?: "user data"
        case .local?: "local"
        case .mark?: "mark"
        case .groupTopic?: "group topic"
        case .groupEntry?: "group entry"
        case nil: "range"
        }
    }

    private static func takeWords(_ storage: RecordingStorage) -> [[String]] { storage.takeBatches().map(words) }

    @Test func theWriterWritesWhatIsListed() throws {
        let world = SimulatedWorld(seed: 241)
        let storage = RecordingStorage()
        try world.run {
            let store = try await world.store(1, storage: storage)
            _ = storage.takeBatches()
            let log = try await store.database(named: "log")
            #expect(Self.takeWords(storage) == [["store head", "core", "alias", "auth"]])
            try await log.append([content(0), content(1)])
            #expect(Self.takeWords(storage) == [["node x3", "head", "page", "hints", "block x2"]])
            try await log.append([content(2), content(3), content(4)])
            #expect(Self.takeWords(storage) == [["node x5", "head", "page", "hints", "block x3"]])
            try await log.setUserData("name", [1])
            #expect(Self.takeWords(storage) == [["user data"]])
            try await log.setLocalRecord([1, 2], [3])
            #expect(Self.takeWords(storage) == [["local"]])
            try await log.setGroup(Bytes32(repeating: 5))
            #expect(Self.takeWords(storage) == [["store head", "group topic"], ["group", "group entry"]])
            try await log.append([content(5)])
            let appended = Self.takeWords(storage)
            #expect(appended.count == 1 && appended[0].contains("group entry") && appended[0].last == "block")
            // From 6 to 3: the blocks, the nodes [6, 12), and the stored ancestor that spans past the cut.
            try await log.truncate(to: 3)
            let truncated = Self.takeWords(storage)
            #expect(truncated.count == 1)
            #expect(truncated[0].prefix(2) == ["-blocks", "-nodes"], "\(truncated)")
            #expect(truncated[0][2].hasPrefix("-node"), "\(truncated)")
            #expect(truncated[0].contains("head") && truncated[0].suffix(2) == ["page", "hints"])
            try await log.clear(1..<2)
            #expect(Self.takeWords(storage) == [["page", "hints", "-block"]])
            await store.close()
        }
    }

    @Test func draftsWriteWhatIsListed() throws {
        let world = SimulatedWorld(seed: 242)
        let storage = RecordingStorage()
        try world.run {
            let store = try await world.store(1, storage: storage)
            let log = try await store.database(named: "log")
            try await log.append([content(0)])
            _ = storage.takeBatches()
            let draft = try await log.draft(named: "draft")
            #expect(Self.takeWords(storage) == [["store head"], ["sessions", "head", "dependency"]])
            try await draft.append([content(1), content(2)])
            let appended = Self.takeWords(storage)
            #expect(appended.count == 1 && !appended[0].contains("page") && !appended[0].contains("hints"))
            _ = try await log.draft(named: "draft", overwriting: true)
            #expect(Self.takeWords(storage) == [["-ranges", "head", "dependency"]])
            try await draft.append([content(1)])
            _ = storage.takeBatches()
            try await draft.commit()
            let committed = Self.takeWords(storage)
            #expect(committed.count == 1, "what the log gains and what the draft loses happens together")
            for record in ["node x2", "head", "page", "hints", "block", "dependency"] {
                #expect(committed[0].contains(record), "\(record) in \(committed)")
            }
            await store.close()
        }
    }

    @Test func atomsAreOneBatch() throws {
        let world = SimulatedWorld(seed: 243)
        let storage = RecordingStorage()
        try world.run {
            let store = try await world.store(1, storage: storage)
            let first = try await store.database(named: "first")
            let second = try await store.database(named: "second")
            try await second.append((0..<4).map { content($0) })
            _ = storage.takeBatches()
            var atom = Atom()
            atom.append([content(9)], to: first)
            atom.truncate(second, to: 2)
            atom.setUserData("both", [1], of: second)
            #expect(storage.takeBatches().isEmpty, "nothing is written before the commit")
            try await store.commit(atom)
            let words = Self.takeWords(storage)
            #expect(words.count == 1 && words[0].count { $0 == "head" } == 2 && words[0].contains("user data"))
            #expect(first.length == 1 && second.length == 2)
            await store.close()
        }
    }

    @Test func theReaderWritesWhatIsListed() throws {
        let world = SimulatedWorld(seed: 244)
        let storage = RecordingStorage()
        try world.run {
            let writer = try await world.store(1)
            let source = try await writer.database(named: "log")
            try await source.append((0..<8).map { content($0) })
            let reader = try await world.store(2, storage: storage)
            _ = storage.takeBatches()
            let copy = try await reader.database(key: source.key)
            #expect(Self.takeWords(storage) == [["store head", "core", "auth"]])
            try await connected(writer, reader) {
                #expect(await eventually(world.loop) { copy.length == 8 })
                #expect(Self.takeWords(storage) == [["auth", "node", "head"]])
                _ = try await copy.block(at: 2)
                let block = Self.takeWords(storage)
                #expect(block.count == 1 && block[0].first == "block")
                #expect(block[0].contains("page") && block[0].contains { $0.hasPrefix("node") })
                #expect(!block[0].contains("head"))
                try await source.truncate(to: 4)
                #expect(await eventually(world.loop) { copy.fork == 1 })
                let reorganised = Self.takeWords(storage)
                #expect(reorganised.count == 1, "\(reorganised)")
                #expect(reorganised[0].first == "-blocks" && reorganised[0].contains("head"))
            }
            await writer.close()
            await reader.close()
        }
    }

    @Test func purgingIsOneBatch() throws {
        let world = SimulatedWorld(seed: 245)
        let storage = RecordingStorage()
        try world.run {
            let store = try await world.store(1, storage: storage)
            let log = try await store.database(named: "log")
            try await log.append([content(0)])
            _ = try await log.draft(named: "draft")
            _ = storage.takeBatches()
            try await store.purge(log.discoveryKey)
            let words = Self.takeWords(storage)
            #expect(words.count == 1 && words[0].contains("-core") && words[0].contains("-auth"))
            #expect(words[0].contains("-ranges x2"), "the log's content and the draft's: \(words)")
            await store.close()
        }
    }
}
