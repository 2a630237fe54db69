import CRocksDB
import DWebPorts
import Synchronization

/// The open database and what must be freed with it.
///
/// RocksDB's handles may be used from any thread at once; they are pointers, which the compiler cannot know to be safe
/// to share, hence `@unchecked`. They are only freed in `deinit`.
final class RocksDatabase: @unchecked Sendable {
    let handle: OpaquePointer
    let family: OpaquePointer
    private let familyNumber: UInt32
    private let defaultFamily: OpaquePointer
    private let options: OpaquePointer
    private let familyOptions: OpaquePointer
    private let readOptions: OpaquePointer
    private let cachedReadOptions: OpaquePointer
    private let writeOptions: OpaquePointer
    private let syncWriteOptions: OpaquePointer
    private let flushOptions: OpaquePointer
    private let largeBatch = ReusedBatch()
    private let unwrittenLargeByteCount = Mutex(0)
    private let path: String
    private let hasFailed = Mutex(false)
    /// How many handles to each database were left behind because a write to it was refused.
    private static let abandoned = Mutex<[String: Int]>([:])

    /// All records live in this column family; spec 40 section 13.
    private static let familyName = "corestore"
    // Spec 40 section 16.2 names all of these; format_version 5 is what the linked library writes at most.
    private static let blockByteCount = 8_192
    private static let bloomBitsPerKey = 10.0
    private static let blobByteThreshold: UInt64 = 4_096
    private static let blobFileByteCount: UInt64 = 256 << 20
    // The reference holds 64 MiB in memory before it writes a table; smaller tables are as readable, and memory counts
    // on phones. While one buffer is filled, one waits and one is written.
    private static let writeBufferByteCount = 4 << 20
    private static let writeBufferCount: Int32 = 5
    // Data, indexes and filters: those of one table of the largest size are 1.6 MB.
    private static let blockCacheByteCount = 3 << 20
    // For each of several open files; every batch is handed to the system anyway.
    private static let fileBufferByteCount: UInt64 = 256 << 10
    // Large values only pass through a buffer on their way to blob files: they are written before it is full.
    private static let largeByteCount = 3 << 20
    // As many small tables as the reference's trigger of four has in large ones would be 64; reads look at each.
    private static let mergeTableCount: Int32 = 12
    // Merging small tables may lag behind for a while before writers are slowed down, or stopped.
    private static let slowdownTableCount: Int32 = 40
    private static let stopTableCount: Int32 = 64
    /// `rocksdb::ReadTier::kBlockCacheTier`.
    static let memoryTier: Int32 = 1
    // The text of a status is all that the C interface gives: `rocksdb::Status::kIncomplete`.
    private static let incompletePrefix = "Result incomplete"
    // `rocksdb::PerfLevel::kDisable`: counting costs two calls for every record.
    private static let uncounted: Int32 = 1

