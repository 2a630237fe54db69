import DWebBase
import DWebCrypto
import Testing

@Suite struct Blake2bHasherTests {
    private static let input = (0..<700).map { UInt8(truncatingIfNeeded: $0 &* 131 &+ $0 >> 8) }

    @Test func everyLengthAgreesWithTheOtherImplementation() {
        for count in 0..<520 {
            let input = Array(Self.input[..<count])
            #expect(Self.hash(input, byteCount: 32, key: []) == SodiumBlake2b.hash(input, byteCount: 32, key: []))
        }
    }

    @Test func everyKeyLengthAgreesWithTheOtherImplementation() {
        for count in 0...64 {
            let key = Array(Self.input[..<count])
            for inputCount in [0, 1, 64, 127, 128, 129, 256, 300] {
                let input = Array(Self.input[..<inputCount])
                #expect(Self.hash(input, byteCount: 64, key: key) == SodiumBlake2b.hash(input, byteCount: 64, key: key))
            }
        }
    }

    @Test func everyDigestLengthAgreesWithTheOtherImplementation() {
        for byteCount in 16...64 {
            let input = Array(Self.input[..<200])
            #expect(
                Self.hash(input, byteCount: byteCount, key: [1, 2])
                    == SodiumBlake2b.hash(input, byteCount: byteCount, key: [1, 2]))
        }
    }

    @Test func piecesGiveTheSameAsTheWhole() {
        let whole = Self.hash(Self.input, byteCount: 32, key: [])
        for size in [1, 3, 63, 64, 65, 127, 128, 129, 255, 256, 257, 699] {
            var hasher = Blake2bHasher(byteCount: 32)
            var start = 0
            while start < Self.input.count {
                let end = min(start + size, Self.input.count)
                hasher.update(Array(Self.input[start..<end]))
                start = end
            }
            #expect(hasher.finalize() == whole, "pieces of \(size) bytes")
            #expect(hasher.finalize32().bytes == whole)
        }
    }

    @Test func aCopyContinuesOnItsOwn() {
        var first = Blake2bHasher(byteCount: 32)
        first.update([1, 2, 3])
        var second = first
        first.update([4])
        second.update([5])
        #expect(first.finalize() == Self.hash([1, 2, 3, 4], byteCount: 32, key: []))
        #expect(second.finalize() == Self.hash([1, 2, 3, 5], byteCount: 32, key: []))
    }

    private static func hash(_ input: [UInt8], byteCount: Int, key: [UInt8]) -> [UInt8] {
        var hasher = Blake2bHasher(byteCount: byteCount, key: key)
        hasher.update(input)
        return hasher.finalize()
    }
}
