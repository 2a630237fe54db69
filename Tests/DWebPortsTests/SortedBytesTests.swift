@testable import DWebPorts
import Testing

/// Whatever order keys come in, their chunks are filled to a quarter at least, so that their list stays short.
@Suite struct SortedBytesTests {
    private static let count = 20_000

    private func chunkCount(_ numbers: some Sequence<Int>) -> Int {
        var map = SortedBytes()
        for number in numbers { map[[UInt8(number >> 16), UInt8(number >> 8 & 255), UInt8(number & 255)]] = [] }
        #expect(map.count == SortedBytesTests.count)
        return map.chunkCount
    }

    @Test func chunksAreFilledInEveryOrder() {
        let count = SortedBytesTests.count
        let limit = count / 128
        #expect(chunkCount(0..<count) <= limit)
        #expect(chunkCount((0..<count).reversed()) <= limit)
        #expect(chunkCount((0..<count).shuffled()) <= limit)
        // From above, behind a chunk that is full.
        #expect(chunkCount(Array(0..<512) + (512..<count).reversed()) <= limit)
        // Runs in two regions in turn, as batches of blocks and nodes are, each ascending or descending.
        var runs: [Int] = []
        for start in stride(from: 0, to: count / 2, by: 100) {
            for region in [0, count / 2] { runs += region + start..<region + start + 100 }
        }
        #expect(chunkCount(runs) <= limit)
        #expect(chunkCount(runs.reversed()) <= limit)
        // Pairs from above.
        let pairs = (0..<count / 2).reversed().flatMap { index in [2 * index, 2 * index + 1] }
        #expect(chunkCount(pairs) <= limit)
    }
}
