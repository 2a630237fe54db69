/// A packet that consumed a sequence number and is not acknowledged cumulatively yet.
struct SentPacket {
    enum State: UInt8 {
        /// The slot has no packet.
        case absent
        /// Sent, not heard of.
        case inFlight
        /// Counted lost, waiting to be sent again.
        case lost
        /// Acknowledged selectively.
        case selectivelyAcknowledged
    }

    /// When it was last sent. Strictly increasing in the order of sending, so that it also orders packets.
    var timeSent: Int64 = 0
    /// Snapshots of the delivery rate estimator at sending; spec 10 section 9.1.
    var firstSentTime: Int64 = 0
    var deliveredTime: Int64 = 0
    var delivered = 0
    /// The position of the payload in the stream of bytes, and the chunk that holds its first byte.
    var streamOffset = 0
    var chunkIndex = 0
    /// Neighbours in the list that the packet is in. Of a selectively acknowledged packet, `next` is a later number up to
    /// which all are acknowledged.
    var previous: UInt32 = 0
    var next: UInt32 = 0
    var payloadCount: UInt16 = 0
    /// Which of the stream's destinations it goes to, also when sent again.
    var destination: UInt16 = 0
    var padding: UInt8 = 0
    var flags: UDXPacketFlags = []
    var state = State.absent
    var timeoutCount: UInt8 = 0
    var isRetransmitted = false
    var isAppLimited = false
    var isProbe = false
    /// Whether it was sent as capable of congestion marks.
    var isMarkable = false
    /// Whether it was last sent so that routers may cut it in pieces.
    var isFragmentable = false

    /// What it counts in flight and for pacing; spec 10 section 7.
    var byteCount: Int { UDXHeader.byteCount + Int(payloadCount) }
}

/// Packets in an order of their own, linked by sequence number inside ``SentPackets``.
struct SentPacketList {
    fileprivate(set) var head: UInt32 = 0
    fileprivate(set) var tail: UInt32 = 0
    fileprivate(set) var count = 0

    var isEmpty: Bool { count == 0 }
}

/// The outstanding packets of a stream in a ring indexed by sequence number, with two lists through it: those in flight
/// in order of sending, and those lost in the order in which they are sent again.
struct SentPackets {
    private(set) var inFlight = SentPacketList()
    private(set) var lost = SentPacketList()
    private(set) var bytesInFlight = 0
    private var slots: [SentPacket]
    private var mask: UInt32

    init() {
        slots = [SentPacket](repeating: SentPacket(), count: 16)
        mask = 15
    }

    subscript(sequence: UInt32) -> SentPacket {
        @inline(__always) _read { yield slots[Int(sequence & mask)] }
        @inline(__always) _modify { yield &slots[Int(sequence & mask)] }
    }

    /// Makes room for `count` numbers from `first` on.
    mutating func reserve(_ count: Int, from first: UInt32) {
        guard count > slots.count else { return }
        var capacity = slots.count
        while capacity < count { capacity *= 2 }
        var grown = [SentPacket](repeating: SentPacket(), count: capacity)
        let newMask = UInt32(capacity - 1)
        for offset in 0..<UInt32(slots.count) {
            let sequence = first &+ offset
            grown[Int(sequence & newMask)] = slots[Int(sequence & mask)]
        }
        slots = grown
        mask = newMask
    }

    /// Puts `sequence` at the end of the packets in flight.
    mutating func appendInFlight(_ sequence: UInt32) {
        self[sequence].state = .inFlight
        bytesInFlight += self[sequence].byteCount
        let tail = inFlight.tail
        if inFlight.count == 0 { inFlight.head = sequence } else { self[tail].next = sequence }
        self[sequence].previous = tail
        inFlight.tail = sequence
        inFlight.count += 1
    }

    /// Puts `sequence` at the end of the lost packets.
    mutating func appendLost(_ sequence: UInt32) {
        self[sequence].state = .lost
        let tail = lost.tail
        if lost.count == 0 { lost.head = sequence } else { self[tail].next = sequence }
        self[sequence].previous = tail
        lost.tail = sequence
        lost.count += 1
    }

    /// Takes `sequence` out of the packets in flight.
    mutating func removeInFlight(_ sequence: UInt32) {
        bytesInFlight -= self[sequence].byteCount
        let (previous, next) = (self[sequence].previous, self[sequence].next)
        if sequence == inFlight.head { inFlight.head = next } else { self[previous].next = next }
        if sequence == inFlight.tail { inFlight.tail = previous } else { self[next].previous = previous }
        inFlight.count -= 1
    }

    /// Takes `sequence` out of the lost packets.
    mutating func removeLost(_ sequence: UInt32) {
        let (previous, next) = (self[sequence].previous, self[sequence].next)
        if sequence == lost.head { lost.head = next } else { self[previous].next = next }
        if sequence == lost.tail { lost.tail = previous } else { self[next].previous = previous }
        lost.count -= 1
    }

    /// Empties the list of lost packets, so that it can be built anew.
    mutating func resetLost() { lost = SentPacketList() }

    /// Gives the memory of a long flight back, once nothing is outstanding.
    mutating func shrinkIfLarge() {
        if slots.count > 1_024 { removeAll() }
    }

    /// Gives the memory back.
    mutating func removeAll() { self = SentPackets() }
}