    init(path: String, options storageOptions: StorageOptions) throws(PortError) {
        self.path = path
        // The library tells databases that are open in this process by the spelling of their paths.
        let count = RocksDatabase.abandoned.withLock { $0[path] ?? 0 }
        let path = path + String(repeating: "/.", count: count)
        let options = rocksdb_options_create()!
        rocksdb_options_set_create_if_missing(options, storageOptions.createIfMissing ? 1 : 0)
        rocksdb_options_set_create_missing_column_families(options, 1)
        rocksdb_options_set_max_background_jobs(options, 2)
        rocksdb_options_set_bytes_per_sync(options, 1 << 20)
        rocksdb_options_set_max_open_files(options, -1)
        rocksdb_options_set_writable_file_max_buffer_size(options, RocksDatabase.fileBufferByteCount)
        rocksdb_options_set_compression(options, Int32(rocksdb_no_compression))
        rocksdb_options_set_wal_recovery_mode(options, Int32(rocksdb_point_in_time_recovery))
        rocksdb_options_set_keep_log_file_num(options, 1)
        // `InfoLogLevel::FATAL_LEVEL`: the library's own log is a file too. On a full disk it is refused as well, and the
        // next line for it would abort the process where the library has its assertions on.
        rocksdb_options_set_info_log_level(options, 4)
        let familyOptions = RocksDatabase.makeFamilyOptions()
        var error: UnsafeMutablePointer<CChar>?
        // The library's own attempts to go on after a refused write would write on to the log that refused it. The C
        // interface has no call for this one.
        rocksdb_get_options_from_string(options, "max_bgerror_resume_count=0", options, &error)
        if let message = RocksDatabase.takeMessage(&error) {
            rocksdb_options_destroy(options)
            rocksdb_options_destroy(familyOptions)
            throw PortError(.failed, "The database's options are not understood: \(message)")
        }
        let names = ["default", RocksDatabase.familyName]
        var families: [OpaquePointer?] = [nil, nil]
        let handle = names[0].withCString { first in
            names[1].withCString { second -> OpaquePointer? in
                let pointers: [UnsafePointer<CChar>?] = [first, second]
                let perFamily: [OpaquePointer?] = [options, familyOptions]
                return storageOptions.isReadOnly
                    ? rocksdb_open_for_read_only_column_families(
                        options, path, 2, pointers, perFamily, &families, 0, &error)
                    : rocksdb_open_column_families(options, path, 2, pointers, perFamily, &families, &error)
            }
        }
        if let message = RocksDatabase.takeMessage(&error) {
            rocksdb_options_destroy(options)
            rocksdb_options_destroy(familyOptions)
            throw RocksDatabase.openError(message, path: path)
        }
        guard let handle, let defaultFamily = families[0], let family = families[1] else {
            throw PortError(.failed, "The database in \(path) cannot be opened")
        }
        self.handle = handle
        self.family = family
        familyNumber = rocksdb_column_family_handle_get_id(family)
        self.defaultFamily = defaultFamily
        self.options = options
        self.familyOptions = familyOptions
        readOptions = rocksdb_readoptions_create()!
        cachedReadOptions = rocksdb_readoptions_create()!
        rocksdb_readoptions_set_read_tier(cachedReadOptions, RocksDatabase.memoryTier)
        writeOptions = rocksdb_writeoptions_create()!
        syncWriteOptions = rocksdb_writeoptions_create()!
        rocksdb_writeoptions_set_sync(syncWriteOptions, 1)
        flushOptions = rocksdb_flushoptions_create()!
        rocksdb_flushoptions_set_wait(flushOptions, 0)
    }

    deinit {
        // Closing writes out the log, which aborts the process where the library has its assertions on (Debian's has) and
        // an earlier write to that log was refused. So it stays as it is until the process ends, and does nothing more.
        if hasFailed.withLock({ $0 }) {
            rocksdb_cancel_all_background_work(handle, 1)
            RocksDatabase.abandoned.withLock { $0[path, default: 0] += 1 }
            return
        }
        rocksdb_readoptions_destroy(readOptions)
        rocksdb_readoptions_destroy(cachedReadOptions)
        rocksdb_writeoptions_destroy(writeOptions)
        rocksdb_writeoptions_destroy(syncWriteOptions)
        rocksdb_flushoptions_destroy(flushOptions)
        rocksdb_column_family_handle_destroy(family)
        rocksdb_column_family_handle_destroy(defaultFamily)
        rocksdb_close(handle)
        rocksdb_options_destroy(options)
        rocksdb_options_destroy(familyOptions)
    }

