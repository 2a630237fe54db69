import CRocksDB
import DWebPorts
import Synchronization

/// One of the library's batches that is filled again and again, so that large values are copied once, into memory that
/// the process has already: a new buffer for each batch was two in five of all page faults while large blocks arrive.
final class ReusedBatch: Sendable {
    /// A batch of the library, freed with its owner.
    ///
    /// Unchecked because a pointer is not `Sendable` by itself: this value cannot be copied, so that one thread at a time has
    /// the pointer.
    private struct NativeBatch: ~Copyable, @unchecked Sendable {
        let pointer = rocksdb_writebatch_create()!

        deinit { rocksdb_writebatch_destroy(pointer) }
    }

    // What replication writes at once, with room for the buffer's growth by doubling.
    private static let keptByteCount = 1 << 20

    private let spare = Mutex<NativeBatch?>(nil)

    /// Runs `body` with the changes of `batch` in a column family.
    func with<Result>(
        _ batch: WriteBatch, family: OpaquePointer, _ body: (OpaquePointer) throws(PortError) -> Result
    ) throws(PortError) -> Result {
        let native = spare.withLock { $0.take() } ?? NativeBatch()
        fill(native.pointer, with: batch, family)
        let result = try body(native.pointer)
        keep(native, byteCount: batch.byteCount)
        return result
    }

    private func fill(_ native: OpaquePointer, with batch: WriteBatch, _ family: OpaquePointer) {
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
    }

    private func keep(_ batch: consuming NativeBatch, byteCount: Int) {
        guard byteCount <= ReusedBatch.keptByteCount else { return }
        rocksdb_writebatch_clear(batch.pointer)
        var kept: NativeBatch? = batch
        spare.withLock { swap(&$0, &kept) }
    }

    private static func characters(_ bytes: UnsafeRawBufferPointer) -> UnsafePointer<CChar>? {
        bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
    }
}
