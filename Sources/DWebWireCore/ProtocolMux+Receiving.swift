import DWebBase
import DequeModule

extension ProtocolMux {
    /// Takes messages of the stream, in order; they are decoded as events are polled.
    package func receive(_ batch: MessageBatch) {
        guard error == nil, !isEnding, !batch.isEmpty else { return }
        inbox.append(batch)
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
                if error == nil, !batches.isEmpty {
                    if let event = try nextBatchItem() { return event }
                } else if error == nil, let message = nextMessage() {
                    if let event = try decode(message) { return event }
                } else if isEnding, !isEnded {
                    end()
                } else {
                    return nil
                }
            } catch {
                self.error = error
                inbox = []
                batches = []
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

    private func nextMessage() -> MessageSlice? {
        guard let batch = inbox.first else { return nil }
        let message = batch[inboxIndex]
        inboxIndex += 1
        if inboxIndex == batch.count {
            inbox.removeFirst()
            inboxIndex = 0
        }
        return message
    }

    private func decode(_ message: MessageSlice) throws(ProtocolMuxError) -> Event? {
        guard message.byteCount > 0 else { return nil }
        var reader = message.reader
        let channel = try ProtocolMux.uint(&reader)
        return try dispatch(channel, &reader)
    }

    private func nextBatchItem() throws(ProtocolMuxError) -> Event? {
        let top = batches.count - 1
        guard !batches[top].reader.isAtEnd else {
            if batches.removeLast().collectsReplies { uncork() }
            return nil
        }
        let byteCount = try ProtocolMux.uint(&batches[top].reader)
        guard byteCount > 0 else {
            batches[top].channel = try ProtocolMux.uint(&batches[top].reader)
            return nil
        }
        guard byteCount <= UInt64(batches[top].reader.remaining) else { throw .malformed(.outOfBounds) }
        if !batches[top].collectsReplies, byteCount < UInt64(batches[top].reader.remaining) {
            batches[top].collectsReplies = true
            cork()
        }
        let start = batches[top].reader.position
        let end = start + Int(byteCount)
        var item = ByteReader(batches[top].reader.source, range: start..<end)
        batches[top].reader = ByteReader(batches[top].reader.source, range: end..<batches[top].reader.end)
        return try dispatch(batches[top].channel, &item)
    }

    private func dispatch(_ remoteID: UInt64, _ reader: inout ByteReader) throws(ProtocolMuxError) -> Event? {
        let type = try ProtocolMux.uint(&reader)
        guard remoteID > 0 else {
            try handleControl(type, &reader)
            return nil
        }
        // A channel that is not known may be one that was just closed.
        guard remoteID <= UInt64(remotes.count) else { return nil }
        let slot = remotes[Int(remoteID) - 1]
        if slot > 0 {
            let channel = ChannelID(slot: slot, generation: locals[slot - 1].generation)
            let payload = MessageSlice(reader.source, range: reader.position..<reader.end)
            return .message(channel, type: type, payload: payload)
        }
        if slot == ProtocolMux.queuedSlot { try buffer(Int(remoteID), type, reader.readRest()) }
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

    private func handleControl(_ type: UInt64, _ reader: inout ByteReader) throws(ProtocolMuxError) {
        switch type {
        case Control.batch:
            guard batches.count < Limits.batchDepth else { throw .batchTooDeep }
            let channel = try ProtocolMux.uint(&reader)
            batches.append(BatchCursor(reader: reader, channel: channel))
        case Control.open: try handleOpen(&reader)
        case Control.reject: try handleReject(try ProtocolMux.uint(&reader))
        case Control.close: handleClose(try ProtocolMux.uint(&reader))
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
