import CRocksDB
import DWebPorts

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Reading values whose size nobody knows, in bounded memory.
extension RocksDatabase {
    // A sixth less of the processor's time for each than one at a time.
    private static let groupCount = 8
    private static let blobsTogetherByteCount: UInt64 = 16 << 20
    // Looking up so few keys costs less than to begin a walk.
    private static let walkedKeyCount = 128
    // To pass a record takes some 0.25 us, to look up a key 3 us: measured, docs/benchmarks.md. Gaps are uneven.
    private static let passedCountPerKey = 12
    private static let passedCountAtMost = 256

    /// How many keys may be looked up together: the library then has all of their values in memory, and each may have
    /// 15 MiB, unless all large ones that there are have no more.
    private var lookupCount: Int {
        var byteCount: UInt64 = 0
        let status = rocksdb_property_int_cf(handle, family, "rocksdb.total-blob-file-size", &byteCount)
        return status == 0 && byteCount <= RocksDatabase.blobsTogetherByteCount ? RocksDatabase.groupCount : 1
    }

    /// The values of the first of `keys`, nil where absent: of all keys, or of so many that their values have
    /// `byteLimit` bytes; of one at least.
    func read(_ keys: ArraySlice<[UInt8]>, byteLimit: Int) throws(PortError) -> [[UInt8]?] {
        var reading = BoundedReading(byteLimit: byteLimit)
        reading.values.reserveCapacity(keys.count)
        if keys.count >= RocksDatabase.walkedKeyCount { try walk(keys, &reading) }
        let groupCount = reading.values.count < keys.count ? lookupCount : 1
        while reading.values.count < keys.count, !reading.isFull {
            let start = keys.startIndex + reading.values.count
            var values: [[UInt8]?] = []
            try readGroup(keys[start..<min(keys.endIndex, start + groupCount)], into: &values)
            for value in values where !reading.isFull { reading.add(value) }
        }
        return reading.values
    }

    private struct BoundedReading {
        let byteLimit: Int
        var values: [[UInt8]?] = []
        private var byteCount = 0

        init(byteLimit: Int) { self.byteLimit = byteLimit }

        var isFull: Bool { !values.isEmpty && byteCount >= byteLimit }

        mutating func add(_ value: [UInt8]?) {
            values.append(value)
            byteCount += value?.count ?? 0
        }
    }

    /// Reads the first of `keys` in one walk through the records. Ends early where it passes many more records than it
    /// is asked for, or keys do not ascend: the rest is cheaper to look up.
    private func walk(_ keys: ArraySlice<[UInt8]>, _ reading: inout BoundedReading) throws(PortError) {
        guard let first = keys.first else { return }
        let options = rocksdb_readoptions_create()!
        defer { rocksdb_readoptions_destroy(options) }
        // Each block is needed once: others stay in the cache.
        rocksdb_readoptions_set_fill_cache(options, 0)
        let iterator = rocksdb_create_iterator_cf(handle, options, family)!
        defer { rocksdb_iter_destroy(iterator) }
        first.withUnsafeBytes {
            rocksdb_iter_seek(iterator, $0.baseAddress?.assumingMemoryBound(to: CChar.self), first.count)
        }
        var passable = RocksDatabase.passedCountAtMost
        var previous: [UInt8] = []
        for key in keys {
            guard !reading.isFull, RocksDatabase.order(previous, key) < 0 else { break }
            previous = key
            var order = RocksDatabase.order(of: iterator, against: key)
            while order < 0, passable > 0 {
                var count = 0
                _ = rocksdb_iter_value(iterator, &count)
                // A large value that is passed is read from its file all the same.
                passable -= count < ReadPace.largeByteCount ? 1 : RocksDatabase.passedCountPerKey
                rocksdb_iter_next(iterator)
                order = RocksDatabase.order(of: iterator, against: key)
            }
            guard order >= 0 else { break }
            if order == 0 {
                var count = 0
                let start = rocksdb_iter_value(iterator, &count)
                reading.add(Array(UnsafeRawBufferPointer(start: start, count: count)))
            } else {
                reading.add(nil)
            }
            passable = min(RocksDatabase.passedCountAtMost, passable + RocksDatabase.passedCountPerKey)
        }
        var error: UnsafeMutablePointer<CChar>?
        rocksdb_iter_get_error(iterator, &error)
        if let message = RocksDatabase.takeMessage(&error) {
            throw PortError(.corrupted, "The database cannot be read: \(message)")
        }
    }

    /// Below zero, zero or above zero as the record at which a walk stands comes before, has or follows `key`; above
    /// zero at the end.
    private static func order(of iterator: OpaquePointer, against key: [UInt8]) -> Int {
        guard rocksdb_iter_valid(iterator) != 0 else { return 1 }
        var count = 0
        let start = rocksdb_iter_key(iterator, &count)
        return order(UnsafeRawBufferPointer(start: start, count: count), key)
    }

    private static func order(_ left: [UInt8], _ right: [UInt8]) -> Int { left.withUnsafeBytes { order($0, right) } }

    /// Below zero, zero or above zero as `left` comes before, equals or follows `right` in the order of the store.
    static func order(_ left: UnsafeRawBufferPointer, _ right: [UInt8]) -> Int {
        right.withUnsafeBytes { order(left, $0) }
    }

    private static func order(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
        guard let leftStart = left.baseAddress, let rightStart = right.baseAddress else {
            return left.count - right.count
        }
        let order = memcmp(leftStart, rightStart, min(left.count, right.count))
        return order == 0 ? left.count - right.count : Int(order)
    }
}
