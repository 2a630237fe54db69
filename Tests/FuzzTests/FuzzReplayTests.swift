import DWebBase
import DWebFuzzTargets
import Foundation
import Testing

/// Inputs that fuzzing found, and damaged forms of the ones that it begins with: every target returns for each.
@Suite struct FuzzReplayTests {
    private static let folder = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Fixtures/fuzz")

    private static func inputs(of target: String) throws -> [[UInt8]] {
        let url = folder.appendingPathComponent(target + ".hex")
        guard FileManager.default.fileExists(atPath: url.path) else { return [] }
        return try String(contentsOf: url, encoding: .utf8).split(separator: "\n").map { line in
            try #require(Hex.decode(line), "a line that is no hexadecimal: \(line)")
        }
    }

    @Test(arguments: FuzzTarget.all.map(\.name)) func foundInputs(name: String) throws {
        let target = try #require(FuzzTarget.named(name))
        let inputs = try Self.inputs(of: name)
        #expect(!(inputs + target.seeds()).isEmpty, "nothing to begin with")
        for input in inputs { target.run(input) }
    }

    @Test func everyFileHasItsTarget() throws {
        let names = Set(FuzzTarget.all.map(\.name))
        #expect(names.count == FuzzTarget.all.count)
        for folder in try FileManager.default.contentsOfDirectory(atPath: Self.folder.path) where !folder.contains(".")
        {
            #expect(names.contains(folder), "\(folder) has no target")
        }
    }

    @Test(arguments: FuzzTarget.all.map(\.name)) func damagedSeeds(name: String) throws {
        let target = try #require(FuzzTarget.named(name))
        target.run([])
        for (number, seed) in target.seeds().enumerated() {
            target.run(seed)
            // A generator of its own keeps this the same on every machine.
            var state = UInt64(number) &* 7_919 &+ 17
            func next(_ limit: Int) -> Int {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return Int(state >> 33) % max(1, limit)
            }
            for _ in 0..<60 where !seed.isEmpty {
                var input = seed
                for _ in 0...next(3) {
                    switch next(5) {
                    case 0: input = Array(input.prefix(next(input.count + 1)))
                    case 1 where !input.isEmpty: input[next(input.count)] ^= 1 << UInt8(next(8))
                    case 2: input.insert(UInt8(next(256)), at: next(input.count + 1))
                    case 3 where !input.isEmpty: input[next(input.count)] = [0, 1, 0x7f, 0xfd, 0xfe, 0xff][next(6)]
                    default: input += seed.suffix(next(20))
                    }
                }
                target.run(input)
            }
        }
    }
}
