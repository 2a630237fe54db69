import DWebBase
import NIOCore

/// Gathers the datagrams of one read turn into one batch and hands it on; a coalesced receive is split again.
final class DatagramReceiver: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let receive: @Sendable (DatagramBatch) -> Void
    private var batch = DatagramBatch()
    // A batch is handed on before it grows past this, so that one busy turn does not hold much memory.
    private static let batchByteLimit = 1 << 20

    init(receive: @escaping @Sendable (DatagramBatch) -> Void) { self.receive = receive }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        guard let source = DWebBase.SocketAddress(envelope.remoteAddress) else { return }
        let segment = envelope.metadata?.segmentSize ?? 0
        envelope.data.withUnsafeReadableBytes { bytes in
            var offset = 0
            repeat {
                let count = segment > 0 ? min(segment, bytes.count - offset) : bytes.count
                batch.append(UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count]), address: source)
                offset += count
            } while offset < bytes.count
        }
        if batch.bytes.count >= DatagramReceiver.batchByteLimit { flush() }
    }

    func channelReadComplete(context: ChannelHandlerContext) { flush() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A receive error on UDP reports an earlier send (port unreachable); the socket stays usable.
    }

    private func flush() {
        guard !batch.isEmpty else { return }
        let full = batch
        batch = DatagramBatch()
        receive(full)
    }
}
