import DWebBase
import DWebDatabase
import DWebSimulation
import DWebTree
import Synchronization
import Testing

/// Random operations against a dictionary, and the rules that keep a tree a tree.
@Suite struct TreeModelTests {
    /// A generator from a seed.
    struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var value = state
            value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
            value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
            return value ^ (value >> 31)
        }
    }

    private struct Value: Equatable {
        let sequence: UInt64
        let bytes: [UInt8]?
    }

    private static func key(_ random: inout Random, among count: Int) -> [UInt8] {
        let number = Int.random(in: 0..<count, using: &random)
        // Short keys over few bytes, so that prefixes and empty keys occur.
        var key: [UInt8] = []
        var rest = number
        while rest > 0 {
            key.append([0x00, 0x61, 0x7f, 0x80, 0xff][rest % 5])
            rest /= 5
        }
        return key
    }

    private static func sorted(_ model: [[UInt8]: Value]) -> [[UInt8]] {
        model.keys.sorted { KeyOrder.compare($0, $1) < 0 }
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func randomOperationsMatchADictionary(seed: UInt64) throws {
        try withTree { tree, _ in
            var random = Random(state: seed)
            var model: [[UInt8]: Value] = [:]
            var versions: [UInt64: [[UInt8]: Value]] = [1: [:]]
            for step in 0..<1_200 {
                let key = Self.key(&random, among: 400)
                let grows = step < 600 || step > 1_000
                if Int.random(in: 0..<10, using: &random) < (grows ? 7 : 2) {
                    let value: [UInt8]? = Int.random(in: 0..<9, using: &random) == 0 ? nil : bytes("v\(step)")
                    let sequence = try #require(try await tree.put(key, value))
                    model[key] = Value(sequence: sequence, bytes: value)
                } else {
                    let sequence = try await tree.delete(key)
                    #expect((sequence != nil) == (model[key] != nil))
                    model[key] = nil
                }
                if step.isMultiple(of: 100) { versions[tree.version] = model }
                let probe = Self.key(&random, among: 400)
                let entry = try await tree.get(probe)
                #expect(entry.map { Value(sequence: $0.sequence, bytes: $0.value) } == model[probe])
            }
            versions[tree.version] = model
            try await Self.checkShape(tree)
            for (version, model) in versions {
                let entries = try await tree.checkout(version).all()
                #expect(entries.map(\.key) == Self.sorted(model))
                #expect(entries.allSatisfy { model[$0.key] == Value(sequence: $0.sequence, bytes: $0.value) })
            }
            for _ in 0..<200 { try await Self.checkRange(tree, model, &random) }
            for (left, leftModel) in versions {
                for (right, rightModel) in versions {
                    try await Self.checkDifference(tree, left, leftModel, right, rightModel)
                }
            }
        }
    }

    private static func checkRange(_ tree: DTree, _ model: [[UInt8]: Value], _ random: inout Random) async throws {
        func bound() -> KeyRange.Bound? {
            switch Int.random(in: 0..<3, using: &random) {
            case 0: nil
            case 1: .including(key(&random, among: 400))
            default: .excluding(key(&random, among: 400))
            }
        }
        let range = KeyRange(lower: bound(), upper: bound())
        let isReversed = Bool.random(using: &random)
        let limit = Bool.random(using: &random) ? nil : Int.random(in: 0..<20, using: &random)
        var expected = sorted(model).filter { range.contains($0) }
        if isReversed { expected.reverse() }
        if let limit { expected = Array(expected.prefix(limit)) }
        let entries = try await tree.all(in: range, isReversed: isReversed, limit: limit)
        #expect(entries.map(\.key) == expected, "\(range) \(isReversed) \(String(describing: limit))")
    }

    private static func checkDifference(
        _ tree: DTree, _ left: UInt64, _ leftModel: [[UInt8]: Value], _ right: UInt64, _ rightModel: [[UInt8]: Value]
    ) async throws {
        var differences: [DTree.Difference] = []
        for try await difference in tree.checkout(left).differences(from: right) { differences.append(difference) }
        let keys = Set(leftModel.keys).union(rightModel.keys).filter { leftModel[$0] != rightModel[$0] }
            .sorted { KeyOrder.compare($0, $1) < 0 }
        #expect(differences.map { $0.left?.key ?? $0.right?.key } == keys)
        for difference in differences {
            let key = difference.left?.key ?? difference.right?.key ?? []
            #expect(difference.left?.sequence == leftModel[key]?.sequence)
            #expect(difference.right?.sequence == rightModel[key]?.sequence)
        }
    }

    /// No node has more than eight keys; none but the root fewer than four.
    private static func checkShape(_ tree: DTree) async throws {
        let blocks = try await tree.allBlocks()
        func node(_ pointer: TreePointer) throws -> TreeNode {
            try TreeBlock(sequence: pointer.block, decoding: blocks[Int(pointer.block)]).node(at: pointer.offset)
        }
        func visit(_ pointer: TreePointer, isRoot: Bool) throws -> Int {
            let node = try node(pointer)
            #expect(node.keys.count <= 8 && (isRoot || node.keys.count >= 4))
            let depths = try node.children.map { try visit($0, isRoot: false) }
            #expect(Set(depths).count <= 1)
            return (depths.first ?? 0) + 1
        }
        _ = try visit(TreePointer(block: UInt64(blocks.count - 1), offset: 0), isRoot: true)
    }

    @Test(arguments: [4, 5] as [UInt64]) func batchesEqualSingleChanges(seed: UInt64) throws {
        try withTree { tree, _ in
            var random = Random(state: seed)
            var model: [[UInt8]: [UInt8]] = [:]
            for round in 0..<40 {
                let batch = tree.batch()
                var staged = model
                for step in 0..<Int.random(in: 0..<60, using: &random) {
                    let key = Self.key(&random, among: 200)
                    if Int.random(in: 0..<10, using: &random) < 6 {
                        try await batch.put(key, bytes("\(round) \(step)"))
                        staged[key] = bytes("\(round) \(step)")
                    } else {
                        #expect(try await batch.delete(key) == (staged[key] != nil))
                        staged[key] = nil
                    }
                    let probe = Self.key(&random, among: 200)
                    #expect(try await batch.get(probe)?.value == staged[probe])
                    #expect(try await tree.get(probe)?.value == model[probe])
                }
                if round.isMultiple(of: 3) {
                    await batch.close()
                } else {
                    try await batch.flush()
                    model = staged
                }
                await #expect(throws: DTreeError.self) { try await batch.put("late", "x") }
                #expect(try await tree.all().count == model.count)
            }
            for entry in try await tree.all() { #expect(model[entry.key] == entry.value) }
        }
    }

    @Test func concurrentChangesAreAppliedInOrder() throws {
        try withTree { tree, runtime in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<300 {
                    group.addTask { try await tree.put("k\(index % 50)", "\(index)") }
                }
                group.addTask {
                    let batch = tree.batch()
                    for index in 0..<20 { try await batch.put("b\(index)", "\(index)") }
                    try await batch.flush()
                }
                try await group.waitForAll()
            }
            #expect(tree.version == 321)
            #expect(try await tree.all().count == 70)
            try await Self.checkShape(tree)
        }
    }

    @Test func conditionsDecideReplacement() throws {
        try withTree { tree, _ in
            let asked = Mutex(0)
            let refuse: ReplacementCondition = { _ in
                asked.withLock { $0 += 1 }
                return false
            }
            var block = try await tree.put(bytes("k"), bytes("1"), ifReplacing: refuse)
            #expect(block == 1 && asked.withLock { $0 } == 0)
            block = try await tree.put(bytes("k"), bytes("2"), ifReplacing: refuse)
            #expect(block == nil)
            block = try await tree.delete(bytes("k"), ifReplacing: refuse)
            #expect(block == nil && asked.withLock { $0 } == 2 && tree.version == 2)
            #expect(try await tree.delete(bytes("k")) == 2)
            block = try await tree.put(bytes("k"), bytes("3"), ifReplacing: refuse)
            #expect(block == 3)
            let batch = tree.batch()
            let isStaged = try await batch.put(bytes("k"), bytes("4"), ifReplacing: refuse)
            #expect(!isStaged)
            #expect(try await batch.flush().isEmpty)
        }
        var options = DTree.Options()
        options.skipsEqualValues = true
        try withTree(options: options) { tree, _ in
            try await tree.put("k", "1")
            #expect(try await tree.put("k", "1") == nil)
            #expect(try await tree.put(bytes("k"), nil) == 2)
            #expect(try await tree.put(bytes("k"), nil) == nil)
            #expect(try await tree.put("k", "") == 3)
        }
    }

    @Test func emptyTreesAndVersions() throws {
        try withTree { tree, _ in
            #expect(tree.version == 1)
            #expect(try await tree.get("a") == nil)
            #expect(try await tree.all().isEmpty)
            #expect(try await tree.delete("a") == nil)
            #expect(tree.database.length == 1 && tree.version == 1)
            try await tree.put("k", "v")
            try await tree.delete("k")
            #expect(Hex.encode(try await tree.allBlocks()[2]) == "0a020a0012016b")
            #expect(try await tree.all().isEmpty)
            try await tree.put("k", "w")
            #expect(Hex.encode(try await tree.allBlocks()[3]) == "0a050a030a010312016b1a0177")
            #expect(tree.version == 4)
            #expect(try await tree.checkout(0).all().isEmpty)
            #expect(try await tree.checkout(1).all().isEmpty)
            #expect(try await tree.checkout(2).get("k")?.value == bytes("v"))
            await #expect(throws: DTreeError.self) { try await tree.checkout(2).put("x", "y") }
        }
    }

    @Test func largeValuesAndKeys() throws {
        try withTree { tree, _ in
            let value = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
            for index in 0..<40 { try await tree.put(bytes("big\(index)"), value) }
            #expect(try await tree.get("big7")?.value == value)
            for try await entry in tree.entries() { #expect(entry.value == value) }
            try await tree.put([UInt8](repeating: 1, count: TreeLimits.keyByteCount), [])
            #expect(
                await failure { try await tree.put([UInt8](repeating: 1, count: TreeLimits.keyByteCount + 1), []) }
                    == .keyTooLarge)
            #expect(
                await failure { try await tree.put(bytes("x"), [UInt8](repeating: 0, count: 16 << 20)) }
                    == .valueTooLarge)
            // A failed change leaves nothing behind.
            try await tree.put("x", "fine")
            #expect(try await tree.get("x")?.value == bytes("fine"))
            #expect(try await tree.all().count == 42)
        }
    }

    @Test func historyBounds() throws {
        try withTree { tree, _ in
            for index in 1..<268 { try await tree.put("k", "\(index)") }
            func blocks(_ range: HistoryRange, reversed: Bool = false, limit: Int? = nil) async throws -> [UInt64] {
                var blocks: [UInt64] = []
                for try await change in tree.history(range, isReversed: reversed, limit: limit) {
                    blocks.append(change.entry.sequence)
                }
                return blocks
            }
            #expect(try await blocks(HistoryRange(gte: -3)) == [265, 266, 267])
            #expect(try await blocks(HistoryRange(gt: -2)) == [267])
            #expect(try await blocks(HistoryRange(lt: -264)) == [1, 2, 3])
            #expect(try await blocks(HistoryRange(gte: 0)).count == 267)
            #expect(try await blocks(HistoryRange(gt: 0)).count == 267)
            #expect(try await blocks(HistoryRange(lt: 0)).isEmpty)
            #expect(try await blocks(HistoryRange(lte: 0)).isEmpty)
            #expect(try await blocks(HistoryRange(gt: 3, lte: 6)) == [4, 5, 6])
            #expect(try await blocks(HistoryRange(lt: 4), reversed: true) == [3, 2, 1])
            #expect(try await blocks(HistoryRange(), reversed: true, limit: 2) == [267, 266])
            await #expect(throws: DTreeError.self) {
                for try await _ in tree.history(isReversed: true, isLive: true) {}
            }
        }
    }

    @Test func liveHistoryAndWatchers() throws {
        try withTree { tree, runtime in
            try await tree.put("a", "1")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    var iterator = tree.history(isLive: true).makeAsyncIterator()
                    for expected in 1...4 {
                        let change = try await iterator.next()
                        #expect(change?.entry.sequence == UInt64(expected))
                    }
                }
                group.addTask {
                    let watch = tree.changes(in: KeyRange(prefix: bytes("w")))
                    var iterator = watch.makeAsyncIterator()
                    let first = try #require(try await iterator.next())
                    #expect(try await first.previous.get("w") == nil)
                    #expect(try await first.current.get("w")?.value == bytes("2"))
                }
                let batch = tree.batch()
                try await batch.put("b", "1")
                try await batch.flush()
                try await tree.put("x", "out of range")
                try await tree.put("w", "2")
                try await group.waitForAll()
            }
        }
    }

    @Test func truncationEndsVersionsAndIsSeen() throws {
        try withTree { tree, _ in
            for index in 0..<50 { try await tree.put("k\(index)", "\(index)") }
            let snapshot = tree.snapshot()
            let early = tree.checkout(11)
            var watch = tree.changes().makeAsyncIterator()
            try await tree.database.truncate(to: 20)
            try await tree.put("other", "x")
            #expect(try await tree.all().count == 20)
            #expect(try await early.all().count == 10)
            #expect(await failure { _ = try await snapshot.get("k40") } == .snapshotNotAvailable)
            #expect(try await watch.next()?.current.version == 21)
        }
    }

    @Test func sharedPartsAreNotRead() throws {
        let world = SimulatedWorld(seed: 3)
        try world.run {
            let runtime = world.host()
            let log = try await writableLog(seed: Bytes32(repeating: 9), runtime: runtime)
            let tree = DTree(log, runtime: runtime)
            let batch = tree.batch()
            for index in 0..<5_000 { try await batch.put("k\(100_000 + index)", "\(index)") }
            try await batch.flush()
            let version = tree.version
            try await tree.put("k102500", "changed")
            try await tree.delete("k104000")
            // Blocks that the comparison must not need are taken away.
            let reader = DTree(log, runtime: runtime)
            var needed: Set<UInt64> = []
            var differences: [DTree.Difference] = []
            for try await difference in reader.differences(from: version, .localOnly) { differences.append(difference) }
            #expect(differences.count == 2)
            for pointer in 1..<log.length where await reader.isInMemory(pointer) { needed.insert(pointer) }
            #expect(needed.count < 120)
        }
    }
}
