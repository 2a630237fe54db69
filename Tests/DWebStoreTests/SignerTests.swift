import DWebBase
import DWebCrypto
import DWebDatabase
import DWebLogCore
import DWebPorts
import DWebSimulation
import DWebStore
import Synchronization
import Testing

/// Logs of several signers, of none, and of signers that keep their key to themselves.
@Suite struct SignerTests {
    /// A key that is somewhere else: answers after a while, or refuses.
    private final class Token: LogSigner {
        private let pair: KeyPair
        private let loop: any RuntimeLoop
        private let mode = Mutex(Mode.honest)

        enum Mode { case honest, refusing, wrong }
        struct Refusal: Error {}

        init(seed: UInt8, loop: any RuntimeLoop) {
            pair = KeyPair(seed: Bytes32(repeating: seed))
            self.loop = loop
        }

        var publicKey: PublicKey { pair.publicKey }
        func set(_ newMode: Mode) { mode.withLock { $0 = newMode } }

        func sign(_ message: [UInt8]) async throws -> [UInt8] {
            await pause(loop, .milliseconds(20))
            switch mode.withLock({ $0 }) {
            case .honest: return pair.sign(message)
            case .refusing: throw Refusal()
            case .wrong: return pair.sign(message + [0])
            }
        }
    }

