import DWebStreamFuzz
import Testing

@testable import DWebStreamCore

/// The fuzzer's entry functions, with inputs of their own making; kept inputs are replayed by `FuzzReplayTests`.
@Suite struct UDXFuzzTests {
    private func inputs(_ seeds: [[UInt8]], fresh: Int) -> [[UInt8]] {
        var random = SplitMix64(seed: 41)
        var inputs = seeds
        for seed in seeds {
            for _ in 0..<20 {
                var input = seed
                for _ in 0...random.next() % 8 where !input.isEmpty {
                    let index = Int(random.next() % UInt64(input.count))
                    switch random.next() % 3 {
                    case 0: input[index] = UInt8(truncatingIfNeeded: random.next())
                    case 1: input.insert(UInt8(truncatingIfNeeded: random.next()), at: index)
                    default: input.remove(at: index)
                    }
                }
                inputs.append(input)
            }
        }
        for number in 0..<fresh { inputs.append(testBytes(600, seed: UInt64(number) &* 977)) }
        return inputs
    }

    @Test func arbitraryDatagrams() {
        for input in inputs(StreamFuzz.datagramSeeds, fresh: 100) { StreamFuzz.datagrams(input) }
    }

    @Test func arbitraryOperations() {
        for input in inputs(StreamFuzz.operationSeeds, fresh: 100) { StreamFuzz.operations(input) }
    }
}
