import DWebBase
import DWebDatabase
import DWebSimulation
import Testing

/// Changes of a log that follow from a seed, so that two processes know the same ones.
struct CrashWorkload {
    enum Change {
        case append([[UInt8]])
        case truncate(UInt64)
        case clear(Range<UInt64>)
        case keep([UInt8])
    }

    private var random: SimulationRandom
    private let largestByteCount: Int

    init(seed: UInt64, largestByteCount: Int = 9_000) {
        random = SimulationRandom(seed: seed, stream: "changes")
        self.largestByteCount = largestByteCount
    }

    /// The next change of a log of `length` blocks.
    mutating func next(length: UInt64) -> Change {
        switch Int.random(in: 0..<20, using: &random) {
        case 0 where length > 4: return .truncate(UInt64.random(in: length / 2...length, using: &random))
        case 1, 2:
            guard length > 0 else { return .keep([]) }
            let start = UInt64.random(in: 0..<length, using: &random)
            return .clear(start..<min(length, start + UInt64.random(in: 1...5, using: &random)))
        case 3: return .keep(bytes(Int.random(in: 0..<40, using: &random)))
        default:
            let count = Int.random(in: 1...8, using: &random)
            return .append(
                (0..<count).map { _ in
                    // Values from 4,096 bytes on go to another kind of file.
                    bytes(
                        Int.random(in: 0..<10, using: &random) == 0
                            ? largestByteCount : Int.random(in: 0..<80, using: &random))
                })
        }
    }

    private mutating func bytes(_ count: Int) -> [UInt8] {
        var state = random.next()
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
    }
}

/// What a log must hold.
struct CrashModel: Equatable, Sendable {
    var blocks: [[UInt8]?] = []
    var fork: UInt64 = 0
    var kept: [UInt8]?

    mutating func apply(_ change: CrashWorkload.Change) {
        switch change {
        case .append(let new): blocks += new
        case .truncate(let length):
            blocks.removeSubrange(Int(length)...)
            fork += 1
        case .clear(let range): for index in range { blocks[Int(index)] = nil }
        case .keep(let bytes): kept = bytes
        }
    }

    /// What the log holds, after its records were checked against each other.
    init(reading log: DDatabase) async throws {
        let report = try await log.audit()
        #expect(report.isSound, "\(report)")
        fork = log.fork
        kept = try await log.userData("kept")
        for index in 0..<log.length {
            let isStored = try await log.has(index)
            blocks.append(isStored ? try await log.block(at: index, .localOnly) : nil)
        }
        #expect(log.contiguousLength == UInt64(blocks.firstIndex { $0 == nil } ?? blocks.count))
    }

    init() {}
}

extension DDatabase {
    /// Makes a change of a workload.
    func make(_ change: CrashWorkload.Change) async throws(DDatabaseError) {
        switch change {
        case .append(let blocks): try await append(blocks)
        case .truncate(let length): try await truncate(to: length)
        case .clear(let range): try await clear(range)
        case .keep(let bytes): try await setUserData("kept", bytes)
        }
    }
}
