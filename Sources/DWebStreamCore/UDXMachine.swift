import DWebBase
import DequeModule

/// Where a stream sends its packets.
struct UDXDestination: Equatable {
    var socket: SocketID
    var address: SocketAddress
    var remoteID: UInt32
    /// IP, UDP and UDX headers together; spec 10 section 2.
    var overhead: Int
}

/// The protocol of one stream without sockets or clocks; spec 10 sections 4 to 10. Times are nanoseconds.
///
/// A map: this file has the state and what the application calls; `UDXMachine+Receive` takes in packets,
/// `UDXMachine+Acknowledge` works through acknowledgements, `UDXMachine+Loss` finds losses and runs timers,
/// `UDXMachine+Transmit` builds packets. It never sends by itself: whatever is due leaves with the next
/// ``transmit(into:now:budget:)``, which ends the turn.
struct UDXMachine: ~Copyable {
    /// What the stream's one timer waits for; spec 10 section 8.
    enum Timer {
        case none
        case retransmission
        case reordering
        case tailLoss
        case zeroWindow
        case keepAlive
    }

    /// A packet without a sequence number that waits to leave.
    struct ControlPacket {
        var header: UDXHeader
        var blocks: [SACKBlock] = []
        var payload: [UInt8] = []
    }

    let options: UDXStreamOptions

    // Lifecycle.
    var destination: UDXDestination?
    var isEnding = false
    var isEndSent = false
    var isEndAcknowledged = false
    var remoteEndSequence: UInt32?
    var isRemoteEnded = false
    var closeReason: UDXCloseReason?

    // Receiving.
    var receiving: ReceiveBuffer
    var window: ReceiveWindow
    var isAcknowledgementDue = false
    var inOrderSinceAcknowledgement = 0
    var announcedWindow: Int

    // Sending.
    var writing = WriteQueue()
    var packets = SentPackets()
    var nextSequence: UInt32
    var remoteAcknowledged: UInt32
    var highestAcknowledged: UInt32
    var destinations: [UDXDestination] = []
    var destinationIndex = 0
    var peerWindow = 4 << 20
    var windowUpdateSequence: UInt32
    var windowUpdateAcknowledgement: UInt32
    var isWriterBlocked = false
    var controls: Deque<ControlPacket> = []
    var queuedMessageCount = 0
    var remoteChangeSequence: UInt32?
    var wantsProbeOfWindow = false

    // Loss recovery.
    var phase = RecoveryPhase.open
    var recoverySequence: UInt32 = 0
    var selectivelyAcknowledgedCount = 0
    var selectivelyAcknowledgedByteCount = 0
    /// Whether the peer's last report may have left out what lies beyond its last block.
    var isReportCutShort = false
    var roundTrip = RoundTripEstimator()
    var rackTime: Int64 = -1
    var rackRoundTripTime: Int64 = 0
    var isReorderingSeen = false
    var lastTimeSent: Int64 = -1
    var isTailLossProbePermitted = false
    var isTailLossProbeDue = false
    var tailLossProbe: (endMark: UInt32, isNewData: Bool)?
    var timer = Timer.none
    var timerDeadline = Int64.max
    var retransmissionDue = Int64.max

    // Rate.
    let congestion: any CongestionController
    var congestionWindow: Int
    var rate = DeliveryRate()
    var dataPacketsSent = 0
    var pacer = Pacer()
    var paceDeadline = Int64.max
    var mtu: PathMTUSearch

    // Towards the owner.
    var events: Deque<UDXEvent> = []
    var isReadableReported = false
    var messageEventCount = 0
    var statistics = UDXStatistics()
    let keepAliveNanoseconds: Int64?
    let idleNanoseconds: Int64?
    var idleDeadline = Int64.max
    var notification: CongestionNotification

    init(options: UDXStreamOptions) {
        self.options = options
        receiving = ReceiveBuffer(nextSequence: options.initialAcknowledgement)
        window = ReceiveWindow(
            initial: options.initialReceiveWindowByteCount, maximum: options.receiveWindowByteCount)
        announcedWindow = window.byteCount
        nextSequence = options.initialSequence
        remoteAcknowledged = options.initialSequence
        highestAcknowledged = options.initialSequence
        windowUpdateSequence = options.initialAcknowledgement
        windowUpdateAcknowledgement = options.initialSequence
        switch options.congestion {
        case .bbr: congestion = BBRController(phaseSeed: options.phaseSeed)
        case .cubic: congestion = CubicController()
        }
        congestionWindow = congestion.congestionWindow
        mtu = PathMTUSearch(linkMTU: options.linkMTU)
        keepAliveNanoseconds = options.keepAliveInterval.map { max(1, $0.wholeNanoseconds) }
        idleNanoseconds = options.idleTimeout.map { max(1, $0.wholeNanoseconds) }
        notification = CongestionNotification(isEnabled: options.isECNEnabled)
    }

    // MARK: State

    var isClosed: Bool { closeReason != nil }

    /// Whether numbers are outstanding.
    var isOutstanding: Bool { remoteAcknowledged != nextSequence }

    /// The payload of a full packet.
    var payloadByteCount: Int { mtu.mtu - (destination?.overhead ?? 48) }

    /// Whether data or an end waits to be sent.
    var hasUnsent: Bool { writing.unsentCount > 0 || (isEnding && !isEndSent) }

    /// The window to announce: 0 or enough for a full packet; spec 10 section 5.4.
    var receiveWindow: Int {
        let free = window.byteCount - receiving.unreadCount
        return free < 1_500 ? 0 : free
    }

