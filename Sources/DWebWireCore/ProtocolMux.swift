package import DWebBase
import DequeModule

// Map: this file has the life of channels as this side drives it, and sending; `ProtocolMux+Receiving.swift` what the
// peer drives; `MuxInput.swift` the decoding of what arrives and `MuxOutput.swift` the encoding of what leaves;
// `ProtocolMuxTypes.swift` the values at the border.

/// Many channels over one stream of messages (Protomux); spec 30 section B.
///
/// It does no input or output. The owner gives it every message of the stream (``receive(_:)-(MessageBatch)``), polls
/// ``pollEvent()`` until nil, and sends ``takeMessages()`` in order. While ``isReadingPaused`` it reads no more from
/// the transport. Messages are decoded as they are polled, so that a batch of millions of items takes no memory.
package final class ProtocolMux {
    /// Named limits of what a peer can make a multiplexer hold.
    package enum Limits {
        /// The most channels that either side can have at a time.
        package static let channelCount = 32768
        /// The most opens of the peer that wait for an answer; more are rejected.
        package static let queuedOpenCount = 16384
        /// The most bytes of names and handshakes in opens that wait; more are rejected.
        package static let queuedOpenByteCount = 4 << 20
        /// The size of protocol name, id and handshake in one open beyond which it is rejected.
        package static let openByteCount = 65536
        /// Buffered bytes above which the transport is not read; spec 30 section B.2.
        package static let pauseByteCount = 32768
        /// What a buffered message counts beside its bytes.
        package static let bufferedOverheadByteCount = 512
        /// Buffered bytes that no peer reaches whose transport is paused; a violation above it.
        package static let bufferedByteCount = pauseByteCount + 2 * (1 << 24)
        /// How many batches may lie inside each other.
        package static let batchDepth = 4
    }

    /// What happened, in order.
    package enum Event: Sendable {
        /// Both sides have opened the channel; the bytes are the peer's handshake, for the protocol to decode.
        case opened(ChannelID, handshake: MessageSlice)
        /// A message of an open channel. Types that the protocol does not have are to be ignored.
        case message(ChannelID, type: UInt64, payload: MessageSlice)
        /// The channel is closed: by the peer, or with the stream (`isRemote`), or by ``ProtocolMux/close(_:)``.
        case closed(ChannelID, isRemote: Bool)
        /// The peer opened a channel that this side has not. Answer each with one call of
        /// ``ProtocolMux/rejectUnclaimed(_:)``, after opening the channel if it is wanted.
        case pairRequest(ChannelIdentity)
    }

    /// All that is known under one identity and its aliases.
    struct Entry {
        var names: [ChannelIdentity]
        // Ids of the peer that wait for a channel of this side, and the other way round; oldest first.
        var incoming: Deque<Int> = []
        var outgoing: Deque<Int> = []
        var openedCount = 0
        var pairingCount = 0
    }

    enum LocalState {
        case free
        case waiting
        // Closed before the peer answered: the id stays reserved until it does.
        case abandoned
        case open
    }

    struct Local {
        var state: LocalState = .free
        var generation: UInt32 = 0
        var entry = 0
        var remoteID = 0
    }

    struct Buffered {
        let type: UInt64
        let payload: MessageSlice
    }

    /// An open of the peer that no channel of this side has claimed.
    struct IncomingOpen {
        let entry: Int
        let handshake: [UInt8]
        let byteCount: Int
        var messages: [Buffered] = []
        var bufferedByteCount = 0
        // The peer closed its channel without waiting for an answer.
        var isClosed = false
    }

    // What the peer's ids stand for: a local id, or one of these.
    static let emptySlot = 0
    static let queuedSlot = -1

    var locals: [Local] = []
    var freeSlots: [Int] = []
    var remotes: [Int] = []
    var opens: [Int: IncomingOpen] = [:]
    var queuedOpenByteCount = 0
    var entries: [Int: Entry] = [:]
    var entryIndices: [ChannelIdentity: Int] = [:]
    var nextEntry = 0
    var events: Deque<Event> = []
    var input = MuxInput()
    var isEnding = false
    var isEnded = false
    var error: ProtocolMuxError?
    var corkCount = 0
    private var output = MuxOutput()

    /// Bytes of messages for channels that are not open yet, each counted with an overhead.
    package internal(set) var bufferedByteCount = 0

    /// A multiplexer over a new stream.
    package init() {}

    /// Whether nothing more should be read from the transport: the peer sends for channels that are not open yet.
    package var isReadingPaused: Bool { bufferedByteCount > Limits.pauseByteCount }

    /// The number of channels of this side that are open or wait for the peer.
    package var channelCount: Int {
        locals.reduce(0) { $0 + ($1.state == .open || $1.state == .waiting ? 1 : 0) }
    }

    /// Whether ``takeMessages()`` has something.
    package var hasMessages: Bool { !output.isEmpty }

    /// Every message to send since the last call; what is being collected by ``cork()`` is not among them.
    package func takeMessages() -> MessageBatch { output.take() }

    // MARK: Channels

    /// Opens a channel and pairs it with the peer's if that came first. Messages may follow at once, though a peer
    /// that does not want the channel ignores them.
    ///
    /// - Parameters:
    ///   - aliases: Further protocol names under which the peer may open the same channel.
    ///   - handshake: The protocol's own first bytes.
    ///   - isUnique: Refuses to be the second open channel with this identity.
    package func open(
        _ identity: ChannelIdentity, aliases: [String] = [], handshake: [UInt8] = [], isUnique: Bool = true
    ) throws(ChannelError) -> ChannelID {
        guard !isEnding, error == nil else { throw .closed }
        guard locals.count - freeSlots.count < Limits.channelCount else { throw .tooManyChannels }
        let entry = entryIndex(for: identity, aliases: aliases)
        if isUnique, entries[entry]!.openedCount > 0 { throw .duplicate }
        let reservesSlot = freeSlots.isEmpty
        let slot = freeSlots.last ?? locals.count + 1
        guard sendOpen(slot, identity, handshake: handshake) else {
            removeIfUnused(entry)
            throw .messageTooLong
        }
        if reservesSlot { locals.append(Local()) } else { freeSlots.removeLast() }
        locals[slot - 1].state = .waiting
        locals[slot - 1].entry = entry
        locals[slot - 1].remoteID = 0
        entries[entry]!.openedCount += 1
        if let remoteID = entries[entry]!.incoming.popFirst() {
            claim(remoteID, slot: slot)
        } else {
            entries[entry]!.outgoing.append(slot)
        }
        return ChannelID(slot: slot, generation: locals[slot - 1].generation)
    }

    /// Closes a channel; a `closed` event follows. A channel that is closed already stays so.
    package func close(_ channel: ChannelID) {
        guard isCurrent(channel) else { return }
        let sent = output.append(channel: 0, type: Control.close, payloadByteCount: 3) { $0.writeUInt(channel.slot) }
        precondition(sent, "a close is shorter than a frame")
        closeLocal(channel.slot, isRemote: false)
    }

    /// Says that a ``Event/pairRequest(_:)`` for `identity` is handled. Once all are, what no channel claimed is
    /// rejected.
    package func rejectUnclaimed(_ identity: ChannelIdentity) {
        guard let entry = entryIndices[identity], entries[entry]!.pairingCount > 0 else { return }
        entries[entry]!.pairingCount -= 1
        guard entries[entry]!.pairingCount == 0 else { return }
        while let remoteID = entries[entry]!.incoming.popFirst() {
            remotes[remoteID - 1] = ProtocolMux.emptySlot
            if let open = opens.removeValue(forKey: remoteID) { release(open) }
            sendReject(remoteID)
        }
        removeIfUnused(entry)
    }

    /// Whether the channel has not been closed.
    package func isCurrent(_ channel: ChannelID) -> Bool {
        guard channel.slot > 0, channel.slot <= locals.count else { return false }
        let local = locals[channel.slot - 1]
        guard local.generation == channel.generation else { return false }
        return local.state == .open || local.state == .waiting
    }

    // MARK: Sending

    /// Sends a message on a channel. On a closed channel nothing happens: its end may not have been polled yet.
    ///
    /// - Throws: `messageTooLong` if it does not fit in a frame.
    package func send(_ channel: ChannelID, type: UInt64, payload: [UInt8]) throws(ChannelError) {
        guard isCurrent(channel) else { return }
        guard output.append(channel: channel.slot, type: type, payload: payload) else { throw .messageTooLong }
    }

    /// Sends a message whose payload `encode` appends, directly to where it leaves from.
    ///
    /// - Parameter payloadByteCount: The expected size; an inexact one costs a move of the payload, no more.
    package func send(
        _ channel: ChannelID, type: UInt64, payloadByteCount: Int = 64, _ encode: (inout ByteWriter) -> Void
    ) throws(ChannelError) {
        guard isCurrent(channel) else { return }
        guard output.append(channel: channel.slot, type: type, payloadByteCount: payloadByteCount, encode) else {
            throw .messageTooLong
        }
    }

    /// Collects what is sent into one message until as many calls of ``uncork()``.
    package func cork() {
        corkCount += 1
        if corkCount == 1 { output.beginBatch() }
    }

    /// Ends one ``cork()``; the last one lets the collected messages go.
    package func uncork() {
        precondition(corkCount > 0, "every uncork belongs to a cork")
        corkCount -= 1
        if corkCount == 0 { output.endBatch() }
    }

    // MARK: Internals that both directions use

    enum Control {
        static let batch: UInt64 = 0
        static let open: UInt64 = 1
        static let reject: UInt64 = 2
        static let close: UInt64 = 3
    }

    func emit(_ event: Event) { events.append(event) }

    func entryIndex(for identity: ChannelIdentity, aliases: [String]) -> Int {
        let names = [identity] + aliases.map { ChannelIdentity($0, id: identity.id) }
        let index: Int
        if let known = names.lazy.compactMap({ self.entryIndices[$0] }).first {
            index = known
        } else {
            index = nextEntry
            nextEntry += 1
            entries[index] = Entry(names: [])
        }
        for name in names where entryIndices[name] == nil {
            entryIndices[name] = index
            entries[index]!.names.append(name)
        }
        return index
    }

    func removeIfUnused(_ index: Int) {
        guard let entry = entries[index], entry.openedCount == 0, entry.incoming.isEmpty, entry.outgoing.isEmpty,
            entry.pairingCount == 0
        else { return }
        for name in entry.names { entryIndices[name] = nil }
        entries[index] = nil
    }

    func closeLocal(_ slot: Int, isRemote: Bool) {
        let local = locals[slot - 1]
        let channel = ChannelID(slot: slot, generation: local.generation)
        locals[slot - 1].generation &+= 1
        entries[local.entry]!.openedCount -= 1
        if local.state == .open {
            remotes[local.remoteID - 1] = ProtocolMux.emptySlot
            free(slot)
        } else {
            locals[slot - 1].state = .abandoned
        }
        removeIfUnused(local.entry)
        emit(.closed(channel, isRemote: isRemote))
    }

    func free(_ slot: Int) {
        locals[slot - 1].state = .free
        locals[slot - 1].remoteID = 0
        freeSlots.append(slot)
    }

    func sendReject(_ remoteID: Int) {
        let sent = output.append(channel: 0, type: Control.reject, payloadByteCount: 3) { $0.writeUInt(remoteID) }
        precondition(sent, "a reject is shorter than a frame")
    }

    func release(_ open: IncomingOpen) {
        bufferedByteCount -= open.bufferedByteCount
        queuedOpenByteCount -= open.byteCount
    }

    func discardOutput() {
        output.removeAll()
        if corkCount > 0 { output.beginBatch() }
    }

    private func claim(_ remoteID: Int, slot: Int) {
        guard let open = opens.removeValue(forKey: remoteID) else {
            preconditionFailure("a queued open has its handshake")
        }
        release(open)
        pair(remoteID, slot: slot, handshake: MessageSlice(open.handshake))
        let channel = ChannelID(slot: slot, generation: locals[slot - 1].generation)
        for message in open.messages { emit(.message(channel, type: message.type, payload: message.payload)) }
        if open.isClosed { closeLocal(slot, isRemote: true) }
    }

    func pair(_ remoteID: Int, slot: Int, handshake: MessageSlice) {
        remotes[remoteID - 1] = slot
        locals[slot - 1].state = .open
        locals[slot - 1].remoteID = remoteID
        emit(.opened(ChannelID(slot: slot, generation: locals[slot - 1].generation), handshake: handshake))
    }

    private func sendOpen(_ slot: Int, _ identity: ChannelIdentity, handshake: [UInt8]) -> Bool {
        let byteCount = identity.protocolName.utf8.count + identity.id.count + handshake.count + 8
        return output.append(channel: 0, type: Control.open, payloadByteCount: byteCount) { writer in
            writer.writeUInt(slot)
            writer.writeString(identity.protocolName)
            writer.writeBuffer(identity.id)
            writer.writeBytes(handshake)
        }
    }
}