    @Test func hardwareKeys() throws {
        let world = SimulatedWorld(seed: 191)
        try world.run {
            let token = Token(seed: 50, loop: world.loop)
            let store = try await world.store(1)
            let log = try await store.database(signer: token)
            #expect(log.isWritable)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<10 { group.addTask { try await log.append(content(number)) } }
                try await group.waitForAll()
            }
            #expect(log.length == 10)
            token.set(.refusing)
            await expectCode(.signer) { try await log.append(content(10)) }
            token.set(.wrong)
            await expectCode(.signer) { try await log.truncate(to: 3) }
            #expect(log.length == 10 && log.fork == 0)
            token.set(.honest)
            try await log.truncate(to: 4)
            try await log.append(content(20))
            let reader = try await world.store(2)
            let copy = try await reader.database(key: log.key)
            try await connected(store, reader) { try await copy.download(0..<5) }
            #expect(copy.fork == 1)
            // The secret is nowhere stored.
            await log.close()
            await pause(world.loop, .seconds(10))
            let stranger = try await store.database(key: log.key)
            #expect(!stranger.isWritable)
            await expectCode(.notWritable) { try await stranger.append(content(1)) }
            let again = try await store.database(signer: token)
            #expect(stranger.isWritable)
            try await again.append(content(21))
            await store.close()
            await reader.close()
        }
    }

    /// Three machines with one key each; two of them must agree.
    private func threeSigners(
        _ world: SimulatedWorld, allowPatch: Bool
    ) async throws -> (stores: [Basestore], logs: [DDatabase]) {
        let pairs = (0..<3).map { KeyPair(seed: Bytes32(repeating: 60 + $0)) }
        let manifest = try Manifest(
            allowPatch: allowPatch, quorum: 2, signers: pairs.map { Manifest.Signer(publicKey: $0.publicKey) })
        var stores: [Basestore] = []
        var logs: [DDatabase] = []
        for number in 0..<3 {
            stores.append(try await world.store(UInt8(number + 1)))
            logs.append(try await stores[number].database(manifest: manifest, signer: pairs[number]))
        }
        return (stores, logs)
    }

    @Test func aQuorumOfSigners() throws {
        let world = SimulatedWorld(seed: 192)
        try world.run {
            let (stores, logs) = try await threeSigners(world, allowPatch: false)
            let blocks = (0..<6).map { content($0) }
            await expectCode(.notWritable) { try await logs[0].append(blocks) }
            var parts: [SignaturePart] = []
            for log in logs { parts.append(try await log.signature(appending: blocks)) }
            // Parts travel as bytes.
            parts = try parts.map { try SignaturePart(decoding: $0.encoded) }
            #expect(parts.map(\.signer) == [0, 1, 2] && parts.allSatisfy { $0.length == 6 && $0.fork == 0 })
            await expectCode(.signer) { try await logs[0].append(blocks, signedBy: [parts[0]]) }
            await expectCode(.signer) { try await logs[0].append(blocks, signedBy: [parts[0], parts[0]]) }
            await expectCode(.signer) {
                try await logs[0].append((1..<7).map { content($0) }, signedBy: [parts[0], parts[1]])
            }
            let shorter = try await logs[1].signature(appending: [content(0)])
            await expectCode(.signer) { try await logs[0].append(blocks, signedBy: [parts[0], shorter]) }
            #expect(logs[0].length == 0)
            let range = try await logs[0].append(blocks, signedBy: [parts[2], parts[0]])
            #expect(range == 0..<6 && logs[0].length == 6)
            try await connected(stores[0], stores[1]) {
                try await logs[1].download(0..<6)
                #expect(logs[1].length == 6)
            }
            // Cutting takes the same agreement.
            let cuts = [
                try await logs[0].signature(truncatingTo: 2), try await logs[1].signature(truncatingTo: 2),
            ]
            await expectCode(.signer) { try await logs[0].truncate(to: 2, signedBy: [cuts[0]]) }
            await expectCode(.signer) { try await logs[0].truncate(to: 3, signedBy: cuts) }
            try await logs[0].truncate(to: 2, signedBy: cuts)
            #expect(logs[0].length == 2 && logs[0].fork == 1)
            try await connected(stores[0], stores[1]) {
                #expect(await eventually(world.loop) { logs[1].fork == 1 && logs[1].length == 2 })
            }
            for store in stores { await store.close() }
        }
    }

    @Test func signersOfDifferentLengths() throws {
        let world = SimulatedWorld(seed: 193)
        try world.run {
            let (stores, logs) = try await threeSigners(world, allowPatch: true)
            let blocks = (0..<11).map { content($0) }
            let parts = [
                try await logs[0].signature(appending: Array(blocks.prefix(5))),
                try await logs[1].signature(appending: Array(blocks.prefix(11))),
                try await logs[2].signature(appending: Array(blocks.prefix(8))),
            ]
            // Two agree to eight blocks, one of them to more.
            let range = try await logs[2].append(blocks, signedBy: parts)
            #expect(range == 0..<8)
            let reader = try await world.store(4)
            let copy = try await reader.database(key: logs[0].key)
            try await connected(stores[2], reader) { try await copy.download(0..<8) }
            #expect(copy.length == 8)
            let first = try await logs[1].append(blocks, signedBy: [parts[0], parts[1]])
            #expect(first == 0..<5)
            for store in stores + [reader] { await store.close() }
        }
    }

    @Test func partsThatAreDamaged() throws {
        let world = SimulatedWorld(seed: 194)
        try world.run {
            let (stores, logs) = try await threeSigners(world, allowPatch: false)
            let part = try await logs[0].signature(appending: [content(0)])
            let bytes = part.encoded
            for count in 0..<bytes.count {
                #expect(throws: DDatabaseError.self) { try SignaturePart(decoding: Array(bytes.prefix(count))) }
            }
            #expect(throws: DDatabaseError.self) { try SignaturePart(decoding: bytes + [0]) }
            for position in bytes.indices {
                var changed = bytes
                changed[position] ^= 1
                guard let damaged = try? SignaturePart(decoding: changed) else { continue }
                let other = try await logs[1].signature(appending: [content(0)])
                await expectCode(.signer) { try await logs[2].append([content(0)], signedBy: [damaged, other]) }
            }
            for store in stores { await store.close() }
        }
    }

    @Test func staticLogs() throws {
        let world = SimulatedWorld(seed: 195)
        let storage = MemoryStorage()
        try world.run {
            var store = try await world.store(1, storage: storage)
            let source = try await store.database(named: "log")
            try await source.append((0..<2_100).map { content($0) })
            try await source.setUserData("referrer", [7])
            let fixed = try await store.staticDatabase(copying: source)
            #expect(fixed.key != source.key && fixed.length == 2_100 && !fixed.isWritable)
            await expectCode(.notWritable) { try await fixed.append(content(1)) }
            await expectCode(.notWritable) { try await fixed.truncate(to: 1) }
            let kept = try await fixed.userData("referrer")
            #expect(kept == [7])
            let report = try await fixed.audit()
            #expect(report.isSound && report.blockCount == 2_100)
            // The same blocks give the same key, whoever has them.
            let again = try await store.staticDatabase(copying: source)
            #expect(again.key == fixed.key && again.engine === fixed.engine)
            let key = fixed.key
            await store.close()
            store = try await world.store(1, storage: storage)
            let reopened = try await store.database(key: key, createIfMissing: false)
            #expect(reopened.length == 2_100 && reopened.contiguousLength == 2_100)
            let reader = try await world.store(2)
            let copy = try await reader.database(key: key)
            try await connected(store, reader) { try await copy.download(0..<2_100) }
            #expect(copy.length == 2_100 && !copy.isWritable)
            await store.close()
            await reader.close()
        }
    }

    @Test func prologues() throws {
        let world = SimulatedWorld(seed: 196)
        try world.run {
            let store = try await world.store(1)
            let source = try await store.database(named: "source")
            try await source.append((0..<7).map { content($0) })
            let hash = try await source.treeHash(at: 5)
            let pair = store.createKeyPair("signer")
            let manifest = try Manifest(
                signers: [Manifest.Signer(publicKey: pair.publicKey)],
                prologue: Manifest.Prologue(hash: hash, length: 5))
            let log = try await store.database(manifest: manifest, signer: pair)
            // The first blocks are those of the manifest, at least all of them.
            await expectCode(.outOfBounds) { try await log.append([content(0)]) }
            await expectCode(.outOfBounds) { try await log.append((1..<6).map { content($0) }) }
            await expectCode(.outOfBounds) { try await log.append((1..<9).map { content($0) }) }
            let other = try await store.database(named: "other")
            try await other.append((1..<7).map { content($0) })
            await expectCode(.conflict) { try await log.copyPrologue(from: other) }
            #expect(log.length == 0)
            try await log.copyPrologue(from: source)
            #expect(log.length == 5 && log.isWritable)
            await expectCode(.outOfBounds) { try await log.copyPrologue(from: source) }
            try await log.append([content(50)])
            await expectCode(.outOfBounds) { try await log.truncate(to: 4) }
            try await log.truncate(to: 5)
            try await log.append([content(51)])
            #expect(log.length == 6 && log.fork == 1)
            let reader = try await world.store(2)
            let copy = try await reader.database(key: log.key)
            try await connected(store, reader) { try await copy.download(0..<6) }
            // All at once, past the fixed part.
            let third = try await world.store(3)
            let fresh = try await third.database(manifest: manifest, signer: pair)
            try await fresh.append((0..<5).map { content($0) } + [content(60)])
            #expect(fresh.length == 6)
            let report = try await fresh.audit()
            #expect(report.isSound)
            for store in [store, reader, third] { await store.close() }
        }
    }
}

