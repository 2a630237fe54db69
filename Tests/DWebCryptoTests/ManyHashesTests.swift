import CBlake2b
import DWebBase
import DWebCrypto
import Testing

/// Hashes that are made four at a time are those that are made one by one.
@Suite struct ManyHashesTests {
    private static let input = (0..<2_000).map { UInt8(truncatingIfNeeded: $0 &* 73 &+ $0 >> 7) }

    @Test func leavesOfEveryLengthAgree() {
        for count in 0..<420 {
            let blocks = (0..<5).map { Array(Self.input[$0..<$0 + count]) }
            #expect(MerkleHash.leaves(blocks) == blocks.map { MerkleHash.leaf($0) })
        }
    }

    @Test func leavesOfManyLengthsAgree() {
        var random = SystemRandomNumberGenerator()
        for longest in [10, 119, 120, 400, 1_500] {
            for count in 0..<70 {
                let blocks = (0..<count).map { _ in
                    let start = Int.random(in: 0..<200, using: &random)
                    return Array(Self.input[start..<start + Int.random(in: 0...longest, using: &random)])
                }
                #expect(MerkleHash.leaves(blocks) == blocks.map { MerkleHash.leaf($0) })
            }
        }
    }

    @Test func parentsAgree() {
        for count in 0..<20 {
            let pairs: [MerkleHash.Children] = (0..<count).map { index in
                (UInt64(index) << 40 | 77, MerkleHash.leaf([UInt8(index)]), MerkleHash.leaf([0, UInt8(index)]))
            }
            #expect(
                MerkleHash.parents(pairs)
                    == pairs.map { MerkleHash.parent(byteCount: $0.byteCount, left: $0.left, right: $0.right) })
        }
    }

    /// The processor has the one or the other; whoever has the newer registers tests the older ones too.
    @Test(.enabled(if: dweb_blake2b_has_four())) func bothSetsOfRegistersAgree() {
        typealias Function = (
            UnsafePointer<UInt8>?, Int, UnsafePointer<UnsafePointer<UInt8>?>?, UnsafePointer<Int>?,
            UnsafeMutablePointer<UInt8>?
        ) -> Void
        func digests(_ headCount: Int, _ bodyCounts: [Int], by function: Function) -> [UInt8] {
            [UInt8](unsafeUninitializedCapacity: 128) { output, count in
                Self.input.withUnsafeBufferPointer { input in
                    let bodies = [UnsafePointer<UInt8>?](repeating: input.baseAddress.map { $0 + 512 }, count: 4)
                    function(input.baseAddress, headCount, bodies, bodyCounts, output.baseAddress)
                }
                count = 128
            }
        }
        for headCount in [0, 9, 73, 128] {
            for bodyCount in [0, 1, 30, 54, 55, 118, 119, 128, 500, 1_000] {
                let bodyCounts = [bodyCount, bodyCount, bodyCount, bodyCount]
                let hashes = digests(headCount, bodyCounts, by: dweb_blake2b_four)
                #expect(hashes == digests(headCount, bodyCounts, by: dweb_blake2b_four_by_avx2))
                for lane in 0..<4 {
                    let message = Self.input[128 * lane..<128 * lane + headCount] + Self.input[512..<512 + bodyCount]
                    #expect(
                        Array(hashes[32 * lane..<32 * lane + 32])
                            == SodiumBlake2b.hash(Array(message), byteCount: 32, key: []))
                }
            }
        }
    }
}
