package import DWebBase

/// A reliable, ordered stream of bytes in both directions over UDP, plus unordered messages; spec 10.
///
/// Streams are made by ``UDXMultiplexer/createStream(localID:options:firewall:)`` and belong to whoever owns the
/// multiplexer, on one loop. Calls only queue: packets leave with the multiplexer's next transmission, events are taken
/// from ``UDXMultiplexer/pollEvent()``.
package final class UDXStream {
    /// The id under which packets for this stream arrive.
    package let localID: UInt32
    var machine: UDXMachine
    let firewall: (UDXArrival) -> UDXFirewallDecision
    weak var multiplexer: UDXMultiplexer?

    // The multiplexer's marks.
    var isAwaitingTransmission = false
    var hasQueuedEvents = false
    var scheduledDeadline = Int64.max
    var isForgotten = false

    // Relaying; spec 10 section 11.
    var relayDestination: UDXStream?
    var relaySourceIDs: [UInt32] = []

    init(
        localID: UInt32, options: UDXStreamOptions, multiplexer: UDXMultiplexer,
        firewall: @escaping (UDXArrival) -> UDXFirewallDecision
    ) {
        self.localID = localID
        self.multiplexer = multiplexer
        self.firewall = firewall
        machine = UDXMachine(options: options)
    }

    /// Whether the stream has a remote.
    package var isConnected: Bool { machine.destination != nil }
    /// Why the stream closed; nil while it is open.
    package var closeReason: UDXCloseReason? { machine.closeReason }
    /// Whether the peer ended its side and nothing waits in ``read()``.
    package var isAtEnd: Bool { machine.isRemoteEnded && machine.receiving.unreadCount == 0 }
    /// Bytes that wait in ``read()``.
    package var unreadByteCount: Int { machine.receiving.unreadCount }
    /// Bytes written and not yet acknowledged.
    package var unacknowledgedByteCount: Int { machine.writing.unacknowledgedCount }
    /// Whether everything written has been acknowledged.
    package var isFlushed: Bool { machine.writing.unacknowledgedCount == 0 }
    /// The peer's address; nil before the stream is connected.
    package var remoteAddress: SocketAddress? { machine.destination?.address }
    /// The peer's id of the stream; nil before the stream is connected.
    package var remoteID: UInt32? { machine.destination?.remoteID }
    /// The socket that packets leave from; nil before the stream is connected.
    package var socket: SocketID? { machine.destination?.socket }
    /// The largest message that reaches the peer on the current path, in bytes.
    package var messageByteLimit: Int { machine.payloadByteCount }

    /// Gives the stream its remote; sends nothing by itself except an acknowledgement of what arrived before.
    ///
    /// - Throws: ``UDXError/alreadyConnected``, ``UDXError/closed`` or ``UDXError/invalidArgument``.
    package func connect(on socket: SocketID, remoteID: UInt32, address: SocketAddress) throws(UDXError) {
        guard !machine.isClosed else { throw .closed }
        guard machine.destination == nil else { throw .alreadyConnected }
        machine.connect(try destination(socket, remoteID, address))
        multiplexer?.noteChange(of: self)
    }

    /// Sends everything new to another remote; ``UDXEvent/remoteChanged`` follows once what is outstanding at the
    /// former
    /// one is acknowledged. Packets sent before still go to the former remote, also when they are sent again.
    ///
    /// - Throws: ``UDXError/notConnected``, ``UDXError/closed`` or ``UDXError/invalidArgument``.
    package func changeRemote(on socket: SocketID, remoteID: UInt32, address: SocketAddress) throws(UDXError) {
        guard !machine.isClosed else { throw .closed }
        guard machine.destination != nil else { throw .notConnected }
        machine.changeRemote(try destination(socket, remoteID, address))
        multiplexer?.noteChange(of: self)
    }

    /// Sends again to the current remote what is still outstanding at former ones, from its next repetition on: for
    /// when the way to them is gone.
    package func forgetFormerRemotes() {
        guard !machine.isClosed, machine.destination != nil else { return }
        machine.forgetFormerRemotes()
    }

    /// Queues `bytes`; false if too much is queued and the writer should wait for ``UDXEvent/drained``.
    ///
    /// - Throws: ``UDXError/notConnected``, ``UDXError/ended`` or ``UDXError/closed``.
    @discardableResult
    package func write(_ bytes: [UInt8]) throws(UDXError) -> Bool {
        guard !machine.isClosed else { throw .closed }
        guard machine.destination != nil else { throw .notConnected }
        guard !machine.isEnding, relayDestination == nil else { throw .ended }
        let hasRoom = machine.write(bytes)
        multiplexer?.noteChange(of: self)
        return hasRoom
    }

    /// Ends the writable side after what is queued. Callable more than once.
    ///
    /// - Throws: ``UDXError/notConnected`` or ``UDXError/closed``.
    package func end() throws(UDXError) {
        guard !machine.isClosed else { throw .closed }
        guard machine.destination != nil else { throw .notConnected }
        guard relayDestination == nil else { return }
        machine.isEnding = true
        multiplexer?.noteChange(of: self)
    }

    /// Sends one unordered message, which may be lost; ``messageByteLimit`` says how much fits.
    ///
    /// - Throws: ``UDXError/notConnected``, ``UDXError/closed`` or ``UDXError/queueFull``.
    package func sendMessage(_ payload: [UInt8]) throws(UDXError) {
        guard !machine.isClosed else { throw .closed }
        guard machine.destination != nil else { throw .notConnected }
        guard machine.queuedMessageCount < UDXLimits.messagesQueued else { throw .queueFull }
        machine.sendMessage(payload)
        multiplexer?.noteChange(of: self)
    }

    /// The first of the bytes that arrived in order and were not read yet; empty if there are none. Also after the stream
    /// closed. What waits comes in several pieces if it is much: read until there are none.
    package func read() -> [UInt8] {
        let bytes = machine.read()
        if machine.isAcknowledgementDue { multiplexer?.noteChange(of: self) }
        return bytes
    }

    /// Forgets the stream at once and tells the peer with one packet, unless the stream never connected or relays.
    /// Callable more than once.
    package func destroy() {
        guard !machine.isClosed else { return }
        if relayDestination != nil { machine.close(.destroyed) } else { machine.destroy() }
        multiplexer?.noteChange(of: self)
    }

    /// Passes every packet that arrives for this stream on to the remote of `destination`, unread; spec 10 section 11.
    /// What the stream itself was sending is forgotten, and nothing can be written any more.
    ///
    /// - Throws: ``UDXError/invalidArgument`` if `destination` is closed or a destination was given before.
    package func relay(to destination: UDXStream) throws(UDXError) {
        guard relayDestination == nil, !machine.isClosed, !destination.machine.isClosed, destination !== self else {
            throw .invalidArgument
        }
        relayDestination = destination
        machine.startRelaying()
        destination.relaySourceIDs.append(localID)
    }

    /// Measurements of this moment.
    package var statistics: UDXStatistics { machine.currentStatistics }

    private func destination(
        _ socket: SocketID, _ remoteID: UInt32, _ address: SocketAddress
    ) throws(UDXError) -> UDXDestination {
        guard address.port != 0, let family = multiplexer?.family(of: socket) else { throw .invalidArgument }
        let overhead = family == .ipv6 || address.family == .ipv6 ? 68 : 48
        return UDXDestination(socket: socket, address: address, remoteID: remoteID, overhead: overhead)
    }
}

extension UDXMachine {
    /// The counters with the measurements of this moment filled in.
    var currentStatistics: UDXStatistics {
        var result = statistics
        if roundTrip.smoothed > 0 {
            result.roundTripTime = .nanoseconds(roundTrip.smoothed)
            result.minimumRoundTripTime = .nanoseconds(roundTrip.minimum)
            result.roundTripVariation = .nanoseconds(roundTrip.variation)
        }
        result.congestionWindow = congestionWindow
        result.pacingBytesPerSecond = Int(min(congestion.pacingRate * 1_000, 1e15))
        result.packetsInFlight = packets.inFlight.count
        result.bytesInFlight = packets.bytesInFlight
        result.receiveWindowByteCount = window.byteCount
        result.peerWindowByteCount = peerWindow
        result.pathMTU = mtu.mtu
        result.pathMTUFallbacks = mtu.fallbackCount
        result.bytesAcknowledged = writing.acknowledgedCount
        result.bytesDelivered = receiving.deliveredCount
        return result
    }
}