    private static func makeFamilyOptions() -> OpaquePointer {
        let options = rocksdb_options_create()!
        let table = rocksdb_block_based_options_create()!
        rocksdb_block_based_options_set_block_size(table, blockByteCount)
        rocksdb_block_based_options_set_format_version(table, 5)
        rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(bloomBitsPerKey))
        // Kept per table instead, they would be 400 MB for a log of 100 million blocks. The last level, where nine in ten
        // records are, goes without filters: what is looked for is mostly there.
        rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1)
        rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1)
        rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1)
        // In parts, so that a first read in a large table takes some kilobytes of its index and filter instead of one or
        // two megabytes. A table says how its index is built: every reader follows.
        rocksdb_block_based_options_set_index_type(
            table, Int32(rocksdb_block_based_table_index_type_two_level_index_search))
        rocksdb_block_based_options_set_partition_filters(table, 1)
        rocksdb_block_based_options_set_pin_top_level_index_and_filter(table, 1)
        rocksdb_options_set_optimize_filters_for_hits(options, 1)
        let cache = rocksdb_cache_create_lru(blockCacheByteCount)!
        rocksdb_block_based_options_set_block_cache(table, cache)
        rocksdb_cache_destroy(cache)
        rocksdb_options_set_block_based_table_factory(options, table)
        rocksdb_block_based_options_destroy(table)
        rocksdb_options_set_compression(options, Int32(rocksdb_no_compression))
        rocksdb_options_set_enable_blob_files(options, 1)
        rocksdb_options_set_min_blob_size(options, blobByteThreshold)
        rocksdb_options_set_blob_file_size(options, blobFileByteCount)
        rocksdb_options_set_enable_blob_gc(options, 1)
        rocksdb_options_set_blob_gc_age_cutoff(options, 0.25)
        rocksdb_options_set_blob_compression_type(options, Int32(rocksdb_no_compression))
        rocksdb_options_set_write_buffer_size(options, writeBufferByteCount)
        rocksdb_options_set_max_write_buffer_number(options, writeBufferCount)
        rocksdb_options_set_arena_block_size(options, RocksStorage.writeBufferPieceByteCount)
        // Small tables are merged less often, since a log is mostly appended to.
        rocksdb_options_set_level0_file_num_compaction_trigger(options, mergeTableCount)
        rocksdb_options_set_level0_slowdown_writes_trigger(options, slowdownTableCount)
        rocksdb_options_set_level0_stop_writes_trigger(options, stopTableCount)
        return options
    }

    /// The value of `key` from memory only, or from anywhere.
    func read(_ key: [UInt8], isImmediate: Bool, snapshot: OpaquePointer? = nil) throws(PortError) -> ImmediateRead {
        var error: UnsafeMutablePointer<CChar>?
        if let snapshot { return try read(key, options: snapshot, isImmediate: isImmediate, error: &error) }
        return try read(
            key, options: isImmediate ? cachedReadOptions : readOptions, isImmediate: isImmediate, error: &error)
    }

    private func read(
        _ key: [UInt8], options: OpaquePointer, isImmediate: Bool, error: inout UnsafeMutablePointer<CChar>?
    ) throws(PortError) -> ImmediateRead {
        let pinned = key.withUnsafeBytes {
            rocksdb_get_pinned_cf(
                handle, options, family, $0.baseAddress?.assumingMemoryBound(to: CChar.self), key.count, &error)
        }
        if let message = RocksDatabase.takeMessage(&error) {
            if isImmediate, message.hasPrefix(RocksDatabase.incompletePrefix) { return .wouldWait }
            throw PortError(.corrupted, "The database cannot be read: \(message)")
        }
        guard let pinned else { return .absent }
        defer { rocksdb_pinnableslice_destroy(pinned) }
        var count = 0
        guard let start = rocksdb_pinnableslice_value(pinned, &count) else { return .value([]) }
        return .value(Array(UnsafeRawBufferPointer(start: start, count: count)))
    }

    /// The values of `keys`, nil where absent; cheapest where the keys are in order.
    func read(_ keys: [[UInt8]]) throws(PortError) -> [[UInt8]?] {
        guard keys.count > 1 else {
            guard let key = keys.first else { return [] }
            switch try read(key, isImmediate: false) {
            case .value(let value): return [value]
            case .absent, .wouldWait: return [nil]
            }
        }
        var values: [[UInt8]?] = []
        values.reserveCapacity(keys.count)
        var start = 0
        while start < keys.count {
            let end = min(keys.count, start + RocksDatabase.readGroupCount)
            try readGroup(keys[start..<end], into: &values)
            start = end
        }
        return values
    }

    /// So many reads the library itself does together; each holds a block of a table until it is copied.
    private static let readGroupCount = 32

    func readGroup(_ keys: ArraySlice<[UInt8]>, into values: inout [[UInt8]?]) throws(PortError) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(keys.count * (keys.first?.count ?? 0))
        var counts: [Int] = []
        counts.reserveCapacity(keys.count)
        for key in keys {
            bytes.append(contentsOf: key)
            counts.append(key.count)
        }
        let isAscending = zip(keys, keys.dropFirst()).allSatisfy { left, right in left.lexicographicallyPrecedes(right)
        }
        var pinned = [OpaquePointer?](repeating: nil, count: keys.count)
        var errors = [UnsafeMutablePointer<CChar>?](repeating: nil, count: keys.count)
        bytes.withUnsafeBytes { bytes in
            var position = 0
            var starts: [UnsafePointer<CChar>?] = []
            starts.reserveCapacity(counts.count)
            for count in counts {
                starts.append(bytes.baseAddress.map { $0.assumingMemoryBound(to: CChar.self) + position })
                position += count
            }
            rocksdb_batched_multi_get_cf(
                handle, readOptions, family, keys.count, starts, counts, &pinned, &errors, isAscending)
        }
        var failure: PortError?
        for index in pinned.indices {
            if let message = RocksDatabase.takeMessage(&errors[index]), failure == nil {
                failure = PortError(.corrupted, "The database cannot be read: \(message)")
            }
            guard let slice = pinned[index] else {
                values.append(nil)
                continue
            }
            defer { rocksdb_pinnableslice_destroy(slice) }
            var count = 0
            let start = rocksdb_pinnableslice_value(slice, &count)
            values.append(Array(UnsafeRawBufferPointer(start: start, count: count)))
        }
        if let failure { throw failure }
    }

    /// Applies a batch atomically.
    func apply(_ batch: WriteBatch, isSynchronous: Bool) throws(PortError) {
        // A property of the thread, and calls come from several.
        rocksdb_set_perf_level(RocksDatabase.uncounted)
        if batch.largeByteCount > 0 {
            try largeBatch.with(batch, family: family) { (native) throws(PortError) in
                try write(native, isSynchronous: isSynchronous)
            }
            writeEarly(batch.largeByteCount)
        } else {
            let native = BatchRecord(batch, family: familyNumber).makeNative()
            defer { rocksdb_writebatch_destroy(native) }
            try write(native, isSynchronous: isSynchronous)
        }
    }

    private func write(_ native: OpaquePointer, isSynchronous: Bool) throws(PortError) {
        let message = hasFailed.withLock { hasFailed -> String? in
            // A writer that waited for another one, whose write was refused; trying again aborts the process where the
            // library has its assertions on.
            if hasFailed { return "an earlier write failed" }
            var error: UnsafeMutablePointer<CChar>?
            rocksdb_write(handle, isSynchronous ? syncWriteOptions : writeOptions, native, &error)
            let message = RocksDatabase.takeMessage(&error)
            hasFailed = message != nil
            return message
        }
        if let message {
            let isFull = message.contains("No space left")
            throw PortError(isFull ? .noSpace : .failed, "The database cannot be written: \(message)")
        }
    }

    /// Starts writing the buffer to files, in the background, once it holds enough of large values.
    private func writeEarly(_ byteCount: Int) {
        let isEnough = unwrittenLargeByteCount.withLock { count in
            count += byteCount
            guard count >= RocksDatabase.largeByteCount else { return false }
            count = 0
            return true
        }
        guard isEnough else { return }
        var error: UnsafeMutablePointer<CChar>?
        rocksdb_flush_cf(handle, flushOptions, family, &error)
        // The batch is safe in the log; a medium that fails says so to the next write.
        _ = RocksDatabase.takeMessage(&error)
    }

    /// Entries of a range, in either direction.
    func entries(
        from start: [UInt8], to end: [UInt8], limit: Int, isReversed: Bool, snapshot: OpaquePointer? = nil
    ) throws(PortError) -> [KeyValueEntry] {
        try entries(
            from: start, to: end, limit: limit, byteLimit: .max, isImmediate: false, isReversed: isReversed,
            snapshot: snapshot) ?? []
    }

    /// Entries of a range, and no more after the one whose value brings their bytes to `byteLimit`; from memory only, or
    /// from anywhere. Nil if memory does not have all of them.
    func entries(
        from start: [UInt8], to end: [UInt8], limit: Int, byteLimit: Int, isImmediate: Bool, isReversed: Bool = false,
        snapshot: OpaquePointer? = nil
    ) throws(PortError) -> [KeyValueEntry]? {
        let own = rocksdb_readoptions_create()!
        defer { rocksdb_readoptions_destroy(own) }
        if isImmediate { rocksdb_readoptions_set_read_tier(own, RocksDatabase.memoryTier) }
        if let snapshot { rocksdb_readoptions_set_snapshot(own, snapshot) }
        let iterator = rocksdb_create_iterator_cf(handle, own, family)!
        defer { rocksdb_iter_destroy(iterator) }
        var result: [KeyValueEntry] = []
        if isReversed {
            end.withUnsafeBytes {
                rocksdb_iter_seek_for_prev(iterator, $0.baseAddress?.assumingMemoryBound(to: CChar.self), end.count)
            }
        } else {
            start.withUnsafeBytes {
                rocksdb_iter_seek(iterator, $0.baseAddress?.assumingMemoryBound(to: CChar.self), start.count)
            }
        }
        var byteCount = 0
        while result.count < limit, byteCount < byteLimit, rocksdb_iter_valid(iterator) != 0 {
            var count = 0
            let keyStart = rocksdb_iter_key(iterator, &count)
            let rawKey = UnsafeRawBufferPointer(start: keyStart, count: count)
            if isReversed, RocksDatabase.order(rawKey, end) >= 0 {
                rocksdb_iter_prev(iterator)
                continue
            }
            guard isReversed ? RocksDatabase.order(rawKey, start) >= 0 : RocksDatabase.order(rawKey, end) < 0 else {
                break
            }
            let key = Array(rawKey)
            let valueStart = rocksdb_iter_value(iterator, &count)
            byteCount += count
            result.append(
                KeyValueEntry(key: key, value: Array(UnsafeRawBufferPointer(start: valueStart, count: count))))
            if isReversed { rocksdb_iter_prev(iterator) } else { rocksdb_iter_next(iterator) }
        }
        var error: UnsafeMutablePointer<CChar>?
        rocksdb_iter_get_error(iterator, &error)
        if let message = RocksDatabase.takeMessage(&error) {
            if isImmediate, message.hasPrefix(RocksDatabase.incompletePrefix) { return nil }
            throw PortError(.corrupted, "The database cannot be read: \(message)")
        }
        return result
    }

    /// An estimate of the bytes on the medium.
    func approximateByteCount(from start: [UInt8], to end: [UInt8]) throws(PortError) -> UInt64 {
        var size: UInt64 = 0
        var error: UnsafeMutablePointer<CChar>?
        start.withUnsafeBytes { startBytes in
            end.withUnsafeBytes { endBytes in
                var starts = [startBytes.baseAddress?.assumingMemoryBound(to: CChar.self)]
                var ends = [endBytes.baseAddress?.assumingMemoryBound(to: CChar.self)]
                var startCount = start.count
                var endCount = end.count
                rocksdb_approximate_sizes_cf(handle, family, 1, &starts, &startCount, &ends, &endCount, &size, &error)
            }
        }
        if let message = RocksDatabase.takeMessage(&error) { throw PortError(.failed, message) }
        return size
    }

    /// Rewrites a range without what was deleted.
    func compact(from start: [UInt8], to end: [UInt8]) {
        start.withUnsafeBytes { startBytes in
            end.withUnsafeBytes { endBytes in
                rocksdb_compact_range_cf(
                    handle, family, startBytes.baseAddress?.assumingMemoryBound(to: CChar.self), start.count,
                    endBytes.baseAddress?.assumingMemoryBound(to: CChar.self), end.count)
            }
        }
    }

    static func takeMessage(_ error: inout UnsafeMutablePointer<CChar>?) -> String? {
        guard let pointer = error else { return nil }
        defer {
            rocksdb_free(pointer)
            error = nil
        }
        return String(cString: pointer)
    }

    private static func openError(_ message: String, path: String) -> PortError {
        if message.contains("format_version") {
            return PortError(
                .unsupportedFormat,
                "The database in \(path) was written by a newer RocksDB (table format 6); "
                    + "this program is linked with a version before 8.6. Install RocksDB 8.6 or later and rebuild")
        }
        if message.contains("current process") {
            return PortError(
                .locked,
                "The database in \(path) is still open in this process; where a failed write stopped it, "
                    + "the process must end before it can be opened again")
        }
        // Before the next: a damaged block is no lock.
        if message.contains("Corruption") {
            return PortError(.corrupted, "The database in \(path) is damaged: \(message)")
        }
        if message.contains("lock") || message.contains("LOCK") {
            return PortError(.locked, "The database in \(path) is in use by another process")
        }
        if message.contains("does not exist") || message.contains("No such file") {
            return PortError(.notFound, "There is no database in \(path)")
        }
        if message.contains("No space left") { return PortError(.noSpace, "There is no space left for \(path)") }
        if message.contains("Permission denied") {
            return PortError(.permissionDenied, "This user may not open \(path)")
        }
        return PortError(.failed, "The database in \(path) cannot be opened: \(message)")
    }
}