/// What is kept beside a log, and how logs are grouped.
@Suite struct LocalRecordTests {
    @Test func localRecords() throws {
        let world = SimulatedWorld(seed: 197)
        let storage = MemoryStorage()
        try world.run {
            var store = try await world.store(1, storage: storage)
            var log = try await store.database(named: "log")
            try await log.append((0..<5).map { content($0) })
            try await log.setUserData("name", [1])
            for key in [[1, 2], [1, 255], [1, 255, 255], [2], []] as [[UInt8]] {
                try await log.setLocalRecord(key, key + [9])
            }
            try await log.setLocalRecord([2], nil)
            try await log.truncate(to: 1)
            await store.close()
            store = try await world.store(1, storage: storage)
            log = try await store.database(named: "log")
            let value = try await log.localRecord([1, 255])
            let missing = try await log.localRecord([2])
            #expect(value == [1, 255, 9] && missing == nil)
            let some = try await log.localRecords(prefix: [1, 255])
            #expect(some.map(\.key) == [[1, 255], [1, 255, 255]])
            let all = try await log.localRecords()
            #expect(all.map(\.key) == [[], [1, 2], [1, 255], [1, 255, 255]])
            let first = try await log.localRecords(limit: 1)
            #expect(first.count == 1)
            let long = [UInt8](repeating: 255, count: 2_048)
            try await log.setLocalRecord(long, [3])
            let kept = try await log.localRecords(prefix: long)
            #expect(kept.map(\.value) == [[3]])
            await expectCode(.outOfBounds) { try await log.setLocalRecord(long + [1], [3]) }
            let user = try await log.userData("name")
            #expect(user == [1])
            await store.close()
        }
    }

    @Test func groupsAreOrderedByTheirLastChange() throws {
        let world = SimulatedWorld(seed: 198)
        let storage = MemoryStorage()
        try world.run {
            let topic = Bytes32(repeating: 70)
            var store = try await world.store(1, storage: storage)
            var logs: [DDatabase] = []
            for number in 0..<3 {
                let log = try await store.database(named: "log\(number)")
                try await log.append(content(number))
                await pause(world.loop, .seconds(1))
                try await log.setGroup(topic)
                logs.append(log)
            }
            let other = try await store.database(named: "other")
            try await other.setGroup(Bytes32(repeating: 71))
            var members = try await store.logs(inGroup: topic)
            #expect(members.map(\.key) == [logs[2].key, logs[1].key, logs[0].key])
            await pause(world.loop, .seconds(1))
            try await logs[0].append(content(9))
            members = try await store.logs(inGroup: topic)
            #expect(members.map(\.key) == [logs[0].key, logs[2].key, logs[1].key])
            #expect(members[0].changedMilliseconds > members[1].changedMilliseconds)
            try await logs[2].setGroup(nil)
            try await logs[1].setGroup(Bytes32(repeating: 71))
            let keys = logs.map(\.key)
            await store.close()
            store = try await world.store(1, storage: storage)
            let again = try await store.database(key: keys[0])
            let group = try await again.group()
            #expect(group == topic)
            await pause(world.loop, .seconds(1))
            try await again.truncate(to: 1)
            members = try await store.logs(inGroup: topic)
            #expect(members.map(\.key) == [keys[0]])
            let rest = try await store.logs(inGroup: Bytes32(repeating: 71))
            #expect(Set(rest.map(\.key)) == [keys[1], other.key])
            let none = try await store.logs(inGroup: Bytes32(repeating: 72))
            #expect(none.isEmpty)
            // A reader's copy moves as its log grows.
            let reader = try await world.store(2)
            let copy = try await reader.database(key: keys[0])
            try await copy.setGroup(topic)
            let before = try await reader.logs(inGroup: topic)
            #expect(before.map(\.changedMilliseconds) == [0])
            try await connected(store, reader) { _ = try await copy.block(at: 0) }
            let after = try await reader.logs(inGroup: topic)
            #expect(after.count == 1 && after[0].changedMilliseconds > 0)
            await store.close()
            await reader.close()
        }
    }
}
