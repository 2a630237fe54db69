/// Datagrams that cross a port together: their payloads lie back to back in one buffer.
///
/// One type serves both directions. Outgoing, a run of entries with one destination and one size can be handed to the
/// kernel as a single segmented send, without copying. Incoming, a coalesced receive becomes one entry per segment.
public struct DatagramBatch: Sendable {
    /// One datagram's place in the batch.
    public struct Entry: Sendable, Equatable {
        /// Where its payload begins in ``DatagramBatch/bytes``.
        public let offset: Int
        /// The size of its payload in bytes.
        public let byteCount: Int
        /// The destination, or where it came from.
        public let address: SocketAddress
        /// The time to live to send it with; 0 means the socket's own.
        public let timeToLive: UInt8
        /// The congestion mark to send it with, or with which it arrived.
        public let congestionMark: CongestionMark
        /// Whether routers may cut it in pieces on its way; never set on arrival.
        public let isFragmentable: Bool

        /// The payload's range in ``DatagramBatch/bytes``.
        public var range: Range<Int> { offset..<offset + byteCount }
    }

    /// All payloads: back to back, unless the batch was received into a slab.
    public private(set) var bytes: [UInt8] = []
    /// The datagrams, in order.
    public private(set) var entries: [Entry] = []

    /// An empty batch.
    public init() {}

    /// An empty batch with room for `byteCapacity` bytes of payload.
    public init(byteCapacity: Int) { bytes.reserveCapacity(byteCapacity) }

    /// Whether there is no datagram.
    public var isEmpty: Bool { entries.isEmpty }

    /// The number of datagrams.
    public var count: Int { entries.count }

    /// The payload of `entry`, copied.
    public func payload(of entry: Entry) -> [UInt8] { Array(bytes[entry.range]) }

    /// A reader over the payload of `entry`; copies nothing.
    public func reader(of entry: Entry) -> ByteReader { ByteReader(bytes, range: entry.range) }

    /// Appends one datagram.
    public mutating func append(
        _ payload: some Collection<UInt8>, address: SocketAddress, timeToLive: UInt8 = 0,
        congestionMark: CongestionMark = .notCapable, isFragmentable: Bool = false
    ) {
        let offset = bytes.count
        bytes.append(contentsOf: payload)
        entries.append(
            Entry(
                offset: offset, byteCount: bytes.count - offset, address: address, timeToLive: timeToLive,
                congestionMark: congestionMark, isFragmentable: isFragmentable))
    }

    /// Appends one datagram whose payload `build` appends to the batch's bytes.
    public mutating func append(
        address: SocketAddress, timeToLive: UInt8 = 0, congestionMark: CongestionMark = .notCapable,
        isFragmentable: Bool = false, _ build: (inout [UInt8]) -> Void
    ) {
        let offset = bytes.count
        build(&bytes)
        entries.append(
            Entry(
                offset: offset, byteCount: bytes.count - offset, address: address, timeToLive: timeToLive,
                congestionMark: congestionMark, isFragmentable: isFragmentable))
    }

    /// Lets `receive` write datagrams into the first `byteCount` bytes, which need not lie back to back;
    /// ``appendArrival(_:byteCount:address:congestionMark:)`` then says where they are.
    public mutating func withSlab<Result>(
        byteCount: Int, _ receive: (UnsafeMutableRawBufferPointer) -> Result
    ) -> Result {
        if bytes.count < byteCount { bytes += [UInt8](repeating: 0, count: byteCount - bytes.count) }
        return bytes.withUnsafeMutableBytes { receive(UnsafeMutableRawBufferPointer(rebasing: $0[..<byteCount])) }
    }

    /// Adds a datagram that was written into the slab.
    public mutating func appendArrival(
        _ offset: Int, byteCount: Int, address: SocketAddress, congestionMark: CongestionMark
    ) {
        precondition(offset >= 0 && byteCount >= 0 && offset + byteCount <= bytes.count, "a datagram lies in the slab")
        entries.append(
            Entry(
                offset: offset, byteCount: byteCount, address: address, timeToLive: 0, congestionMark: congestionMark,
                isFragmentable: false))
    }

    /// Forgets every datagram and keeps the slab.
    public mutating func removeAllKeepingBytes() { entries.removeAll(keepingCapacity: true) }

    /// Forgets every datagram and keeps the memory.
    public mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        entries.removeAll(keepingCapacity: true)
    }
}
