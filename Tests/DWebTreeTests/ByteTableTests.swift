import Testing

@testable import DWebTree

/// The memory of a tree: strings by number, of which it keeps a bounded number of bytes.
@Suite struct ByteTableTests {
    private func string(_ number: UInt64) -> [UInt8] {
        (0..<number % 300).map { UInt8(truncatingIfNeeded: number &+ $0) }
    }

    private func insert(_ numbers: some Sequence<UInt64>, into table: inout ByteTable) {
        for number in numbers { string(number).withUnsafeBytes { table.insert($0, for: number) } }
    }

    private func bytes(_ number: UInt64, in table: inout ByteTable) -> [UInt8]? {
        table.withBytes(number) { Array($0) }
    }

    @Test func givesEveryStringBack() {
        var table = ByteTable(generationByteCount: 4 << 20)
        // Small numbers in a row, and some that take all of their bits.
        let numbers = Array(1...5_000 as ClosedRange<UInt64>) + (0..<500).map { UInt64.max - 977 * $0 }
        insert(numbers, into: &table)
        for number in numbers { #expect(bytes(number, in: &table) == string(number)) }
        #expect(bytes(5_001, in: &table) == nil)
        #expect(!table.contains(5_001))
    }

    @Test func theFirstStringOfANumberStays() {
        var table = ByteTable(generationByteCount: 1 << 16)
        for text in [[1, 2, 3], [4] as [UInt8]] { text.withUnsafeBytes { table.insert($0, for: 7) } }
        #expect(bytes(7, in: &table) == [1, 2, 3])
    }

    @Test func forgetsWhatIsNotUsed() {
        var table = ByteTable(generationByteCount: 64 << 10)
        insert([1_099], into: &table)
        for number in 10_000..<20_000 as Range<UInt64> {
            insert([number], into: &table)
            #expect(bytes(1_099, in: &table) == string(1_099))
        }
        let kept = (10_000..<20_000 as Range<UInt64>).filter { table.contains($0) }
        // Two generations of 64 KiB hold fewer than 1,000 strings of 150 bytes each, the last ones of all.
        #expect(kept.count < 1_000)
        #expect(kept == Array(20_000 - UInt64(kept.count)..<20_000))
    }

    @Test func aStringLargerThanAGenerationIsKeptUntilTheNextOnesFillIt() {
        var table = ByteTable(generationByteCount: 64 << 10)
        let large = [UInt8](repeating: 9, count: 200 << 10)
        large.withUnsafeBytes { table.insert($0, for: 1) }
        #expect(bytes(1, in: &table) == large)
        insert(1_000..<4_000, into: &table)
        #expect(bytes(1, in: &table) == nil)
    }

    @Test func nothingIsLeftAfterRemovingAll() {
        var table = ByteTable(generationByteCount: 64 << 10)
        insert(1..<2_000, into: &table)
        table.removeAll()
        #expect((1..<2_000 as Range<UInt64>).allSatisfy { !table.contains($0) })
        insert([1_099], into: &table)
        #expect(bytes(1_099, in: &table) == string(1_099))
    }
}
