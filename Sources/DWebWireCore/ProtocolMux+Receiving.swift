import DWebBase
import DequeModule

extension ProtocolMux {
    /// Takes messages of the stream, in order; they are decoded as events are polled.
    package func receive(_ batch: MessageBatch) {
        guard error == nil, !isEnding, !batch.isEmpty else { return }
        input.append(batch)
    }

    /// Takes one message of the stream.
    package func receive(_ message: [UInt8]) { receive(MessageBatch(message, ranges: [0..<message.count])) }

    /// Takes the end of the stream: once what arrived before is polled, every channel closes as if the peer had
    /// closed it, and nothing more is sent.
    package func streamEnded() { isEnding = true }

    /// The next thing that happened; nil when there is nothing new.
    ///
    /// Poll until nil, also to let replies go: those to a batch leave together after its last event was polled.
    ///
    /// - Throws: A violation by the peer, once. The stream is to be destroyed; nothing more is decoded.
    package func pollEvent() throws(ProtocolMuxError) -> Event? {
        while true {
            if let event = events.popFirst() { return event }
            do {
                if error == nil, let item = try input.next() {
                    if let event = try handle(item) { return event }
                } else if isEnding, !isEnded {
                    end()
                } else {
                    return nil
                }
            } catch {
                self.error = error
                input.removeAll()
                throw error
            }
        }
    }

    private func end() {
        isEnded = true
        for slot in locals.indices.lazy.map({ $0 + 1 }) {
            switch locals[slot - 1].state {
            case .open, .waiting: closeLocal(slot, isRemote: true)
            case .free, .abandoned: break
            }
        }
        opens = [:]
        queuedOpenByteCount = 0
        bufferedByteCount = 0
        entries = [:]
        entryIndices = [:]
        discardOutput()
    }

    private func handle(_ item: MuxInput.Item) throws(ProtocolMuxError) -> Event? {
        switch item {
        case .message(let remoteID, let type, let payload):
            return try dispatch(remoteID, type, payload)
        case .repliesBegin:
            cork()
        case .repliesEnd:
            uncork()
        }
        return nil
    }

    private func dispatch(
        _ remoteID: UInt64, _ type: UInt64, _ payload: MessageSlice
    ) throws(ProtocolMuxError) -> Event? {
        guard remoteID > 0 else {
            try handleControl(type, payload)
            return nil
        }
        // A channel that is not known may be one that was just closed.
        guard remoteID <= UInt64(remotes.count) else { return nil }
        let slot = remotes[Int(remoteID) - 1]
        if slot > 0 {
            return .message(
                ChannelID(slot: slot, generation: locals[slot - 1].generation), type: type, payload: payload)
        }
        if slot == ProtocolMux.queuedSlot { try buffer(Int(remoteID), type, Array(payload.source[payload.range])) }
        return nil
    }

    // Copied: what waits must not keep the whole chunk alive that it came with.
    private func buffer(_ remoteID: Int, _ type: UInt64, _ payload: [UInt8]) throws(ProtocolMuxError) {
        let byteCount = Limits.bufferedOverheadByteCount + payload.count
        guard bufferedByteCount + byteCount <= Limits.bufferedByteCount else { throw .tooMuchBuffered }
        bufferedByteCount += byteCount
        opens[remoteID]!.bufferedByteCount += byteCount
        opens[remoteID]!.messages.append(Buffered(type: type, payload: MessageSlice(payload)))
    }

    private func handleControl(_ type: UInt64, _ payload: MessageSlice) throws(ProtocolMuxError) {
        var reader = payload.reader
        switch type {
        case Control.open: try handleOpen(&reader)
        case Control.reject: try handleReject(try ProtocolMux.uint(&reader))
        case Control.close: handleClose(try ProtocolMux.uint(&reader))
        // Batches do not come here; what is not known is ignored.
        default: break
        }
    }

    private func handleOpen(_ reader: inout ByteReader) throws(ProtocolMuxError) {
        let start = reader.position
        let remoteID = try ProtocolMux.uint(&reader)
        let identity: ChannelIdentity
        do {
            let name = try reader.readString()
            identity = ChannelIdentity(name, id: try reader.readBuffer())
        } catch {
            throw .malformed(error)
        }
        guard remoteID > 0, remoteID <= UInt64(remotes.count) + 1 else { throw .invalidOpen }
        let index = Int(remoteID) - 1
        if index == remotes.count {
            // One slot more than there may be channels stays free for the rejection of what is too much.
            guard remotes.count <= Limits.channelCount else { throw .invalidOpen }
            remotes.append(ProtocolMux.emptySlot)
        }
        guard remotes[index] == ProtocolMux.emptySlot else { throw .invalidOpen }
        if let entry = entryIndices[identity], let slot = entries[entry]!.outgoing.popFirst() {
            if locals[slot - 1].state == .abandoned {
                free(slot)
                removeIfUnused(entry)
            } else {
                pair(
                    index + 1, slot: slot,
                    handshake: MessageSlice(reader.source, range: reader.position..<reader.end))
            }
            return
        }
        try queueOpen(index + 1, identity, handshake: reader.readRest(), byteCount: reader.end - start)
    }

    private func queueOpen(
        _ remoteID: Int, _ identity: ChannelIdentity, handshake: [UInt8], byteCount: Int
    ) throws(ProtocolMuxError) {
        guard opens.count < Limits.queuedOpenCount, byteCount <= Limits.openByteCount,
            queuedOpenByteCount + byteCount <= Limits.queuedOpenByteCount, remoteID <= Limits.channelCount
        else {
            sendReject(remoteID)
            return
        }
        let entry = entryIndex(for: identity, aliases: [])
        entries[entry]!.incoming.append(remoteID)
        entries[entry]!.pairingCount += 1
        queuedOpenByteCount += byteCount
        opens[remoteID] = IncomingOpen(entry: entry, handshake: handshake, byteCount: byteCount)
        remotes[remoteID - 1] = ProtocolMux.queuedSlot
        emit(.pairRequest(identity))
    }

    private func handleReject(_ localID: UInt64) throws(ProtocolMuxError) {
        guard localID > 0, localID <= UInt64(locals.count) else { throw .invalidReject }
        let slot = Int(localID)
        let state = locals[slot - 1].state
        guard state == .waiting || state == .abandoned else { throw .invalidReject }
        let entry = locals[slot - 1].entry
        entries[entry]!.outgoing.removeAll { $0 == slot }
        if state == .waiting { closeLocal(slot, isRemote: true) }
        free(slot)
        removeIfUnused(entry)
    }

    private func handleClose(_ remoteID: UInt64) {
        guard remoteID > 0, remoteID <= UInt64(remotes.count) else { return }
        let slot = remotes[Int(remoteID) - 1]
        if slot > 0 {
            closeLocal(slot, isRemote: true)
        } else if slot == ProtocolMux.queuedSlot {
            opens[Int(remoteID)]!.isClosed = true
        }
    }

    private static func uint(_ reader: inout ByteReader) throws(ProtocolMuxError) -> UInt64 {
        do {
            return try reader.readUInt()
        } catch {
            throw .malformed(error)
        }
    }
}