    /// The most bytes that may be unread, and that may wait out of order: what was announced, and room for probes and
    /// for what was under way.
    var receiveLimit: Int { window.byteCount + UDXLimits.byteCountBeyondWindow }

    /// When ``wake(now:)`` has something to do.
    var nextDeadline: Int64 { min(timerDeadline, paceDeadline, idleDeadline) }

    /// Whether ``transmit(into:now:budget:)`` could have something to do before the next deadline.
    var wantsTransmit: Bool {
        guard destination != nil else { return false }
        if isAcknowledgementDue || !controls.isEmpty { return true }
        guard closeReason == nil else { return false }
        if keepAliveNanoseconds != nil, timer == .none { return true }
        if idleNanoseconds != nil, idleDeadline == .max { return true }
        return isTailLossProbeDue || wantsProbeOfWindow || !packets.lost.isEmpty || hasUnsent
    }

    var context: CongestionContext {
        CongestionContext(
            now: 0, inFlight: packets.inFlight.count, delivered: rate.delivered, sent: dataPacketsSent,
            deliveredTime: rate.deliveredTime,
            smoothedRoundTripTime: roundTrip.smoothed, payloadByteCount: payloadByteCount,
            isAppLimited: rate.isAppLimited, phase: phase)
    }

    func context(at now: Int64) -> CongestionContext {
        var result = context
        result.now = now
        return result
    }

    // MARK: What the application calls

    mutating func connect(_ destination: UDXDestination) {
        self.destination = destination
        destinations = [destination]
        deliverEndIfReached()
    }

    mutating func changeRemote(_ destination: UDXDestination) {
        let isSame = self.destination == destination
        self.destination = destination
        if !isSame {
            mtu.reset()
            notification = CongestionNotification(isEnabled: options.isECNEnabled)
        }
        guard isOutstanding else {
            destinations = [destination]
            destinationIndex = 0
            remoteChangeSequence = nil
            events.append(.remoteChanged)
            return
        }
        remoteChangeSequence = nextSequence
        if let index = destinations.firstIndex(of: destination) {
            destinationIndex = index
        } else if destinations.count < UDXLimits.destinations {
            destinations.append(destination)
            destinationIndex = destinations.count - 1
        } else {
            // A peer that wanders without acknowledging: what the last stop has not answered goes to the new one.
            destinations[destinationIndex] = destination
        }
    }

    /// Packets name their destination by its index, so each index now leads to the current one.
    mutating func forgetFormerRemotes() {
        guard let destination else { return }
        for index in destinations.indices { destinations[index] = destination }
    }

    /// Queues bytes; false if the writer should wait for ``UDXEvent/drained``.
    mutating func write(_ bytes: [UInt8]) -> Bool {
        let wasIdle = !isOutstanding && !hasUnsent
        writing.append(bytes)
        if wasIdle, peerWindow == 0, !bytes.isEmpty { wantsProbeOfWindow = true }
        isWriterBlocked = isAboveWriteLimit
        return !isWriterBlocked
    }

    /// What was acknowledged selectively does not count: a hole would otherwise starve the sender.
    var isAboveWriteLimit: Bool {
        writing.unacknowledgedCount - selectivelyAcknowledgedByteCount
            > 262_144 + min(congestionWindow * payloadByteCount, peerWindow)
    }

    mutating func sendMessage(_ payload: [UInt8]) {
        controls.append(ControlPacket(header: controlHeader(.message), payload: payload))
        queuedMessageCount += 1
    }

    mutating func read() -> [UInt8] {
        isReadableReported = false
        let bytes = receiving.read()
        // The peer learns at once that a window which was nearly used up has opened again.
        let half = window.byteCount / 2
        if announcedWindow < half, receiveWindow >= half, destination != nil, closeReason == nil {
            isAcknowledgementDue = true
        }
        return bytes
    }

    mutating func destroy(_ reason: UDXCloseReason = .destroyed) {
        guard closeReason == nil else { return }
        if destination != nil { controls.append(ControlPacket(header: controlHeader(.destroy))) }
        close(reason)
    }

    mutating func close(_ reason: UDXCloseReason) {
        guard closeReason == nil else { return }
        closeReason = reason
        stopSending()
        receiving.discardWaiting()
        idleDeadline = .max
        events.append(.closed(reason))
    }

    /// Forgets everything that was to be sent.
    mutating func stopSending() {
        writing.removeAll()
        packets.removeAll()
        selectivelyAcknowledgedCount = 0
        selectivelyAcknowledgedByteCount = 0
        timer = .none
        timerDeadline = .max
        paceDeadline = .max
    }

    mutating func pollEvent() -> UDXEvent? {
        guard let event = events.popFirst() else { return nil }
        if case .message = event { messageEventCount -= 1 }
        return event
    }

    /// Delivers end-of-stream once everything before it was delivered and can be acknowledged; closes if both ended.
    mutating func deliverEndIfReached() {
        guard let end = remoteEndSequence, !isRemoteEnded, closeReason == nil, destination != nil,
            end.precedes(receiving.nextSequence)
        else { return }
        isRemoteEnded = true
        receiving.discardWaiting()
        events.append(.ended)
        if isEndAcknowledged { close(.finished) }
    }

    /// A header that carries the current numbers, for packets that consume none.
    func controlHeader(_ flags: UDXPacketFlags) -> UDXHeader {
        UDXHeader(
            flags: flags, streamID: destination?.remoteID ?? 0,
            window: UInt32(clamping: receiveWindow), sequence: nextSequence,
            acknowledgement: receiving.nextSequence)
    }
}
