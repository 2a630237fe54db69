import DWeb
import DWebEssentials

/// What appending costs at least: a signature for each append and the records that it leaves in the store, of the same
/// sizes and in the same order, without a log.
///
/// It shows how much of an append is the log's own work, and below what no log could go that keeps this format on this
/// storage library.
struct BenchFloor {
    private let blockByteCount: Int
    private let prefix: [UInt8]
    private let keyPair = KeyPair(seed: .zero)
    private var length: UInt64 = 0
    private var page = [UInt8](repeating: 0, count: 4_096)

    // Batches that are built together, before the clock runs, hold so many blocks.
    private static let preparedBlockCount: UInt64 = 10_000
    // What is signed: four hashes and integers of together 112 bytes; spec 00 section 3.2.
    private static let message = [UInt8](repeating: 1, count: 112)
    // Numbers, the tree's hash, a signature with its length, a timestamp: spec 40 section 13.1.
    private static let headByteCount = 116
    // Two integers and a hash; spec 40 section 13.1.
    private static let nodeByteCount = 38

    /// Appends of blocks with `blockByteCount` bytes, under a data pointer that nobody else uses.
    init(blockByteCount: Int, pointer: UInt8) {
        self.blockByteCount = blockByteCount
        prefix = [4, pointer]
    }

    /// What `count` appends of `blockCount` blocks each cost.
    mutating func cost(_ count: UInt64, blockCount: UInt64, in store: any KeyValueStore) async throws -> BenchCost {
        var seconds = 0.0
        var processorSeconds = 0.0
        var remaining = count
        while remaining > 0 {
            let batches = (0..<min(remaining, BenchFloor.preparedBlockCount / blockCount)).map { _ in
                nextBatch(blockCount)
            }
            let cost = try await BenchStore.cost {
                for batch in batches {
                    _ = keyPair.sign(BenchFloor.message)
                    try await store.apply(batch, durability: .processCrash)
                }
            }
            seconds += cost.seconds
            processorSeconds += cost.processorSeconds
            remaining -= UInt64(batches.count)
        }
        return BenchCost(seconds: seconds, processorSeconds: processorSeconds, allocationCount: nil)
    }

    private mutating func nextBatch(_ blockCount: UInt64) -> WriteBatch {
        var batch = WriteBatch()
        let end = length + blockCount
        // A leaf for each block and about as many parents.
        for index in 2 * length..<2 * end { batch.put(key(4, index), bytes(BenchFloor.nodeByteCount)) }
        batch.put(prefix + [0], bytes(BenchFloor.headByteCount))
        page[Int(length / 8) % page.count] |= 1 << UInt8(length % 8)
        batch.put(key(5, length / 32_768) + [0], page)
        batch.put(prefix + [2], bytes(6))
        for index in length..<end { batch.put(key(3, index), bytes(blockByteCount)) }
        length = end
        return batch
    }

    private func bytes(_ count: Int) -> [UInt8] { [UInt8](repeating: 0x61, count: count) }

    private func key(_ kind: UInt8, _ index: UInt64) -> [UInt8] {
        var writer = OrderedKeyWriter(appendingTo: prefix + [kind])
        writer.writeUInt(index)
        return writer.bytes
    }
}
