import DWebBase

/// A message by which peers help each other to fetch the blocks of a lookup at once; spec 50 section 7.
///
/// It travels as the extension `hyperbee` of the log. Ignoring it costs round trips and nothing else.
package struct TreeHint: Sendable, Equatable {
    /// The extension's name on the log.
    package static let extensionName = "hyperbee"

    /// Blocks that the receiver should fetch.
    package struct Cache: Sendable, Equatable {
        /// The smallest index named.
        package var start: UInt64
        /// One above the largest.
        package var end: UInt64
        /// The blocks, in the order of use.
        package var blocks: [UInt64]

        /// Names blocks.
        package init(start: UInt64, end: UInt64, blocks: [UInt64]) {
            self.start = start
            self.end = end
            self.blocks = blocks
        }
    }

    /// Asks for the blocks of one lookup.
    package struct Get: Sendable, Equatable {
        /// The version that is read.
        package var version: UInt64
        /// The key, prefixes included.
        package var key: [UInt8]

        /// Asks for a key.
        package init(version: UInt64, key: [UInt8]) {
            self.version = version
            self.key = key
        }
    }

    /// Asks for the blocks of a scan.
    package struct Scan: Sendable, Equatable {
        /// The version that is read.
        package var version: UInt64
        /// The bounds, prefixes included.
        package var range: KeyRange
        /// The most entries, 0 without a limit.
        package var limit: UInt64
        /// Whether the scan goes down.
        package var isReversed: Bool
        /// Where the scan stands: block, offset and position of every node from the root down.
        package var checkpoint: [UInt64]

        /// Asks for a scan.
        package init(version: UInt64, range: KeyRange, limit: UInt64, isReversed: Bool, checkpoint: [UInt64]) {
            self.version = version
            self.range = range
            self.limit = limit
            self.isReversed = isReversed
            self.checkpoint = checkpoint
        }
    }

    /// The blocks named, if any.
    package var cache: Cache?
    /// The lookup asked about, if any.
    package var get: Get?
    /// The scan asked about, if any.
    package var scan: Scan?

    /// A message with any of its parts.
    package init(cache: Cache? = nil, get: Get? = nil, scan: Scan? = nil) {
        self.cache = cache
        self.get = get
        self.scan = scan
    }

    // MARK: Encoding

    /// The message's bytes.
    package var encoded: [UInt8] {
        var writer = ProtobufWriter()
        if let cache {
            var inner = ProtobufWriter()
            inner.writeField(1, integer: cache.start)
            inner.writeField(2, integer: cache.end)
            TreeHint.writePacked(cache.blocks, 3, &inner)
            writer.writeField(1, bytes: inner.bytes)
        }
        if let get {
            var inner = ProtobufWriter()
            inner.writeField(1, integer: get.version)
            inner.writeField(2, bytes: get.key)
            writer.writeField(2, bytes: inner.bytes)
        }
        if let scan {
            var inner = ProtobufWriter()
            inner.writeField(1, integer: scan.version)
            switch scan.range.lower {
            case nil: break
            case .including(let key): inner.writeField(2, bytes: key)
            case .excluding(let key): inner.writeField(3, bytes: key)
            }
            switch scan.range.upper {
            case nil: break
            case .including(let key): inner.writeField(4, bytes: key)
            case .excluding(let key): inner.writeField(5, bytes: key)
            }
            inner.writeField(6, integer: scan.limit)
            inner.writeField(7, integer: scan.isReversed ? 1 : 0)
            TreeHint.writePacked(scan.checkpoint, 8, &inner)
            writer.writeField(3, bytes: inner.bytes)
        }
        return writer.bytes
    }

    private static func writePacked(_ values: [UInt64], _ number: UInt64, _ writer: inout ProtobufWriter) {
        guard !values.isEmpty else { return }
        var packed = ProtobufWriter()
        for value in values { packed.writeInteger(value) }
        writer.writeField(number, bytes: packed.bytes)
    }

    // MARK: Decoding

    /// Reads a message of a peer; named blocks beyond the limit are dropped.
    package init(decoding bytes: [UInt8]) throws(TreeFault) {
        guard bytes.count <= TreeLimits.hintByteCount else { throw .malformed }
        var reader = ProtobufReader(bytes)
        while let (number, content) = try reader.readField() {
            switch number {
            case 1: cache = try TreeHint.readCache(bytes, try content.range)
            case 2: get = try TreeHint.readGet(bytes, try content.range)
            case 3: scan = try TreeHint.readScan(bytes, try content.range)
            default: continue
            }
        }
    }

    private static func readCache(_ bytes: [UInt8], _ range: Range<Int>) throws(TreeFault) -> Cache {
        var start: UInt64?
        var end: UInt64?
        var blocks: [UInt64] = []
        var reader = ProtobufReader(bytes, range)
        while let (number, content) = try reader.readField() {
            switch number {
            case 1: start = try content.number
            case 2: end = try content.number
            case 3: blocks = try readPacked(bytes, try content.range, limit: TreeLimits.hintBlockCount)
            default: continue
            }
        }
        guard let start, let end else { throw .malformed }
        return Cache(start: start, end: end, blocks: blocks)
    }

    private static func readGet(_ bytes: [UInt8], _ range: Range<Int>) throws(TreeFault) -> Get {
        var result = Get(version: 0, key: [])
        var reader = ProtobufReader(bytes, range)
        while let (number, content) = try reader.readField() {
            switch number {
            case 1: result.version = try content.number
            case 2: result.key = try key(bytes, content)
            default: continue
            }
        }
        return result
    }

    private static func readScan(_ bytes: [UInt8], _ range: Range<Int>) throws(TreeFault) -> Scan {
        var scan = Scan(version: 0, range: .all, limit: 0, isReversed: false, checkpoint: [])
        var bounds: (gte: [UInt8]?, gt: [UInt8]?, lte: [UInt8]?, lt: [UInt8]?)
        var reader = ProtobufReader(bytes, range)
        while let (number, content) = try reader.readField() {
            switch number {
            case 1: scan.version = try content.number
            case 2: bounds.gte = try key(bytes, content)
            case 3: bounds.gt = try key(bytes, content)
            case 4: bounds.lte = try key(bytes, content)
            case 5: bounds.lt = try key(bytes, content)
            case 6: scan.limit = try content.number
            case 7: scan.isReversed = try content.number != 0
            case 8:
                scan.checkpoint = try readPacked(bytes, try content.range, limit: 3 * TreeLimits.depth + 1)
                guard scan.checkpoint.count <= 3 * TreeLimits.depth, scan.checkpoint.count.isMultiple(of: 3) else {
                    throw .malformed
                }
            default: continue
            }
        }
        scan.range = KeyRange(gt: bounds.gt, gte: bounds.gte, lt: bounds.lt, lte: bounds.lte)
        return scan
    }

    private static func key(
        _ bytes: [UInt8], _ content: ProtobufReader.Content
    ) throws(TreeFault) -> [UInt8] {
        let range = try content.range
        guard range.count <= TreeLimits.keyByteCount else { throw .keyTooLarge }
        return Array(bytes[range])
    }

    private static func readPacked(
        _ bytes: [UInt8], _ range: Range<Int>, limit: Int
    ) throws(TreeFault) -> [UInt64] {
        var values: [UInt64] = []
        var reader = ProtobufReader(bytes, range)
        while !reader.isAtEnd, values.count < limit { values.append(try reader.readInteger()) }
        return values
    }

    // MARK: Answering

    /// The answers to a peer's question: the local blocks that its lookup or scan visits, in messages of bounded size.
    ///
    /// Stops silently at the first block that is not in `source`.
    package static func answers(
        to hint: TreeHint, length: UInt64, in source: some TreeSource
    ) -> [TreeHint] {
        let visits = TreeVisits(source, limit: TreeLimits.hintAnswerBlockCount)
        do throws(TreeStop) {
            if let get = hint.get, get.version > 0, get.version <= length {
                _ = try TreeLookup.find(get.key, version: get.version, in: visits)
            }
            if let scan = hint.scan, scan.version > 0, scan.version <= length {
                var cursor = TreeCursor(version: scan.version, range: scan.range, isReversed: scan.isReversed)
                try cursor.resume(at: scan.checkpoint, visits)
                var rest = scan.limit == 0 ? UInt64.max : scan.limit
                while rest > 0, !visits.isFull, try cursor.next(visits) != nil { rest -= 1 }
            }
        } catch {
            // What was visited up to here is still of use.
        }
        var result: [TreeHint] = []
        var position = 0
        while position < visits.sequences.count {
            let end = min(visits.sequences.count, position + TreeLimits.hintMessageBlockCount)
            let blocks = Array(visits.sequences[position..<end])
            let (first, last) = (blocks.min() ?? 0, blocks.max() ?? 0)
            result.append(TreeHint(cache: Cache(start: first, end: last + 1, blocks: blocks)))
            position = end
        }
        return result
    }
}
