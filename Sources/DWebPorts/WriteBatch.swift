public import DWebBase

/// Changes that happen together or not at all, applied in order.
///
/// Keys and small values lie back to back in one buffer, since a batch may hold thousands of them.
public struct WriteBatch: Sendable {
    /// One change, valid only inside the closure of ``forEach(_:)``.
    public enum Operation {
        /// Sets the value of a key.
        case put(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer)
        /// Removes a key, if present.
        case delete(key: UnsafeRawBufferPointer)
        /// Removes every key with `start <= key < end`.
        case deleteRange(start: UnsafeRawBufferPointer, end: UnsafeRawBufferPointer)
    }

    private enum Kind: UInt8 { case put, putLarge, delete, deleteRange }

    private struct Entry {
        let kind: Kind
        /// Where the second part begins in ``bytes``; it ends where the next entry begins.
        let middle: Int
        /// Where the entry ends in ``bytes``.
        let end: Int
    }

    // Copying a value of this size costs more than keeping a reference to it.
    private static let largeByteCount = 8_192

    private var bytes: [UInt8] = []
    private var entries: [Entry] = []
    private var largeValues: [[UInt8]] = []
    /// The bytes of the values that are kept by reference, each of 8 KiB or more.
    public private(set) var largeByteCount = 0

    /// An empty batch.
    public init() {}

    /// Whether there is no change.
    public var isEmpty: Bool { entries.isEmpty }

    /// The number of changes.
    public var count: Int { entries.count }

    /// The bytes of all keys and values.
    public var byteCount: Int { bytes.count + largeByteCount }

    /// Makes room for `count` further changes with `byteCount` bytes of keys and small values.
    public mutating func reserve(count: Int, byteCount: Int) {
        entries.reserveCapacity(entries.count + count)
        bytes.reserveCapacity(bytes.count + byteCount)
    }

    /// Sets the value of a key.
    public mutating func put(_ key: [UInt8], _ value: [UInt8]) {
        bytes.append(contentsOf: key)
        putValue(value)
    }

    /// Sets the value of the key that `writeKey` writes.
    public mutating func put(key writeKey: (inout OrderedKeyWriter) -> Void, value: [UInt8]) {
        append(writeKey)
        putValue(value)
    }

    /// Sets the value that `writeValue` writes for the key that `writeKey` writes.
    public mutating func put(
        key writeKey: (inout OrderedKeyWriter) -> Void, value writeValue: (inout ByteWriter) -> Void
    ) {
        append(writeKey)
        let middle = bytes.count
        var writer = ByteWriter(appendingTo: takeBytes())
        writeValue(&writer)
        bytes = writer.takeBytes()
        entries.append(Entry(kind: .put, middle: middle, end: bytes.count))
    }

    /// Sets the value of `byteCount` bytes, at first zero, that `fill` writes.
    public mutating func put(_ key: [UInt8], byteCount: Int, fill: (UnsafeMutableRawBufferPointer) -> Void) {
        bytes.append(contentsOf: key)
        let middle = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: byteCount))
        bytes.withUnsafeMutableBytes { fill(UnsafeMutableRawBufferPointer(rebasing: $0[middle...])) }
        entries.append(Entry(kind: .put, middle: middle, end: bytes.count))
    }

    /// Removes a key, if present.
    public mutating func delete(_ key: [UInt8]) {
        bytes.append(contentsOf: key)
        entries.append(Entry(kind: .delete, middle: bytes.count, end: bytes.count))
    }

    /// Removes every key with `start <= key < end`.
    public mutating func deleteRange(_ start: [UInt8], _ end: [UInt8]) {
        bytes.append(contentsOf: start)
        let middle = bytes.count
        bytes.append(contentsOf: end)
        entries.append(Entry(kind: .deleteRange, middle: middle, end: bytes.count))
    }

    /// Appends all changes of `other`.
    public mutating func append(_ other: WriteBatch) {
        let offset = bytes.count
        bytes.append(contentsOf: other.bytes)
        largeValues.append(contentsOf: other.largeValues)
        largeByteCount += other.largeByteCount
        for entry in other.entries {
            entries.append(Entry(kind: entry.kind, middle: entry.middle + offset, end: entry.end + offset))
        }
    }

    /// Calls `body` with every change, in order.
    public func forEach(_ body: (Operation) -> Void) {
        bytes.withUnsafeBytes { raw in
            var start = 0
            var large = 0
            for entry in entries {
                let first = UnsafeRawBufferPointer(rebasing: raw[start..<entry.middle])
                let second = UnsafeRawBufferPointer(rebasing: raw[entry.middle..<entry.end])
                start = entry.end
                switch entry.kind {
                case .put: body(.put(key: first, value: second))
                case .putLarge:
                    largeValues[large].withUnsafeBytes { body(.put(key: first, value: $0)) }
                    large += 1
                case .delete: body(.delete(key: first))
                case .deleteRange: body(.deleteRange(start: first, end: second))
                }
            }
        }
    }

    private mutating func putValue(_ value: [UInt8]) {
        let middle = bytes.count
        if value.count >= WriteBatch.largeByteCount {
            largeValues.append(value)
            largeByteCount += value.count
            entries.append(Entry(kind: .putLarge, middle: middle, end: middle))
        } else {
            bytes.append(contentsOf: value)
            entries.append(Entry(kind: .put, middle: middle, end: bytes.count))
        }
    }

    private mutating func append(_ writeKey: (inout OrderedKeyWriter) -> Void) {
        var writer = OrderedKeyWriter(appendingTo: takeBytes())
        writeKey(&writer)
        bytes = writer.takeBytes()
    }

    // The buffer is moved, not shared, so that writers append in place.
    private mutating func takeBytes() -> [UInt8] {
        var taken: [UInt8] = []
        swap(&taken, &bytes)
        return taken
    }
}
