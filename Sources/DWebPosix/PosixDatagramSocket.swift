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

/// A UDP socket: its channel says when something can be received, direct system calls do the rest, many datagrams each.
///
/// A batch leaves as runs: datagrams of one size to one destination, which the kernel splits where it can; several runs
/// share one system call where there is one for that. Sending happens on the loop only, so its state needs no lock of
/// its own; the mutex states that to the compiler.
final class PosixDatagramSocket: DatagramSocket {
    let localAddress: DWebBase.SocketAddress
    private let channel: any Channel
    private let descriptor: NIOBSDSocket.Handle
    private let isIPv6: Bool

    private struct SendState {
        var canSegment: Bool
        /// Reused from batch to batch.
        var runs: [dweb_run] = []
        /// The index of the first entry of each run, and one past the last entry.
        var starts: [Int] = []
        /// What the kernel had no room for, oldest first.
        var waiting = DatagramBatch()
        var isRetryScheduled = false
        var isClosed = false
    }

    private let state: Mutex<SendState>
    // The kernel splits at most 64 segments per send, and a UDP payload is at most 65,507 bytes.
    private static let segmentCountLimit = 64
    private static let sendByteLimit = 65_507
    // What waits beyond this is dropped, as a full queue on the path would.
    private static let waitingByteLimit = 4 << 20
    // A full queue of a fast device empties within this; there is no event for it.
    private static let retryDelay = TimeAmount.microseconds(500)

    init(channel: any Channel, descriptor: NIOBSDSocket.Handle, options: DatagramSocketOptions) throws {
        self.channel = channel
        self.descriptor = descriptor
        guard let local = channel.localAddress.flatMap({ DWebBase.SocketAddress($0) }) else {
            throw PortError(.failed, "The socket has no address")
        }
        localAddress = local
        isIPv6 = options.address.family == .ipv6
        state = Mutex(SendState(canSegment: dweb_datagram_can_segment(descriptor) != 0))
    }

    func send(_ batch: DatagramBatch) {
        state.withLock { state in
            guard !state.isClosed else { return }
            let sentCount = state.isRetryScheduled ? 0 : transmit(batch, &state)
            if sentCount < batch.count { keep(batch, from: sentCount, &state) }
        }
    }

    /// Becomes a member of a multicast group.
    ///
    /// - Throws: ``PortError`` with code `unsupported`, as where the interface has no multicast.
    func join(_ options: MulticastOptions) throws(PortError) {
        let result =
            isIPv6
            ? dweb_multicast_join6(
                descriptor, options.group.hostBytes, dweb_interface_index(options.interface.name))
            : dweb_multicast_join(descriptor, options.group.hostBytes, options.interface.address.hostBytes)
        guard result == 0 else {
            let reason = String(cString: strerror(errno))
            throw PortError(
                .unsupported, "The group \(options.group.host) cannot be joined on \(options.interface.name): \(reason)"
            )
        }
    }

    func close() {
        let wasClosed = state.withLock { state in
            defer {
                state.isClosed = true
                state.waiting = DatagramBatch()
            }
            return state.isClosed
        }
        if !wasClosed { channel.close(promise: nil) }
    }

    /// Sends entries until one finds no room; returns the index of that one, or the batch's count.
    private func transmit(_ batch: DatagramBatch, _ state: inout SendState) -> Int {
        batch.bytes.withUnsafeBytes { bytes in
            prepareRuns(batch.entries, bytes, &state)
            var next = 0
            while next < state.runs.count {
                next += state.runs[next...].withUnsafeBufferPointer {
                    dweb_datagram_send(descriptor, $0.baseAddress, $0.count)
                }
                guard next < state.runs.count else { break }
                let failure = errno
                if Self.meansNoRoom(failure) { return state.starts[next] }
                if state.runs[next].segment > 0 {
                    let start = state.starts[next]
                    let end = state.starts[next + 1]
                    let sentCount = sendSingly(batch.entries[start..<end], bytes, failure, &state)
                    if sentCount < end - start { return start + sentCount }
                }
                // Any other error loses the datagram, which is what the network may do too; spec 10 section 3.
                next += 1
            }
            return batch.count
        }
    }

