import CDatagram
import DWebBase
import DWebPorts
import NIOCore
import Synchronization

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A UDP socket: receives through its channel, sends by direct system calls, segmented where the kernel can.
///
/// Sending happens on the loop only, so its state needs no lock of its own; the mutex states that to the compiler.
final class PosixDatagramSocket: DatagramSocket {
    let localAddress: DWebBase.SocketAddress
    private let channel: any Channel
    private let descriptor: NIOBSDSocket.Handle
    private let isIPv6: Bool

    private struct SendState {
        var canSegment = dweb_datagram_can_segment() != 0
        /// What the kernel had no room for, oldest first.
        var waiting = DatagramBatch()
        var waitingIndex = 0
        var isWaiting = false
        var isClosed = false
    }

    private let state = Mutex(SendState())
    // The kernel splits at most 64 segments per send, and a UDP payload is at most 65,507 bytes.
    private static let segmentCountLimit = 64
    private static let sendByteLimit = 65_507
    // What waits beyond this is dropped, as a full queue on the path would.
    private static let waitingByteLimit = 4 << 20

    init(channel: any Channel, options: DatagramSocketOptions) throws {
        self.channel = channel
        guard let local = channel.localAddress.flatMap({ DWebBase.SocketAddress($0) }) else {
            throw PortError(.failed, "The socket has no address")
        }
        localAddress = local
        isIPv6 = options.address.family == .ipv6
        let handle = try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
            $0
        }
        guard let handle else { throw PortError(.failed, "The socket has no descriptor") }
        descriptor = handle
        dweb_datagram_configure(
            handle, isIPv6 ? AF_INET6 : AF_INET, Int32(clamping: options.receiveBufferByteCount),
            Int32(clamping: options.sendBufferByteCount))
    }

    func send(_ batch: DatagramBatch) {
        state.withLock { state in
            guard !state.isClosed else { return }
            if state.isWaiting {
                keep(batch, from: 0, &state)
                return
            }
            let sentCount = transmit(batch, from: 0, &state)
            if sentCount < batch.count { keep(batch, from: sentCount, &state) }
        }
        waitForRoomIfNeeded()
    }

    func close() {
        let wasClosed = state.withLock { state in
            defer {
                state.isClosed = true
                state.waiting.removeAll()
            }
            return state.isClosed
        }
        if !wasClosed { channel.close(promise: nil) }
    }

    /// Sends entries from `start` on until one finds no room; returns the index of that one, or the batch's count.
    private func transmit(_ batch: DatagramBatch, from start: Int, _ state: inout SendState) -> Int {
        batch.bytes.withUnsafeBytes { bytes in
            var index = start
            while index < batch.count {
                let first = batch.entries[index]
                let runEnd = state.canSegment ? endOfRun(batch.entries, from: index) : index + 1
                let last = batch.entries[runEnd - 1]
                let length = last.offset + last.byteCount - first.offset
                let result = dweb_datagram_send(
                    descriptor, first.address.systemAddress(isIPv6Socket: isIPv6),
                    bytes.baseAddress.map { $0 + first.offset }, length,
                    runEnd - index > 1 ? UInt16(clamping: first.byteCount) : 0, Int32(first.timeToLive))
                if result < 0 {
                    if errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS { return index }
                    if runEnd - index > 1, errno == EIO || errno == EINVAL || errno == EOPNOTSUPP || errno == EMSGSIZE {
                        // This path or kernel cannot segment: the same datagrams go one by one from now on.
                        state.canSegment = errno == EMSGSIZE
                        let single = sendSingly(batch, bytes, index..<runEnd)
                        if single < runEnd { return single }
                    }
                    // Any other error loses the datagram, which is what the network may do too; spec 10 section 3.
                }
                index = runEnd
            }
            return index
        }
    }

    private func sendSingly(_ batch: DatagramBatch, _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Int {
        for index in range {
            let entry = batch.entries[index]
            let result = dweb_datagram_send(
                descriptor, entry.address.systemAddress(isIPv6Socket: isIPv6),
                bytes.baseAddress.map { $0 + entry.offset }, entry.byteCount, 0, Int32(entry.timeToLive))
            if result < 0, errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS { return index }
        }
        return range.upperBound
    }

    /// The end of the run that one segmented send can carry: one destination, one size, the last possibly shorter.
    private func endOfRun(_ entries: [DatagramBatch.Entry], from start: Int) -> Int {
        let first = entries[start]
        var end = start + 1
        var byteCount = first.byteCount
        guard first.byteCount > 0, first.timeToLive == 0 else { return end }
        while end < entries.count, end - start < PosixDatagramSocket.segmentCountLimit {
            let entry = entries[end]
            guard entry.byteCount > 0, entry.byteCount <= first.byteCount, entry.timeToLive == 0,
                entry.address == first.address, byteCount + entry.byteCount <= PosixDatagramSocket.sendByteLimit
            else { break }
            byteCount += entry.byteCount
            end += 1
            if entry.byteCount < first.byteCount { break }
        }
        return end
    }

    private func keep(_ batch: DatagramBatch, from start: Int, _ state: inout SendState) {
        for entry in batch.entries[start...] {
            guard state.waiting.bytes.count + entry.byteCount <= PosixDatagramSocket.waitingByteLimit else { return }
            state.waiting.append(batch.bytes[entry.range], address: entry.address, timeToLive: entry.timeToLive)
        }
    }

    /// Lets the channel send the oldest waiting datagram: its promise says when the kernel has room again.
    private func waitForRoomIfNeeded() {
        let next: AddressedEnvelope<ByteBuffer>? = state.withLock { state in
            guard !state.isWaiting, !state.isClosed else { return nil }
            while state.waitingIndex < state.waiting.count {
                let entry = state.waiting.entries[state.waitingIndex]
                state.waitingIndex += 1
                guard let remote = try? NIOCore.SocketAddress(entry.address) else { continue }
                state.isWaiting = true
                return AddressedEnvelope(
                    remoteAddress: remote, data: ByteBuffer(bytes: state.waiting.bytes[entry.range]))
            }
            return nil
        }
        guard let next else { return }
        channel.writeAndFlush(next).whenComplete { [self] _ in
            state.withLock { state in
                state.isWaiting = false
                let waiting = state.waiting
                let sentCount = transmit(waiting, from: state.waitingIndex, &state)
                if sentCount == waiting.count {
                    state.waiting.removeAll()
                    state.waitingIndex = 0
                } else {
                    state.waitingIndex = sentCount
                }
            }
            waitForRoomIfNeeded()
        }
    }
}
