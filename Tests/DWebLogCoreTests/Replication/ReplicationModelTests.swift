import DWebBase
import DWebCrypto
import DWebLogCore
import Testing

/// Random worlds: whatever happens, replicas end up equal once everything is connected and quiet.
@Suite struct ReplicationModelTests {
    /// The same seeds on every run, and some that nobody has tried yet; a failure names its seed.
    private static let seeds = Array(0..<24) + (0..<4).map { _ in UInt64.random(in: 24 ... .max) }

    @Test(arguments: seeds) func everybodyEndsUpEqual(seed: UInt64) {
        var random = SecureRandom(seed: Blake2b.hash32((0..<8).map { UInt8(truncatingIfNeeded: seed >> ($0 * 8)) }))
        let writer = ReplicaShell.writer(blocks: replicaBlocks(Int.random(in: 0...120, using: &random)))
        let readers = (0..<3).map {
            writer.reader("reader \($0)", seed: UInt8(20 + $0) &+ UInt8(truncatingIfNeeded: seed))
        }
        let world = ReplicaWorld(writer)
        world.recordsMessages = false
        for reader in readers { world.add(reader) }
        let everybody = [writer] + readers
        let isReordering = seed % 3 == 1
        let truncates = seed % 2 == 1
        var open: [Int] = []
        var tickets: [(ReplicaShell, ReplicationTicket)] = []
        var salt = 1
        for _ in 0..<120 {
            switch Int.random(in: 0..<12, using: &random) {
            case 0, 1:
                let left = Int.random(in: 0..<everybody.count, using: &random)
                let right = Int.random(in: 0..<everybody.count, using: &random)
                guard left != right else { continue }
                let latency = Duration.microseconds(Int64.random(in: 50...20_000, using: &random))
                open.append(world.connect(everybody[left], everybody[right], latency: latency))
            case 2:
                guard !open.isEmpty else { continue }
                world.disconnect(open.remove(at: Int.random(in: 0..<open.count, using: &random)))
            case 3, 4:
                salt += 1
                writer.append(replicaBlocks(Int.random(in: 1...30, using: &random), salt: salt))
                writer.pump()
            case 5:
                guard truncates, writer.tree.length > 0 else { continue }
                writer.truncate(to: UInt64.random(in: 0...writer.tree.length - 1, using: &random))
                writer.pump()
            case 6:
                let reader = readers.randomElement(using: &random)!
                guard reader.tree.length > 0 else { continue }
                let start = UInt64.random(in: 0..<reader.tree.length, using: &random)
                reader.clear(start..<min(reader.tree.length, start + 7))
                reader.pump()
            case 7, 8:
                let reader = readers.randomElement(using: &random)!
                tickets.append((reader, reader.get(UInt64.random(in: 0...writer.tree.length + 3, using: &random))))
                reader.pump()
            case 9:
                let reader = readers.randomElement(using: &random)!
                let start = UInt64.random(in: 0...writer.tree.length, using: &random)
                let end = start + UInt64.random(in: 0...40, using: &random)
                tickets.append((reader, reader.download(start, end, isLinear: Bool.random(using: &random))))
                reader.pump()
            case 10:
                guard let (reader, ticket) = tickets.randomElement(using: &random) else { continue }
                reader.machine.cancel(ticket, now: world.now)
                reader.pump()
            default:
                let shell = everybody.randomElement(using: &random)!
                if isReordering { shell.holdsWork = true }
                world.run(for: .microseconds(Int64.random(in: 10...30_000, using: &random)))
                var choices = random.fork()
                random = choices.fork()
                // Serving in any order is legal; verification keeps its order.
                shell.holdsWork = false
                releaseWork(of: shell, &choices)
            }
        }
        for reader in readers { _ = reader.download(0, isLinear: seed % 4 < 2) }
        for reader in readers where reader !== readers.last { world.connect(writer, reader) }
        world.connect(readers[1], readers[2])
        if writer.tree.length == 0 { writer.append(replicaBlocks(3)) }
        world.run()
        for reader in readers {
            let isSameTree = reader.tree == writer.tree
            #expect(isSameTree, "\(reader.name): \(reader.machine.head), not \(writer.machine.head)")
            #expect(reader.stored == writer.stored)
            #expect(reader.faults.isEmpty)
            if !truncates { #expect(reader.rejections.isEmpty) }
            #expect(
                !reader.events.contains { if case .peerPaused = $0 { true } else { false } },
                "\(reader.rejections) \(reader.events)")
            #expect(reader.machine.contiguousLength == reader.tree.length)
            #expect(reader.machine.isQuiet)
        }
        #expect(writer.machine.isQuiet)
    }

    private func releaseWork(of shell: ReplicaShell, _ random: inout SecureRandom) {
        var serves: [ReplicationOutput] = []
        var others: [ReplicationOutput] = []
        for output in shell.heldWork {
            if case .serve = output { serves.append(output) } else { others.append(output) }
        }
        shell.heldWork = []
        serves.shuffle(using: &random)
        for output in serves + others { shell.perform(output) }
        shell.pump()
    }
}
