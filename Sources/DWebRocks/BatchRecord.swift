import CRocksDB
import DWebPorts

/// The bytes of a batch as RocksDB keeps it in its log: a header, then a record for each change.
///
/// Handing over the whole is a third of the work of handing over each change: several hundred instructions for each go
/// into checks and into a buffer that grows. The form is that of the library's log (`db/write_batch.cc` describes it),
/// which every version has to read.
struct BatchRecord: ~Copyable {
    // `rocksdb::ValueType` of changes outside the default column family.
    private static let valueTag: UInt8 = 0x5
    private static let deletionTag: UInt8 = 0x4
    private static let rangeDeletionTag: UInt8 = 0xe
    // A sequence number of 64 bits, which the library sets, and the number of changes in 32.
    private static let headerByteCount = 12
    // A tag, the column family's number and two lengths, each of 32 bits in groups of seven.
    private static let recordByteLimit = 1 + 3 * 5

    private let bytes: UnsafeMutableRawPointer
    private var count = BatchRecord.headerByteCount

    /// The changes of `batch` in a column family.
    init(_ batch: WriteBatch, family: UInt32) {
        let capacity = BatchRecord.headerByteCount + batch.byteCount + batch.count * BatchRecord.recordByteLimit
        bytes = .allocate(byteCount: capacity, alignment: 8)
        bytes.storeBytes(of: 0, as: UInt64.self)
        bytes.storeBytes(of: UInt32(batch.count).littleEndian, toByteOffset: 8, as: UInt32.self)
        batch.forEach { operation in
            switch operation {
            case .put(let key, let value):
                begin(BatchRecord.valueTag, family)
                append(key)
                append(value)
            case .delete(let key):
                begin(BatchRecord.deletionTag, family)
                append(key)
            case .deleteRange(let start, let end):
                begin(BatchRecord.rangeDeletionTag, family)
                append(start)
                append(end)
            }
        }
    }

    deinit { bytes.deallocate() }

    /// The library's own batch, to be destroyed by the caller.
    borrowing func makeNative() -> OpaquePointer {
        rocksdb_writebatch_create_from(bytes.assumingMemoryBound(to: CChar.self), count)
    }

    private mutating func begin(_ tag: UInt8, _ family: UInt32) {
        bytes.storeBytes(of: tag, toByteOffset: count, as: UInt8.self)
        count += 1
        append(family)
    }

    private mutating func append(_ part: UnsafeRawBufferPointer) {
        append(UInt32(part.count))
        guard let start = part.baseAddress else { return }
        (bytes + count).copyMemory(from: start, byteCount: part.count)
        count += part.count
    }

    private mutating func append(_ value: UInt32) {
        var rest = value
        while rest >= 0x80 {
            bytes.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: count, as: UInt8.self)
            rest >>= 7
            count += 1
        }
        bytes.storeBytes(of: UInt8(rest), toByteOffset: count, as: UInt8.self)
        count += 1
    }
}