    private static func meansNoRoom(_ code: Int32) -> Bool {
        code == EAGAIN || code == EWOULDBLOCK || code == ENOBUFS
    }

    /// Sends the datagrams of a run that the kernel would not split; returns how many it had room for.
    private func sendSingly(
        _ entries: ArraySlice<DatagramBatch.Entry>, _ bytes: UnsafeRawBufferPointer, _ failure: Int32,
        _ state: inout SendState
    ) -> Int {
        var deliveredCount = 0
        for (index, entry) in entries.enumerated() {
            var run = makeRun(entry, bytes, length: entry.byteCount, segment: 0)
            if dweb_datagram_send(descriptor, &run, 1) == 1 {
                deliveredCount += 1
            } else if Self.meansNoRoom(errno) {
                return index
            }
        }
        // Too large a datagram is refused either way. If only the split form failed, this path or kernel cannot do it.
        if deliveredCount == entries.count, failure == EIO || failure == EINVAL || failure == EOPNOTSUPP {
            state.canSegment = false
        }
        return entries.count
    }

    private func prepareRuns(
        _ entries: [DatagramBatch.Entry], _ bytes: UnsafeRawBufferPointer, _ state: inout SendState
    ) {
        state.runs.removeAll(keepingCapacity: true)
        state.starts.removeAll(keepingCapacity: true)
        var index = 0
        while index < entries.count {
            let first = entries[index]
            let end = state.canSegment ? endOfRun(entries, from: index) : index + 1
            let last = entries[end - 1]
            let segment = end - index > 1 ? UInt16(clamping: first.byteCount) : 0
            state.starts.append(index)
            state.runs.append(
                makeRun(first, bytes, length: last.offset + last.byteCount - first.offset, segment: segment))
            index = end
        }
        state.starts.append(index)
    }

    private func makeRun(
        _ entry: DatagramBatch.Entry, _ bytes: UnsafeRawBufferPointer, length: Int, segment: UInt16
    ) -> dweb_run {
        dweb_run(
            address: entry.address.systemAddress(isIPv6Socket: isIPv6),
            bytes: bytes.baseAddress.map { $0 + entry.offset }, length: UInt32(clamping: length), segment: segment,
            time_to_live: entry.timeToLive, congestion_mark: entry.congestionMark.rawValue,
            is_fragmentable: entry.isFragmentable ? 1 : 0)
    }

    /// The end of the run that one segmented send can carry: one destination, one size, the last possibly shorter.
    private func endOfRun(_ entries: [DatagramBatch.Entry], from start: Int) -> Int {
        let first = entries[start]
        var end = start + 1
        var byteCount = first.byteCount
        guard first.byteCount > 0, first.timeToLive == 0, !first.isFragmentable else { return end }
        while end < entries.count, end - start < PosixDatagramSocket.segmentCountLimit {
            let entry = entries[end]
            guard entry.byteCount > 0, entry.byteCount <= first.byteCount, entry.timeToLive == 0,
                entry.congestionMark == first.congestionMark, !entry.isFragmentable,
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
            guard state.waiting.bytes.count + entry.byteCount <= PosixDatagramSocket.waitingByteLimit else { break }
            state.waiting.append(
                batch.bytes[entry.range], address: entry.address, timeToLive: entry.timeToLive,
                congestionMark: entry.congestionMark, isFragmentable: entry.isFragmentable)
        }
        guard !state.isRetryScheduled else { return }
        state.isRetryScheduled = true
        channel.eventLoop.scheduleTask(in: PosixDatagramSocket.retryDelay) { self.retry() }
    }

    private func retry() {
        state.withLock { state in
            state.isRetryScheduled = false
            guard !state.isClosed else { return }
            var waiting = DatagramBatch()
            swap(&waiting, &state.waiting)
            let sentCount = transmit(waiting, &state)
            if sentCount < waiting.count { keep(waiting, from: sentCount, &state) }
        }
    }
}
