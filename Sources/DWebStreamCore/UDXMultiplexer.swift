package import DWebBase
import DequeModule
import HeapModule
import OrderedCollections

/// All UDX streams of one instance, over any number of sockets; spec 10 sections 1, 3 and 11.
///
/// A pure machine with one owner, which runs on one loop and does this whenever something happens:
///
/// ```swift
/// // A socket received a batch:
/// for index in multiplexer.handle(batch, on: socket, now: now) { /* batch.entries[index] is a plain datagram */ }
/// // A timer fired:
/// multiplexer.wake(now: now)
/// // Then, in both cases and after any call on a stream:
/// while let (stream, event) = multiplexer.pollEvent() { /* read(), resume a writer, forget a closed stream */ }
/// multiplexer.transmit(now: now) { socket, batch in sockets[socket]!.send(batch) }
/// schedule(at: multiplexer.nextDeadline)   // nil: nothing to wait for
/// ```
///
/// Calls on streams (`write`, `end`, `read`, ...) only queue. Several of them in one turn share packets if the owner
/// calls ``transmit(now:budget:_:)`` once, at the end of the turn. ``transmit(now:budget:_:)`` stops after `budget`
/// packets, so that one turn does not take too long; what is left makes ``nextDeadline`` lie in the past.
/// The firewall closures and `send` run inside these calls and must not call back into the multiplexer.
package final class UDXMultiplexer {
    private struct Socket {
        var family: SocketAddress.Family
        var streamCount = 0
        var isOpen = true
    }

    private struct Wakeup: Comparable {
        let deadline: Int64
        let order: UInt64
        let localID: UInt32

        static func < (left: Wakeup, right: Wakeup) -> Bool {
            (left.deadline, left.order) < (right.deadline, right.order)
        }
    }

    /// What is left of a stream that ended on both sides, to answer a peer that missed the last acknowledgement.
    private struct Tombstone {
        let header: UDXHeader
        let destination: UDXDestination
        let expiry: Int64
    }

    private static let tombstoneLifetime = 20_000 * Int64.millisecond
    private static let packetsPerVisit = 64

    private var sockets: [Socket] = []
    private var streams: [UInt32: UDXStream] = [:]
    private var lastStream: UDXStream?
    private var tombstones: OrderedDictionary<UInt32, Tombstone> = [:]
    private var awaitingTransmission: Deque<UDXStream> = []
    private var eventful: Deque<UDXStream> = []
    private var wakeups = Heap<Wakeup>()
    private var wakeupOrder: UInt64 = 0
    private var output = UDXOutput()
    private var hasOutput = false

    /// A multiplexer without sockets and streams.
    package init() {}

    // MARK: Sockets

    /// Registers a socket that was bound with `family` (of which the size of the largest payload depends).
    package func addSocket(family: SocketAddress.Family) -> SocketID {
        let id = SocketID(index: sockets.count)
        sockets.append(Socket(family: family))
        output.prepare(id)
        return id
    }

    /// The number of open streams that send from `socket`: close it once there is none.
    package func streamCount(on socket: SocketID) -> Int {
        streams.values.count { $0.socket == socket }
    }

    /// Destroys every stream that sends from `socket` and refuses it from now on. Transmit once more before closing it,
    /// so that the peers learn of it.
    package func removeSocket(_ socket: SocketID) {
        guard sockets.indices.contains(socket.index) else { return }
        let affected = streams.values.filter { $0.socket == socket }.sorted { $0.localID < $1.localID }
        for stream in affected { stream.destroy() }
        sockets[socket.index].isOpen = false
    }

    func family(of socket: SocketID) -> SocketAddress.Family? {
        guard sockets.indices.contains(socket.index), sockets[socket.index].isOpen else { return nil }
        return sockets[socket.index].family
    }

    // MARK: Streams

    /// The number of open streams.
    package var streamCount: Int { streams.count }

    /// The open stream with the id, if there is one.
    package func stream(_ localID: UInt32) -> UDXStream? { streams[localID] }

    /// Creates a stream that packets for `localID` reach at once. Ids must be unpredictable.
    ///
    /// - Parameter firewall: Judges packets that arrive on a socket other than the stream's own, and all packets before
    ///   the stream is connected. Rejects everything unless given.
    /// - Throws: ``UDXError/idInUse``.
    package func createStream(
        localID: UInt32, options: UDXStreamOptions = UDXStreamOptions(),
        firewall: @escaping (UDXArrival) -> UDXFirewallDecision = { _ in .reject }
    ) throws(UDXError) -> UDXStream {
        guard streams[localID] == nil else { throw .idInUse }
        let stream = UDXStream(localID: localID, options: options, multiplexer: self, firewall: firewall)
        streams[localID] = stream
        tombstones.removeValue(forKey: localID)
        return stream
    }

    /// The next event of any stream, with the stream.
    package func pollEvent() -> (UDXStream, UDXEvent)? {
        while let stream = eventful.first {
            if let event = stream.machine.pollEvent() { return (stream, event) }
            stream.hasQueuedEvents = false
            eventful.removeFirst()
        }
        return nil
    }

    // MARK: Input

    /// Takes in all datagrams of a batch that `socket` received; returns the indices of those that are no stream
    /// packets.
    package func handle(_ batch: DatagramBatch, on socket: SocketID, now: MonotonicTime) -> [Int] {
        let bytes = batch.bytes
        let entries = batch.entries
        var plain: [Int] = []
        for index in entries.indices where !handle(bytes, entries[index], on: socket, now.nanoseconds) {
            plain.append(index)
        }
        return plain
    }

    /// Takes in one datagram; false if it is no stream packet.
    private func handle(
        _ bytes: [UInt8], _ entry: DatagramBatch.Entry, on socket: SocketID, _ now: Int64
    ) -> Bool {
        let range = entry.range
        guard let header = UDXHeader(bytes, in: range) else { return false }
        let stream: UDXStream
        if let last = lastStream, last.localID == header.streamID {
            stream = last
        } else if let found = streams[header.streamID] {
            stream = found
            lastStream = found
        } else {
            return answerLate(header, now)
        }
        guard !stream.machine.isClosed else { return answerLate(header, now) }
        guard range.count <= UDXLimits.datagramByteCount else { return true }
        if !stream.machine.expects(entry.address, on: socket) {
            guard passesFirewall(stream, entry.address.unmapped, socket) else { return true }
        }
        if let destination = stream.relayDestination {
            forward(header, bytes, entry, from: stream, to: destination, now)
        } else {
            stream.machine.handle(header, in: bytes, range, mark: entry.congestionMark, now: now)
        }
        noteChange(of: stream, now: now)
        return true
    }

    private func passesFirewall(_ stream: UDXStream, _ source: SocketAddress, _ socket: SocketID) -> Bool {
        guard source.port != 0, family(of: socket) != nil else { return false }
        let arrival = UDXArrival(
            localID: stream.localID, socket: socket, source: source, isConnected: stream.isConnected)
        switch stream.firewall(arrival) {
        case .reject:
            return false
        case .accept:
            return true
        case .acceptAndConnect(let remoteID):
            if !stream.isConnected { try? stream.connect(on: socket, remoteID: remoteID, address: source) }
            return true
        case .acceptAndChangeRemote(let remoteID):
            if stream.isConnected {
                try? stream.changeRemote(on: socket, remoteID: remoteID, address: source)
            } else {
                try? stream.connect(on: socket, remoteID: remoteID, address: source)
            }
            return true
        }
    }

    /// Answers the end of a stream that is gone, whose last acknowledgement was lost; spec 10 section 4. Never answers
    /// anything else.
    private func answerLate(_ header: UDXHeader, _ now: Int64) -> Bool {
        guard let tombstone = tombstones[header.streamID] else { return false }
        guard tombstone.expiry > now, sockets[tombstone.destination.socket.index].isOpen else {
            tombstones.removeValue(forKey: header.streamID)
            return false
        }
        guard !header.flags.isDisjoint(with: [.data, .end]),
            header.sequence.precedes(tombstone.header.acknowledgement)
        else { return false }
        output.append(on: tombstone.destination.socket, to: tombstone.destination.address) {
            tombstone.header.append(to: &$0)
        }
        hasOutput = true
        return true
    }

    /// Spec 10 section 11.
    private func forward(
        _ header: UDXHeader, _ bytes: [UInt8], _ entry: DatagramBatch.Entry, from source: UDXStream,
        to destination: UDXStream, _ now: Int64
    ) {
        let range = entry.range
        source.machine.noteRelayed(header, byteCount: range.count, now)
        if let target = destination.machine.destination, family(of: target.socket) != nil {
            var changed = header
            changed.streamID = target.remoteID
            // A mark on the first half of the way is news for the end of the second.
            output.append(on: target.socket, to: target.address, congestionMark: entry.congestionMark) { payload in
                changed.append(to: &payload)
                payload.append(contentsOf: bytes[(range.lowerBound + UDXHeader.byteCount)..<range.upperBound])
            }
            hasOutput = true
        }
        if header.flags.contains(.destroy) { source.machine.close(.reset) }
    }

    // MARK: Time

    /// When ``wake(now:)`` should be called; nil if there is nothing to wait for. It may come early, never late.
    package var nextDeadline: MonotonicTime? {
        if hasOutput || !awaitingTransmission.isEmpty { return .zero }
        return wakeups.min.map { MonotonicTime(nanoseconds: $0.deadline) }
    }

    /// Runs the timers that are due.
    package func wake(now: MonotonicTime) {
        let now = now.nanoseconds
        while let next = wakeups.min, next.deadline <= now {
            wakeups.removeMin()
            guard let stream = streams[next.localID], stream.scheduledDeadline == next.deadline else { continue }
            stream.scheduledDeadline = .max
            if stream.machine.nextDeadline <= now { stream.machine.wake(now: now) }
            noteChange(of: stream, now: now)
        }
        while let (id, tombstone) = tombstones.elements.first, tombstone.expiry <= now {
            tombstones.removeValue(forKey: id)
        }
    }

    private func schedule(_ stream: UDXStream) {
        let deadline = stream.machine.nextDeadline
        // Deadlines mostly move later; the earlier wake-up then finds nothing to do and schedules anew.
        guard deadline < stream.scheduledDeadline else { return }
        stream.scheduledDeadline = deadline
        wakeupOrder += 1
        if wakeups.count > 64 + 4 * streams.count { rebuildWakeups() }
        wakeups.insert(Wakeup(deadline: deadline, order: wakeupOrder, localID: stream.localID))
    }

    private func rebuildWakeups() {
        wakeups = Heap(
            wakeups.unordered.filter { streams[$0.localID]?.scheduledDeadline == $0.deadline })
    }

    // MARK: Output

    /// Builds the packets that may leave now and hands them to `send`, one batch per socket. Batches of a socket that
    /// was
    /// removed come once more, with the last words of its streams.
    package func transmit(
        now: MonotonicTime, budget: Int = 1_024, _ send: (SocketID, DatagramBatch) -> Void
    ) {
        var remaining = budget
        while remaining > 0, let stream = awaitingTransmission.popFirst() {
            stream.isAwaitingTransmission = false
            guard let socket = stream.socket, family(of: socket) != nil || stream.machine.isClosed else { continue }
            let visit = min(remaining, UDXMultiplexer.packetsPerVisit)
            let count = stream.machine.transmit(into: &output, now: now.nanoseconds, budget: visit)
            remaining -= count
            if count >= visit { awaitTransmission(of: stream) }
            if !stream.machine.isClosed { schedule(stream) }
            noteEvents(of: stream)
        }
        hasOutput = false
        output.flush(send)
    }

    private func awaitTransmission(of stream: UDXStream) {
        guard !stream.isAwaitingTransmission else { return }
        stream.isAwaitingTransmission = true
        awaitingTransmission.append(stream)
    }

    private func noteEvents(of stream: UDXStream) {
        guard !stream.hasQueuedEvents, !stream.machine.events.isEmpty else { return }
        stream.hasQueuedEvents = true
        eventful.append(stream)
    }

    /// Queues `stream` for whatever it needs after its machine was called.
    func noteChange(of stream: UDXStream, now: Int64? = nil) {
        noteEvents(of: stream)
        if stream.machine.isClosed {
            forget(stream, now: now)
        } else if stream.machine.nextDeadline < stream.scheduledDeadline {
            schedule(stream)
        }
        if !stream.isAwaitingTransmission, stream.machine.wantsTransmit { awaitTransmission(of: stream) }
    }

    private func forget(_ stream: UDXStream, now: Int64?) {
        guard !stream.isForgotten else { return }
        stream.isForgotten = true
        streams.removeValue(forKey: stream.localID)
        if lastStream === stream { lastStream = nil }
        while let next = wakeups.min, streams[next.localID]?.scheduledDeadline != next.deadline { wakeups.removeMin() }
        if let now, stream.machine.closeReason == .finished, let destination = stream.machine.destination {
            if tombstones.count >= UDXLimits.tombstones { tombstones.removeFirst() }
            tombstones[stream.localID] = Tombstone(
                header: stream.machine.controlHeader([]), destination: destination,
                expiry: now + UDXMultiplexer.tombstoneLifetime)
        }
        for id in stream.relaySourceIDs {
            guard let source = streams[id], source.relayDestination === stream else { continue }
            source.destroy()
        }
        stream.relaySourceIDs = []
        stream.relayDestination = nil
    }
}

