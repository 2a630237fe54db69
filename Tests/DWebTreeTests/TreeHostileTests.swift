import DWebBase
import DWebDatabase
import DWebPorts
import DWebSimulation
import DWebStore
import DWebTree
import Testing

/// Logs written by strangers: every crafted block gives a typed error, never a trap or a lie.
@Suite struct TreeHostileTests {
    private static func varint(_ value: UInt64) -> [UInt8] {
        var rest = value
        var bytes: [UInt8] = []
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    private static func field(_ number: UInt8, _ content: [UInt8]) -> [UInt8] {
        [number << 3 | 2] + varint(UInt64(content.count)) + content
    }

    private static func level(_ keys: [UInt64], _ children: [UInt64] = []) -> [UInt8] {
        var content: [UInt8] = []
        if !keys.isEmpty { content += field(1, keys.flatMap(varint)) }
        if !children.isEmpty { content += field(2, children.flatMap(varint)) }
        return field(1, content)
    }

    private static func block(_ levels: [[UInt8]], key: String, value: String? = "v") -> [UInt8] {
        field(1, levels.flatMap { $0 }) + field(2, bytes(key)) + (value.map { field(3, bytes($0)) } ?? [])
    }

    private static let header = TreeHeader().encoded

    /// Reads everything of a log with these blocks, and returns the code of the error.
    private func code(_ blocks: [[UInt8]], key: String = "zz") throws -> DTreeError.Code? {
        let world = SimulatedWorld(seed: 1)
        return try world.run {
            let runtime = world.host()
            let log = try await writableLog(seed: Bytes32(repeating: 3), runtime: runtime)
            try await log.append(blocks)
            var code = await failure { _ = try await DTree(log, runtime: runtime).all() }
            code = await failure { _ = try await DTree(log, runtime: runtime).get(key) } ?? code
            code = await failure { _ = try await DTree(log, runtime: runtime).all(isReversed: true) } ?? code
            return code
        }
    }

    @Test func headersAndFormats() throws {
        let good = Self.block([Self.level([1])], key: "a")
        #expect(try code([Self.header, good]) == nil)
        #expect(try code([[1, 2, 3], good]) == .unsupportedFormat)
        #expect(try code([bytes("plain text"), good]) == .notATree)
        #expect(try code([Self.field(1, bytes("hyperdb")), good]) == .notATree)
        #expect(try code([[], good]) == .notATree)
        #expect(try code([Self.header, [0, 1, 2]]) == .unsupportedFormat)
        #expect(try code([Self.header, [1]]) == .unsupportedFormat)
        #expect(try code([Self.header, bytes("hello")]) == .notATree)
        #expect(try code([Self.header, []]) == .damaged)
    }

    @Test func malformedBlocks() throws {
        let cases: [[UInt8]] = [
            Self.field(1, Self.level([1])),  // no key
            [0x0a, 0x7f, 0x00],  // a length beyond the end
            Self.block([], key: "a") + [0x1b],  // a group
            [0x0a, 0x00, 0x10, 0x05],  // the key as an integer
            [0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],  // nine bytes of length
            Self.field(1, Self.field(1, Self.field(1, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f])))
                + Self.field(2, bytes("a")),  // a key beyond 2^53
        ]
        for bytes in cases { #expect(try code([Self.header, bytes]) == .damaged) }
        // Unknown fields are skipped, and the last of several counts.
        let odd =
            Self.field(2, bytes("wrong")) + Self.block([Self.level([1])], key: "a") + [0x40, 0x01] + [0x49]
            + [UInt8](repeating: 0, count: 8) + [0x55, 0, 0, 0, 0]
        #expect(try TreeBlock(sequence: 1, decoding: [0x0a, 0x00] + odd).key == bytes("a"))
    }

    @Test func impossibleStructures() throws {
        let leaf = Self.block([Self.level([1])], key: "b")
        let cases: [[UInt8]] = [
            Self.block([Self.level([3])], key: "c"),  // a key in the future
            Self.block([Self.level([0])], key: "c"),  // a key in the header
            Self.block([Self.level([2], [1, 0, 2])], key: "c"),  // half a pair
            Self.block([Self.level([2], [1, 0])], key: "c"),  // one child for one key
            Self.block([Self.level([2], [1, 0, 3, 0])], key: "c"),  // a child in the future
            Self.block([Self.level([2], [1, 7, 1, 0])], key: "c"),  // a child that its block does not hold
            Self.block([Self.level([2], [2, 7, 1, 0])], key: "c"),  // the same in the block itself
            Self.block([Self.level([2], [1, 0, 2, 1]), Self.level([])], key: "c"),  // an empty child
            Self.block([Self.level([], [1, 0])], key: "c"),  // no key but a child
            Self.block([Self.level([1, 1, 1, 1, 1, 1, 1, 1, 1])], key: "c"),  // nine keys
            Self.block([[UInt8]](repeating: Self.level([1]), count: 200), key: "c"),  // two hundred nodes
            // Nodes and something unknown, more than memory would hold for every block.
            Self.block([Self.level([1]), Self.field(9, [UInt8](repeating: 0, count: 40_000))], key: "c"),
        ]
        for bytes in cases { #expect(try code([Self.header, leaf, bytes]) == .damaged) }
    }

    @Test func loopsAndLies() throws {
        // A node that is its own child.
        let own = Self.block([Self.level([1], [1, 0, 1, 0])], key: "m")
        #expect(try code([Self.header, own]) == .damaged)
        // Two nodes of one block that contain each other.
        let pair = Self.block([Self.level([1], [1, 1, 1, 1]), Self.level([1], [1, 0, 1, 0])], key: "m")
        #expect(try code([Self.header, pair]) == .damaged)
        // The same leaf twice: keys would repeat.
        let leaf = Self.block([Self.level([1])], key: "b")
        let twice = Self.block([Self.level([2], [1, 0, 1, 0])], key: "m")
        #expect(try code([Self.header, leaf, twice]) == .damaged)
        // Keys in the wrong order.
        let unsorted = Self.block([Self.level([2, 1])], key: "z")
        #expect(try code([Self.header, leaf, unsorted], key: "q") == .damaged)
        // A child whose keys lie outside of its bounds.
        let outside = Self.block([Self.level([2], [2, 1, 1, 0]), Self.level([2])], key: "m")
        #expect(try code([Self.header, leaf, outside]) == .damaged)
    }

    @Test func deepTreesAreRefused() throws {
        // Every block holds a node whose right child is the root of the block before.
        var blocks = [Self.header, Self.block([Self.level([1])], key: "z99")]
        for index in 2..<60 {
            let key = "z\(100 - index)"
            blocks.append(
                Self.block([Self.level([UInt64(index)], [1, 0, UInt64(index - 1), 0])], key: key))
        }
        #expect(try code(blocks) == .damaged)
    }

    @Test func versionsInsideBatches() throws {
        let staged = Self.block([], key: "a")
        #expect(try code([Self.header, staged]) == .notAVersion)
    }

    @Test func randomDamageNeverTraps() throws {
        try withTree { tree, runtime in
            for index in 0..<60 { try await tree.put("key \(index)", "\(index)") }
            let blocks = try await tree.allBlocks()
            var random = TreeModelTests.Random(state: 11)
            for round in 0..<300 {
                var damaged = blocks
                for _ in 0..<3 {
                    let block = Int.random(in: 1..<damaged.count, using: &random)
                    let at = Int.random(in: 0..<damaged[block].count, using: &random)
                    damaged[block][at] = UInt8.random(in: 0...255, using: &random)
                }
                let log = try await writableLog(
                    seed: Bytes32(repeating: UInt8(truncatingIfNeeded: round)),
                    runtime: SimulatedWorld.freshStorage(runtime))
                try await log.append(damaged)
                let hostile = DTree(log, runtime: runtime)
                var seen: [[UInt8]] = []
                do { for try await entry in hostile.entries(.localOnly) { seen.append(entry.key) } } catch {
                    #expect((error as? DTreeError)?.code != .storage)
                }
                for (first, second) in zip(seen, seen.dropFirst()) { #expect(KeyOrder.compare(first, second) < 0) }
                for index in 0..<60 { _ = try? await hostile.get("key \(index)", .localOnly) }
                do { for try await _ in hostile.differences(from: 30, .localOnly) {} } catch {}
                do { for try await _ in hostile.history(HistoryRange(), .localOnly) {} } catch {}
            }
        }
    }

    @Test func hintsOfStrangersAreBounded() throws {
        let many = TreeHint(cache: TreeHint.Cache(start: 0, end: 1 << 50, blocks: Array(0..<50_000)))
        let read = try TreeHint(decoding: many.encoded)
        #expect(read.cache?.blocks.count == TreeLimits.hintBlockCount)
        #expect(throws: TreeFault.self) {
            try TreeHint(decoding: [UInt8](repeating: 0x0a, count: TreeLimits.hintByteCount + 1))
        }
        try withTree { tree, _ in
            for index in 0..<30 { try await tree.put("k\(index)", "v") }
            for checkpoint in [[30, 0], [99, 0, 0], [30, 9, 0], [30, 0, 99], [30, 0, 1, 29, 0, 1 << 52]] as [[UInt64]] {
                let scan = TreeHint.Scan(version: 31, range: .all, limit: 0, isReversed: false, checkpoint: checkpoint)
                _ = await tree.answers(to: TreeHint(scan: scan).encoded)
            }
            #expect(
                await tree.blocksToFetch(
                    for: TreeHint(
                        cache: TreeHint.Cache(start: 0, end: 99, blocks: [1, 2, 99, 1 << 52])
                    ).encoded
                ).isEmpty)
            #expect(await tree.answers(to: [0xff]).isEmpty)
        }
    }

    // MARK: Peers

    @Test func readsEndAtTheirDeadline() throws {
        let world = SimulatedWorld(seed: 5)
        try world.run {
            let runtime = world.host()
            let store = try await Basestore.open("store", runtime: runtime)
            let log = try await store.database(key: PublicKey(Bytes32(repeating: 5)))
            let tree = DTree(log, runtime: runtime)
            let start = runtime.loop.now
            #expect(await failure { _ = try await tree.get("a", .wait(upTo: .seconds(3))) } == .noPeers)
            #expect(runtime.loop.now - start == .seconds(3))
            #expect(try await tree.get("a", .localOnly) == nil)
            #expect(await failure { _ = try await tree.checkout(7).get("a", .localOnly) } == .notAvailable)
        }
    }

    private func fourThousandEntries(_ writer: DTree) async throws {
        let batch = writer.batch()
        for index in 0..<4_000 { try await batch.put("k\(10_000 + index)", "\(index)") }
        try await batch.flush()
    }

    @Test func lookupsFetchOnlyTheirPath() throws {
        try withReader(seed: 6, filledBy: fourThousandEntries) { writer, reader in
            let remote = reader.database
            #expect(try await reader.get("k12345")?.value == bytes("2345"))
            let fetched = remote.statistics.downloadedBlockCount
            #expect(fetched > 3 && fetched < 60)
            var count = 0
            for try await entry in reader.entries(in: KeyRange(gte: bytes("k11000"), lt: bytes("k11100"))) {
                #expect(entry.value == bytes("\(1_000 + count)"))
                count += 1
            }
            #expect(count == 100)
            #expect(remote.statistics.downloadedBlockCount < 1_200)
            var all = 0
            for try await _ in reader.entries() { all += 1 }
            #expect(all == 4_000)
            try await writer.put("new", "x")
            try await remote.waitForGrowth(beyond: 4_001)
            #expect(try await reader.get("new")?.value == bytes("x"))
            #expect(await failure { try await reader.put("a", "b") } == .notWritable)
        }
    }

    @Test func peersNameTheBlocksOfALookup() throws {
        try withReader(seed: 8, filledBy: fourThousandEntries) { writer, reader in
            let remote = reader.database
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await writer.exchangeHints() }
                var answers = try remote.messageExtension(DTree.hintExtensionName, as: .bytes).messages()
                    .makeAsyncIterator()
                // What nobody asked for is not fetched.
                let unasked = TreeHint(cache: TreeHint.Cache(start: 1, end: 3, blocks: [1, 2])).encoded
                #expect(await reader.blocksToFetch(for: unasked).count <= 2)
                #expect(await !reader.engine.takeHint(2))
                #expect(try await reader.get("k12345")?.value == bytes("2345"))
                let received = await answers.next()
                let answer = try TreeHint(decoding: try #require(received?.message))
                let named = try #require(answer.cache?.blocks)
                #expect(named.contains(2_346) && named.count < 60)
                #expect(await reader.engine.takeHint(2))
                #expect(await !reader.engine.takeHint(TreeLimits.hintOutstandingCount))
                await reader.engine.endHint(2)
                group.cancelAll()
            }
        }
    }

    @Test func readersFetchWhatPeersName() throws {
        try withReader(
            seed: 9,
            filledBy: { writer in
                for index in 0..<500 { try await writer.put("k\(10_000 + index)", "\(index)") }
            }
        ) { writer, reader in
            let log = writer.database
            let remote = reader.database
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await reader.exchangeHints() }
                #expect(try await reader.get("k10250")?.value == bytes("250"))
                #expect(try await !remote.has(17))
                let peer = try #require(try await log.peers().first?.id)
                let hint = TreeHint(cache: TreeHint.Cache(start: 17, end: 19, blocks: [17, 18, 1 << 40]))
                try await log.messageExtension(DTree.hintExtensionName, as: .bytes).send(hint.encoded, to: peer)
                try await remote.download(18..<19)
                for _ in 0..<100 where try await !remote.has(17) { try await remote.update(upTo: .seconds(1)) }
                #expect(try await remote.has(17))
                group.cancelAll()
            }
        }
    }
}
