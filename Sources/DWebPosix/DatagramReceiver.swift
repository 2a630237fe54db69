import CDatagram
import DWebBase
import NIOCore

/// Hands on what a socket receives, in batches.
///
/// The channel reads the first datagram of a turn, which is how it says that there is something; the rest comes by direct
/// system calls, several datagrams each, into memory that is used again and again. Once a stream fills a socket, it lets the
/// kernel merge datagrams; what it merged is split again.
final class DatagramReceiver: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    // Most datagrams come alone or as a merged run of up to 64 KiB; either takes one slot.
    static let slotByteCount = 65_536
    static let slotCount = 4
    // A busy socket lets others have their turn after this many batches.
    private static let batchesPerTurn = 8

    // A stream's full packets have more than this: spec 10 section 2.
    private static let bulkByteCount = 1_000

    private let receive: @Sendable (DatagramBatch) -> Void
    private var descriptor: NIOBSDSocket.Handle?
    private var first = DatagramBatch()
    private let scratch: ReceiveScratch
    private var lastSystemAddress = dweb_address()
    private var lastAddress: DWebBase.SocketAddress?
    private var isMerging = false

    init(scratch: ReceiveScratch, receive: @escaping @Sendable (DatagramBatch) -> Void) {
        self.scratch = scratch
        self.receive = receive
    }

    /// Begins to receive directly from `descriptor`.
    func start(_ descriptor: NIOBSDSocket.Handle) { self.descriptor = descriptor }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        guard let source = DWebBase.SocketAddress(envelope.remoteAddress) else { return }
        let segment = envelope.metadata?.segmentSize ?? 0
        let mark = envelope.metadata.map { CongestionMark($0.ecnState) } ?? .notCapable
        envelope.data.withUnsafeReadableBytes { bytes in
            var offset = 0
            repeat {
                let count = segment > 0 ? min(segment, bytes.count - offset) : bytes.count
                first.append(
                    UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count]), address: source,
                    congestionMark: mark)
                offset += count
            } while offset < bytes.count
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if !first.isEmpty {
            receive(first)
            first.removeAll()
        }
        guard let descriptor else { return }
        for _ in 0..<DatagramReceiver.batchesPerTurn where context.channel.isActive {
            let count = receiveBatch(descriptor)
            if !scratch.batch.isEmpty {
                receive(scratch.batch)
                scratch.batch.removeAllKeepingBytes()
            }
            if count < DatagramReceiver.slotCount { break }
            if !isMerging, hasReceivedInBulk { beginMerging(context.channel, descriptor) }
        }
    }

    /// Whether the last batch is that of a stream that sends as fast as it can. Many small datagrams at a time, as the
    /// DHT's nodes get them, come from everywhere and are never merged.
    private var hasReceivedInBulk: Bool {
        scratch.arrivals.allSatisfy { $0.length >= DatagramReceiver.bulkByteCount }
    }

    /// From now on one receive may hold many datagrams, also the channel's own.
    private func beginMerging(_ channel: any Channel, _ descriptor: NIOBSDSocket.Handle) {
        isMerging = true
        // The large buffer first, or the first merged receive would be cut.
        let allocator = FixedSizeRecvByteBufferAllocator(capacity: DatagramReceiver.slotByteCount)
        guard let options = channel.syncOptions, (try? options.setOption(.recvAllocator, value: allocator)) != nil
        else { return }
        // Without it, datagrams come one by one, which is only slower.
        _ = dweb_datagram_merge(descriptor)
    }

    func channelInactive(context: ChannelHandlerContext) { descriptor = nil }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A receive error on UDP reports an earlier send (port unreachable); the socket stays usable.
    }

    /// Fills the batch with what waits; returns how many slots were used.
    private func receiveBatch(_ descriptor: NIOBSDSocket.Handle) -> Int {
        let slotByteCount = DatagramReceiver.slotByteCount
        let count = scratch.batch.withSlab(byteCount: slotByteCount * DatagramReceiver.slotCount) { slab in
            Int(
                dweb_datagram_receive(
                    descriptor, slab.baseAddress, slotByteCount, scratch.arrivals.count, &scratch.arrivals))
        }
        guard count > 0 else { return 0 }
        for index in 0..<count {
            let arrival = scratch.arrivals[index]
            // A datagram longer than its slot is not whole; spec 10 section 12.
            guard arrival.is_truncated == 0, let source = address(arrival.source) else { continue }
            let mark = CongestionMark(rawValue: arrival.congestion_mark) ?? .notCapable
            let length = Int(arrival.length)
            let segment = arrival.segment > 0 ? Int(arrival.segment) : max(1, length)
            var offset = 0
            repeat {
                scratch.batch.appendArrival(
                    index * slotByteCount + offset, byteCount: min(segment, length - offset), address: source,
                    congestionMark: mark)
                offset += segment
            } while offset < length
        }
        return count
    }

    /// Most datagrams come from where the one before came from.
    private func address(_ systemAddress: dweb_address) -> DWebBase.SocketAddress? {
        if let lastAddress, lastSystemAddress.isSame(as: systemAddress) { return lastAddress }
        lastSystemAddress = systemAddress
        lastAddress = DWebBase.SocketAddress(systemAddress)
        return lastAddress
    }
}

/// The memory that all sockets of one loop receive into, one after the other: a quarter of a megabyte, which a process
/// with hundreds of sockets should not have for each. On a loop, one receive ends before the next begins.
final class ReceiveScratch {
    var batch = DatagramBatch()
    var arrivals = [dweb_arrival](repeating: dweb_arrival(), count: DatagramReceiver.slotCount)
}

extension CongestionMark {
    init(_ state: NIOExplicitCongestionNotificationState) {
        switch state {
        case .transportNotCapable: self = .notCapable
        case .transportCapableFlag0: self = .capable
        case .transportCapableFlag1: self = .capableLowLatency
        case .congestionExperienced: self = .experienced
        }
    }
}
