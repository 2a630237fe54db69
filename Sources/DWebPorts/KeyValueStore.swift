/// How certain a write must be before it is reported done.
public enum Durability: Sendable {
    /// In the operating system's hands: survives the end of the process, not a power failure. The network's default.
    case processCrash
    /// On the medium: survives a power failure; costs a synchronisation of the disk.
    case powerFailure
}

/// The answer of a read that must not wait.
public enum ImmediateRead: Sendable, Equatable {
    /// The key has this value.
    case value([UInt8])
    /// The key is absent.
    case absent
    /// Only a read from the medium can tell.
    case wouldWait
}

/// A key with its value.
public struct KeyValueEntry: Sendable, Equatable {
    /// The key.
    public let key: [UInt8]
    /// The value.
    public let value: [UInt8]

    /// Pairs a key with its value.
    public init(key: [UInt8], value: [UInt8]) {
        self.key = key
        self.value = value
    }
}

/// An ordered map of byte strings that changes atomically: RocksDB, or memory.
///
/// Keys are ordered as unsigned bytes. Calls may come from any task; writes take effect in the order of the calls to
/// ``apply(_:durability:)`` made by one task. After a failed write the store refuses everything until it is reopened.
public protocol KeyValueStore: AnyObject, Sendable {
    /// The value of `key` if it can be had without waiting for the medium. Cheap: call it first.
    func readImmediately(_ key: [UInt8]) throws(PortError) -> ImmediateRead

    /// The values of `keys`, in the order asked, nil where absent, all from one state of the store.
    func read(_ keys: [[UInt8]]) async throws(PortError) -> [[UInt8]?]

    /// The values of the first of `keys`, in the order asked, nil where absent: of all keys, or of so many that their
    /// values have `byteLimit` bytes; of one at least. For values whose size is not known: what is in memory at once is
    /// twice the limit and two values more at most. Cheapest where the keys ascend.
    func read(_ keys: [[UInt8]], byteLimit: Int) async throws(PortError) -> [[UInt8]?]

    /// Up to `limit` entries with `start <= key < end`, ascending, or descending if `isReversed`.
    func entries(
        from start: [UInt8], to end: [UInt8], limit: Int, isReversed: Bool
    ) async throws(PortError) -> [KeyValueEntry]

    /// Up to `limit` entries with `start <= key < end`, ascending, and no more after the one whose value brings their bytes
    /// to `byteLimit`, if having them now is quicker than waiting for another thread; nil otherwise.
    func entriesImmediately(
        from start: [UInt8], to end: [UInt8], limit: Int, byteLimit: Int
    ) throws(PortError) -> [KeyValueEntry]?

    /// Makes all changes of `batch` or none.
    func apply(_ batch: WriteBatch, durability: Durability) async throws(PortError)

    /// A view that keeps showing this moment's state. Close it: it holds back the reuse of space.
    func snapshot() throws(PortError) -> any KeyValueSnapshot

    /// An estimate of the bytes that the keys in `start..<end` take on the medium.
    func approximateByteCount(from start: [UInt8], to end: [UInt8]) async throws(PortError) -> UInt64

    /// Rewrites the range so that deleted bytes are given back.
    func compact(from start: [UInt8], to end: [UInt8]) async throws(PortError)

    /// Whether the newest writes of an earlier run were given up so that the store opens at all; see
    /// ``acknowledgeLoss()``.
    var hasLostWrites: Bool { get }

    /// Says that whoever depends on the lost writes knows: they are not reported again.
    func acknowledgeLoss() async throws(PortError)

    /// Flushes and releases the store and its lock. Callable more than once.
    func close() async
}

extension KeyValueStore {
    /// False: a store that loses nothing.
    public var hasLostWrites: Bool { false }

    /// Nothing to acknowledge.
    public func acknowledgeLoss() async throws(PortError) {}

    /// Nothing: every scan goes to another thread.
    public func entriesImmediately(
        from start: [UInt8], to end: [UInt8], limit: Int, byteLimit: Int
    ) throws(PortError) -> [KeyValueEntry]? {
        nil
    }
}

/// A store as it was at one moment.
public protocol KeyValueSnapshot: AnyObject, Sendable {
    /// The value of `key` at that moment if it can be had without waiting for the medium.
    func readImmediately(_ key: [UInt8]) throws(PortError) -> ImmediateRead

    /// The values of `keys` at that moment.
    func read(_ keys: [[UInt8]]) async throws(PortError) -> [[UInt8]?]

    /// Up to `limit` entries at that moment with `start <= key < end`.
    func entries(
        from start: [UInt8], to end: [UInt8], limit: Int, isReversed: Bool
    ) async throws(PortError) -> [KeyValueEntry]

    /// Releases the view. Callable more than once.
    func close()
}

/// How to open a store.
public struct StorageOptions: Sendable {
    /// Whether every write is refused. A read-only store takes no lock.
    public var isReadOnly = false
    /// Whether a missing directory is created.
    public var createIfMissing = true
    /// Whether a copied store may be opened: skips the device check of spec 40 section 12.
    public var allowsCopy = false

    /// The defaults: writable, created if missing, copies refused.
    public init() {}
}

/// Where stores come from: directories, or memory.
public protocol StorageProvider: Sendable {
    /// Opens the store at `path`.
    ///
    /// - Throws: ``PortError`` with code `locked` (the detail names the holder), `unsupportedFormat`, `corrupted`,
    ///   `permissionDenied`, `noSpace`, `notFound` or `failed`.
    func open(_ path: String, options: StorageOptions) async throws(PortError) -> any KeyValueStore
}