extension UDXMachine {
    /// Whether a packet from `source` on `socket` is taken without asking the firewall.
    @inline(__always)
    func expects(_ source: SocketAddress, on socket: SocketID) -> Bool {
        guard let destination, destination.socket == socket else { return false }
        switch options.sourcePolicy {
        case .any: return true
        case .remote:
            let source = source.unmapped
            return destination.address.unmapped == source
                || destinations.contains { $0.socket == socket && $0.address.unmapped == source }
        }
    }

    /// From now on packets only pass through: nothing of the stream's own is outstanding or will be.
    mutating func startRelaying() {
        stopSending()
        remoteAcknowledged = nextSequence
        highestAcknowledged = nextSequence
        tailLossProbe = nil
        isTailLossProbeDue = false
        wantsProbeOfWindow = false
        isEnding = false
        phase = .open
    }

    /// A relay keeps its own number at least at what passes, so that it could end the stream.
    mutating func noteRelayed(_ header: UDXHeader, byteCount: Int, _ now: Int64) {
        if let idleNanoseconds { idleDeadline = now &+ idleNanoseconds }
        statistics.packetsReceived += 1
        statistics.bytesReceived += byteCount
        if nextSequence.precedes(header.sequence) {
            nextSequence = header.sequence
            remoteAcknowledged = header.sequence
            highestAcknowledged = header.sequence
        }
    }
}
