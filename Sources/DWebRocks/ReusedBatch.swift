import CRocksDB
import DWebPorts
import Synchronization

/// One of the library's batches that is filled again and again, so that large values are copied once, into memory that
/// the process has already: a new buffer for each batch was two in five of all page faults while large blocks arrive.
final class ReusedBatch: Sendable {
    /// A pointer that one thread at a time has, hence `@unchecked`.
    private struct Spare: @unchecked Sendable {
        let batch: OpaquePointer
    }

    // What replication writes at once, with room for the buffer's growth by doubling.
    private static let keptByteCount = 1 << 20

    private let spare = Mutex<Spare?>(nil)

    deinit { spare.withLock { $0.map { rocksdb_writebatch_destroy($0.batch) } } }

    /// Runs `body` with the changes of `batch` in a column family.
    func with<Result>(
        _ batch: WriteBatch, family: OpaquePointer, _ body: (OpaquePointer) throws(PortError) -> Result
    ) throws(PortError) -> Result {
        let native =
            spare.withLock { spare in
                defer { spare = nil }
                return spare
            }?.batch ?? rocksdb_writebatch_create()!
        defer { keep(native, byteCount: batch.byteCount) }
        batch.forEach { operation in
            switch operation {
            case .put(let key, let value):
                rocksdb_writebatch_put_cf(
                    native, family, ReusedBatch.characters(key), key.count, ReusedBatch.characters(value), value.count)
            case .delete(let key):
                rocksdb_writebatch_delete_cf(native, family, ReusedBatch.characters(key), key.count)
            case .deleteRange(let start, let end):
                rocksdb_writebatch_delete_range_cf(
                    native, family, ReusedBatch.characters(start), start.count, ReusedBatch.characters(end), end.count)
            }
        }
        return try body(native)
    }

    private func keep(_ batch: OpaquePointer, byteCount: Int) {
        rocksdb_writebatch_clear(batch)
        let kept = Spare(batch: batch)
        let surplus = spare.withLock { spare -> Spare? in
            guard spare == nil, byteCount <= ReusedBatch.keptByteCount else { return kept }
            spare = kept
            return nil
        }
        if let surplus { rocksdb_writebatch_destroy(surplus.batch) }
    }

    private static func characters(_ bytes: UnsafeRawBufferPointer) -> UnsafePointer<CChar>? {
        bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
    }
}
