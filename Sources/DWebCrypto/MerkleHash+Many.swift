import CBlake2b
package import DWebBase

/// Many hashes of a tree at once, four of them in little more time than one where the processor has the registers for it.
extension MerkleHash {
    /// So many hashes are made together.
    package static let togetherCount = 4

    /// The ``leaf(_:)-([UInt8])`` of each of `blocks`, in their order.
    package static func leaves(_ blocks: [[UInt8]]) -> [Bytes32] {
        hashes(blocks.count, four: { FourHashes(ofLeaves: blocks, from: $0) }, one: { leaf(blocks[$0]) })
    }

    /// What ``parent(byteCount:left:right:)`` takes.
    package typealias Children = (byteCount: UInt64, left: Bytes32, right: Bytes32)

    /// The ``parent(byteCount:left:right:)`` of each of `pairs`, in their order.
    package static func parents(_ pairs: [Children]) -> [Bytes32] {
        hashes(
            pairs.count, four: { FourHashes(ofParents: pairs, from: $0) },
            one: { parent(byteCount: pairs[$0].byteCount, left: pairs[$0].left, right: pairs[$0].right) })
    }

    /// Hashes 0 to `count`: four from an index on where they can be made together, else one.
    private static func hashes(
        _ count: Int, four: (Int) -> FourHashes?, one: (Int) -> Bytes32
    ) -> [Bytes32] {
        var hashes: [Bytes32] = []
        hashes.reserveCapacity(count)
        while hashes.count < count {
            if let four = four(hashes.count) {
                four.append(to: &hashes)
            } else {
                hashes.append(one(hashes.count))
            }
        }
        return hashes
    }
}

/// Four digests that were made together.
private struct FourHashes {
    // The type byte and the size.
    private static let headByteCount = 9
    private static let blockByteCount = 128
    private static let isAvailable = dweb_blake2b_has_four()

    private typealias Bytes = UnsafePointer<UInt8>?

    private var digests: (Bytes32, Bytes32, Bytes32, Bytes32) = (.zero, .zero, .zero, .zero)

    /// Nil where there are not four blocks from `start` on that take the same number of steps.
    init?(ofLeaves blocks: [[UInt8]], from start: Int) {
        guard FourHashes.isAvailable, blocks.count - start >= MerkleHash.togetherCount else { return nil }
        let counts = (
            blocks[start].count, blocks[start + 1].count, blocks[start + 2].count, blocks[start + 3].count
        )
        let steps = FourHashes.stepCount(counts.0)
        guard
            steps == FourHashes.stepCount(counts.1), steps == FourHashes.stepCount(counts.2),
            steps == FourHashes.stepCount(counts.3)
        else { return nil }
        blocks[start].withUnsafeBufferPointer { first in
            blocks[start + 1].withUnsafeBufferPointer { second in
                blocks[start + 2].withUnsafeBufferPointer { third in
                    blocks[start + 3].withUnsafeBufferPointer { fourth in
                        make(
                            (first.baseAddress, second.baseAddress, third.baseAddress, fourth.baseAddress), counts,
                            headByteCount: FourHashes.headByteCount
                        ) { lane, head in
                            let count = blocks[start + lane].count
                            FourHashes.write(type: 0, byteCount: UInt64(count), to: head)
                        }
                    }
                }
            }
        }
    }

    /// Nil where there are not four pairs from `start` on.
    init?(ofParents pairs: [MerkleHash.Children], from start: Int) {
        guard FourHashes.isAvailable, pairs.count - start >= MerkleHash.togetherCount else { return nil }
        let headByteCount = FourHashes.headByteCount + 2 * Bytes32.byteCount
        make((nil, nil, nil, nil), (0, 0, 0, 0), headByteCount: headByteCount) { lane, head in
            let pair = pairs[start + lane]
            FourHashes.write(type: 1, byteCount: pair.byteCount, to: head)
            let left = head + FourHashes.headByteCount
            pair.left.withUnsafeBytes { left.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
            let right = left + Bytes32.byteCount
            pair.right.withUnsafeBytes { right.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        }
    }

    func append(to hashes: inout [Bytes32]) {
        hashes.append(digests.0)
        hashes.append(digests.1)
        hashes.append(digests.2)
        hashes.append(digests.3)
    }

    private static func stepCount(_ blockByteCount: Int) -> Int {
        (headByteCount + blockByteCount + FourHashes.blockByteCount - 1) / FourHashes.blockByteCount
    }

    private static func write(type: UInt8, byteCount: UInt64, to head: UnsafeMutableRawPointer) {
        head.storeBytes(of: type, as: UInt8.self)
        head.storeBytes(of: byteCount.littleEndian, toByteOffset: 1, as: UInt64.self)
    }

    private mutating func make(
        _ bodies: (Bytes, Bytes, Bytes, Bytes), _ counts: (Int, Int, Int, Int), headByteCount: Int,
        writeHead: (Int, UnsafeMutableRawPointer) -> Void
    ) {
        let headsByteCount = MerkleHash.togetherCount * FourHashes.blockByteCount
        let digestsByteCount = MerkleHash.togetherCount * Bytes32.byteCount
        digests = withUnsafeTemporaryAllocation(byteCount: headsByteCount + digestsByteCount, alignment: 32) { memory in
            let heads = memory.baseAddress!
            let output = heads + headsByteCount
            for lane in 0..<MerkleHash.togetherCount { writeHead(lane, heads + lane * FourHashes.blockByteCount) }
            withUnsafeBytes(of: bodies) { bodies in
                withUnsafeBytes(of: counts) { counts in
                    dweb_blake2b_four(
                        heads, headByteCount, bodies.assumingMemoryBound(to: Bytes.self).baseAddress,
                        counts.assumingMemoryBound(to: Int.self).baseAddress, output)
                }
            }
            func digest(_ lane: Int) -> Bytes32 {
                Bytes32(
                    unchecked: UnsafeRawBufferPointer(
                        start: output + lane * Bytes32.byteCount, count: Bytes32.byteCount))
            }
            return (digest(0), digest(1), digest(2), digest(3))
        }
    }
}
