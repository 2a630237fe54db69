import DWebBase
import DWebCrypto
import DWebWireCore
import Testing

@Suite struct ProtocolMuxTests {
    private let identity = ChannelIdentity("p", id: [1])

    @Test func messagesBeforeTheAnswerAreDeliveredInOrder() throws {
        let a = ProtocolMux()
        let b = ProtocolMux()
        let sender = try a.open(identity, handshake: [7])
        for value in 0..<5 { try a.send(sender, type: 3, payload: [UInt8(value)]) }
        #expect(try exchange(from: a, to: b) == ["pair p"])
        #expect(b.bufferedByteCount == 5 * 513)
        let receiver = try b.open(identity, handshake: [8])
        b.rejectUnclaimed(identity)
        #expect(b.bufferedByteCount == 0)
        #expect(
            try describe(b) == ["opened 07"] + (0..<5).map { "message 3 0\($0)" })
        #expect(try exchange(from: b, to: a) == ["opened 08"])
        try b.send(receiver, type: 0, payload: [])
        #expect(try exchange(from: b, to: a) == ["message 0 "])
    }

    @Test func readingPausesAboveTheLimitAndResumes() throws {
        let a = ProtocolMux()
        let b = ProtocolMux()
        let sender = try a.open(identity)
        let byteCount = 1000
        let count = ProtocolMux.Limits.pauseByteCount / (byteCount + ProtocolMux.Limits.bufferedOverheadByteCount)
        for _ in 0..<count { try a.send(sender, type: 0, payload: [UInt8](repeating: 1, count: byteCount)) }
        _ = try exchange(from: a, to: b)
        #expect(!b.isReadingPaused)
        try a.send(sender, type: 0, payload: [UInt8](repeating: 1, count: byteCount))
        _ = try exchange(from: a, to: b)
        #expect(b.isReadingPaused)
        _ = try b.open(identity)
        #expect(!b.isReadingPaused)
        #expect(try describe(b).count == count + 2)
    }

    @Test func rejectingReleasesWhatWasBuffered() throws {
        let a = ProtocolMux()
        let b = ProtocolMux()
        let sender = try a.open(identity)
        try a.send(sender, type: 0, payload: [UInt8](repeating: 1, count: 50_000))
        #expect(try exchange(from: a, to: b) == ["pair p"])
        #expect(b.isReadingPaused)
        b.rejectUnclaimed(identity)
        #expect(!b.isReadingPaused)
        #expect(b.bufferedByteCount == 0)
        #expect(try exchange(from: b, to: a) == ["closed remote"])
        #expect(!a.isCurrent(sender))
        // The id is free again.
        _ = try a.open(ChannelIdentity("q"))
        #expect(a.takeMessages().messages == [[0, 1, 1, 1, 0x71, 0]])
    }

    @Test func endlessBufferingIsAViolation() throws {
        let a = ProtocolMux()
        let b = ProtocolMux()
        let sender = try a.open(identity)
        _ = try exchange(from: a, to: b)
        let payload = [UInt8](repeating: 1, count: 1 << 22)
        #expect(throws: ProtocolMuxError.tooMuchBuffered) {
            for _ in 0..<20 {
                try a.send(sender, type: 0, payload: payload)
                _ = try exchange(from: a, to: b)
            }
        }
        #expect(b.bufferedByteCount <= ProtocolMux.Limits.bufferedByteCount)
    }

    @Test func anUnclaimedOpenIsRejectedOnlyAfterEveryHandlerFinished() throws {
        let a = ProtocolMux()
        let b = ProtocolMux()
        _ = try a.open(identity, isUnique: false)
        _ = try a.open(identity, isUnique: false)
        #expect(try exchange(from: a, to: b) == ["pair p", "pair p"])
        b.rejectUnclaimed(identity)
        #expect(!b.hasMessages)
        b.rejectUnclaimed(identity)
        #expect(b.takeMessages().messages == [[0, 2, 1], [0, 2, 2]])
        b.rejectUnclaimed(identity)
        #expect(!b.hasMessages)
    }

    @Test func repliesToABatchLeaveAsOneBatch() throws {
        let a = ProtocolMux()
        let b = ProtocolMux()
        let (sender, receiver) = try connect(a, b)
        a.cork()
        try a.send(sender, type: 1, payload: [10])
        try a.send(sender, type: 1, payload: [20])
        #expect(!a.hasMessages)
        a.uncork()
        let batch = a.takeMessages()
        #expect(batch.messages == [[0, 0, 1, 2, 1, 10, 2, 1, 20]])
        b.receive(batch)
        while let event = try b.pollEvent() {
            guard case .message(_, let type, let payload) = event else { continue }
            #expect(!b.hasMessages)
            try b.send(receiver, type: type, payload: [payload.bytes[0] + 1])
        }
        #expect(b.takeMessages().messages == [[0, 0, 1, 2, 1, 11, 2, 1, 21]])
    }

    @Test func corksNest() throws {
        let a = ProtocolMux()
        let b = ProtocolMux()
        let (sender, _) = try connect(a, b)
        a.cork()
        a.cork()
        try a.send(sender, type: 1, payload: [10])
        a.uncork()
        #expect(!a.hasMessages)
        a.uncork()
        #expect(a.takeMessages().messages == [[0, 0, 1, 2, 1, 10]])
        a.cork()
        a.uncork()
        #expect(!a.hasMessages)
    }

    @Test func batchesAreSentEarlyAndStayBelowAFrame() throws {
        let a = ProtocolMux()
        let b = ProtocolMux()
        let (sender, _) = try connect(a, b)
        let payload = [UInt8](repeating: 7, count: 3 << 20)
        a.cork()
        for _ in 0..<4 { try a.send(sender, type: 0, payload: payload) }
        // The fourth message found more than 8 MiB.
        let early = a.takeMessages()
        #expect(early.count == 1)
        #expect(early[0].byteCount > 9 << 20)
        let large = [UInt8](repeating: 8, count: 15 << 20)
        try a.send(sender, type: 0, payload: large)
        #expect(a.takeMessages().count == 1)
        a.uncork()
        let rest = a.takeMessages()
        #expect(rest.count == 1)
        #expect(rest[0].byteCount <= SecretStream.Limits.messageByteCount)
        b.receive(early)
        b.receive(rest)
        var sizes: [Int] = []
        while let event = try b.pollEvent() {
            if case .message(_, _, let message) = event { sizes.append(message.byteCount) }
        }
        #expect(sizes == [3 << 20, 3 << 20, 3 << 20, 15 << 20])
    }

    @Test func messagesThatFitNoFrameAreRefused() throws {
        let a = ProtocolMux()
        let b = ProtocolMux()
        let (sender, _) = try connect(a, b)
        let tooLong = [UInt8](repeating: 0, count: SecretStream.Limits.messageByteCount)
        #expect(throws: ChannelError.messageTooLong) { try a.send(sender, type: 0, payload: tooLong) }
        #expect(!a.hasMessages)
        try a.send(sender, type: 0, payload: Array(tooLong.dropLast(2)))
        #expect(a.takeMessages()[0].byteCount == SecretStream.Limits.messageByteCount)
        a.cork()
        try a.send(sender, type: 0, payload: [1])
        #expect(throws: ChannelError.messageTooLong) { try a.send(sender, type: 0, payload: tooLong) }
        try a.send(sender, type: 0, payload: [2])
        a.uncork()
        #expect(a.takeMessages().messages == [[0, 0, 1, 2, 0, 1, 2, 0, 2]])
        #expect(throws: ChannelError.messageTooLong) { try a.open(ChannelIdentity("x"), handshake: tooLong) }
        _ = try a.open(ChannelIdentity("x"))
        #expect(a.takeMessages().messages == [[0, 1, 2, 1, 0x78, 0]])
    }

    @Test(arguments: [0, 1, 250, 251, 252, 253, 300, 65534, 65535, 65536, 70000], [0, 1, 252, 70000])
    func itemLengthsAreMinimalWhateverSizeWasExpected(byteCount: Int, expected: Int) throws {
        let a = ProtocolMux()
        let b = ProtocolMux()
        let (sender, _) = try connect(a, b)
        let payload = (0..<byteCount).map { UInt8(truncatingIfNeeded: $0) }
        a.cork()
        try a.send(sender, type: 0, payloadByteCount: expected) { $0.writeBytes(payload) }
        a.uncork()
        var writer = ByteWriter()
        writer.writeBytes([0, 0, 1])
        writer.writeBuffer([0] + payload)
        #expect(a.takeMessages().messages == [writer.bytes])
    }

    @Test func closingBothWaysAtOnceFreesBothSlots() throws {
        let a = ProtocolMux()
        let b = ProtocolMux()
        let (sender, receiver) = try connect(a, b)
        a.close(sender)
        b.close(receiver)
        a.close(sender)
        let fromA = a.takeMessages()
        #expect(fromA.messages == [[0, 3, 1]])
        #expect(try describe(a) == ["closed local"])
        #expect(try exchange(from: b, to: a) == [])
        b.receive(fromA)
        #expect(try describe(b) == ["closed local"])
        try a.send(sender, type: 0, payload: [1])
        #expect(!a.hasMessages)
        _ = try connect(a, b)
    }

    @Test func aChannelThatIsClosedBeforeItIsClaimedOpensAndCloses() throws {
        let a = ProtocolMux()
        let b = ProtocolMux()
        let sender = try a.open(identity)
        try a.send(sender, type: 2, payload: [5])
        a.close(sender)
        #expect(try describe(a) == ["closed local"])
        #expect(try exchange(from: a, to: b) == ["pair p"])
        let receiver = try b.open(identity)
        b.rejectUnclaimed(identity)
        #expect(try describe(b) == ["opened ", "message 2 05", "closed remote"])
        #expect(!b.isCurrent(receiver))
        #expect(try exchange(from: b, to: a) == [])
        // Both ids are free again.
        let (next, _) = try connect(a, b)
        try a.send(next, type: 0, payload: [9])
        #expect(try exchange(from: a, to: b) == ["message 0 09"])
    }

    @Test func aliasesPairWithTheirChannelWhicheverComesFirst() throws {
        for opensFirst in [true, false] {
            let a = ProtocolMux()
            let b = ProtocolMux()
            if opensFirst { _ = try a.open(ChannelIdentity("new", id: [1]), aliases: ["old"]) }
            _ = try b.open(ChannelIdentity("old", id: [1]))
            let events = try exchange(from: b, to: a)
            if opensFirst {
                #expect(events == ["opened "])
            } else {
                #expect(events == ["pair old"])
                _ = try a.open(ChannelIdentity("new", id: [1]), aliases: ["old"])
                a.rejectUnclaimed(ChannelIdentity("old", id: [1]))
                #expect(try describe(a) == ["opened "])
            }
        }
    }

    @Test func uniqueChannelsAreRefusedLocally() throws {
        let a = ProtocolMux()
        let first = try a.open(identity)
        #expect(throws: ChannelError.duplicate) { try a.open(identity) }
        #expect(a.takeMessages().count == 1)
        a.close(first)
        _ = try a.open(identity)
        // The first id stays reserved until the peer answers.
        #expect(a.takeMessages().messages == [[0, 3, 1], [0, 1, 2, 1, 0x70, 1, 1]])
        #expect(a.channelCount == 1)
    }

    @Test func theEndOfTheStreamClosesEveryChannelAfterWhatArrivedBefore() throws {
        let a = ProtocolMux()
        let b = ProtocolMux()
        let (sender, receiver) = try connect(a, b)
        _ = try b.open(ChannelIdentity("waiting"))
        try a.send(sender, type: 0, payload: [1])
        b.receive(a.takeMessages())
        b.streamEnded()
        #expect(throws: ChannelError.closed) { try b.open(ChannelIdentity("late")) }
        #expect(try describe(b) == ["message 0 01", "closed remote", "closed remote"])
        #expect(!b.isCurrent(receiver))
        #expect(!b.hasMessages)
        b.receive([0, 1, 9, 9])
        #expect(try describe(b) == [])
    }

    @Test func batchesMayLieInsideEachOtherOnlySoDeep() throws {
        func nested(_ depth: Int) -> [UInt8] {
            var inner: [UInt8] = [1, 0x41]
            for level in 0..<depth {
                var writer = ByteWriter()
                writer.writeBytes([0, level == 0 ? 9 : 0])
                writer.writeBuffer(inner)
                inner = writer.bytes
            }
            return [0] + inner
        }
        let mux = ProtocolMux()
        mux.receive(nested(ProtocolMux.Limits.batchDepth))
        #expect(throws: Never.self) { try mux.pollEvent() }
        mux.receive(nested(ProtocolMux.Limits.batchDepth + 1))
        #expect(throws: ProtocolMuxError.batchTooDeep) { try mux.pollEvent() }
    }

    @Test func arbitraryMessagesNeverTrap() {
        var random = SecureRandom(seed: Bytes32(repeating: 11))
        for _ in 0..<300 {
            let mux = ProtocolMux()
            var channels: [ChannelID] = []
            var isViolated = false
            for _ in 0..<40 where !isViolated {
                // Small numbers, so that most messages mean something.
                let count = Int.random(in: 0...24, using: &random)
                mux.receive((0..<count).map { _ in UInt8.random(in: 0...5, using: &random) })
                if Bool.random(using: &random), let channel = channels.randomElement(using: &random) {
                    mux.close(channel)
                }
                do throws(ProtocolMuxError) {
                    while let event = try mux.pollEvent() {
                        guard case .pairRequest(let identity) = event else { continue }
                        if Bool.random(using: &random), let channel = try? mux.open(identity) {
                            channels.append(channel)
                        }
                        mux.rejectUnclaimed(identity)
                    }
                } catch {
                    isViolated = true
                }
                _ = mux.takeMessages()
            }
            mux.streamEnded()
            #expect(throws: Never.self) { try describe(mux) }
            #expect(!channels.contains { mux.isCurrent($0) })
            #expect(mux.channelCount == 0)
            #expect(mux.bufferedByteCount == 0)
        }
    }

    @Test func tooManyQueuedOpensAreRejected() throws {
        let mux = ProtocolMux()
        let limit = ProtocolMux.Limits.queuedOpenCount
        for id in 1...limit + 2 { mux.receive(open(id: id, name: "p", handshakeByteCount: 0)) }
        var requestCount = 0
        while let event = try mux.pollEvent() {
            if case .pairRequest = event { requestCount += 1 }
        }
        #expect(requestCount == limit)
        var rejects = ByteWriter()
        rejects.writeBytes([0, 2])
        rejects.writeUInt(limit + 1)
        #expect(mux.takeMessages().messages.first == rejects.bytes)
    }

    @Test func largeOpensAreRejected() throws {
        let mux = ProtocolMux()
        mux.receive(open(id: 1, name: "p", handshakeByteCount: ProtocolMux.Limits.openByteCount))
        #expect(try describe(mux) == [])
        #expect(mux.takeMessages().messages == [[0, 2, 1]])
        let count = ProtocolMux.Limits.queuedOpenByteCount / 60_000
        for id in 1...count + 1 { mux.receive(open(id: id, name: "p", handshakeByteCount: 60_000)) }
        #expect(try describe(mux).count == count)
        #expect(mux.takeMessages().count == 1)
    }

    @Test func theNumberOfChannelsIsLimited() throws {
        let mux = ProtocolMux()
        for number in 0..<ProtocolMux.Limits.channelCount {
            _ = try mux.open(ChannelIdentity("p", id: [UInt8(number & 255), UInt8(number >> 8)]))
        }
        #expect(throws: ChannelError.tooManyChannels) { try mux.open(ChannelIdentity("q")) }
    }

    @Test func aPeerCannotHaveMoreChannelsThanTheLimit() throws {
        let mux = ProtocolMux()
        var violation: ProtocolMuxError?
        for id in 1...ProtocolMux.Limits.channelCount + 2 {
            mux.receive(open(id: id, name: "p", handshakeByteCount: 0))
            do throws(ProtocolMuxError) {
                while let event = try mux.pollEvent() {
                    guard case .pairRequest(let identity) = event else { continue }
                    _ = try? mux.open(identity, isUnique: false)
                    mux.rejectUnclaimed(identity)
                }
            } catch {
                violation = error
            }
            _ = mux.takeMessages()
            if violation != nil {
                #expect(id == ProtocolMux.Limits.channelCount + 2)
            }
        }
        #expect(violation == .invalidOpen)
    }

    private func open(id: Int, name: String, handshakeByteCount: Int) -> [UInt8] {
        var writer = ByteWriter()
        writer.writeBytes([0, 1])
        writer.writeUInt(id)
        writer.writeString(name)
        writer.writeBuffer([])
        writer.writeBytes([UInt8](repeating: 0, count: handshakeByteCount))
        return writer.bytes
    }

    private func connect(_ a: ProtocolMux, _ b: ProtocolMux) throws -> (ChannelID, ChannelID) {
        let first = try a.open(identity)
        let second = try b.open(identity)
        #expect(try exchange(from: a, to: b) == ["opened "])
        #expect(try exchange(from: b, to: a) == ["opened "])
        return (first, second)
    }

    private func exchange(from sender: ProtocolMux, to receiver: ProtocolMux) throws -> [String] {
        receiver.receive(sender.takeMessages())
        return try describe(receiver)
    }

    private func describe(_ mux: ProtocolMux) throws -> [String] {
        var events: [String] = []
        while let event = try mux.pollEvent() {
            switch event {
            case .opened(_, let handshake): events.append("opened \(Hex.encode(handshake.bytes))")
            case .message(_, let type, let payload): events.append("message \(type) \(Hex.encode(payload.bytes))")
            case .closed(_, let isRemote): events.append(isRemote ? "closed remote" : "closed local")
            case .pairRequest(let identity): events.append("pair \(identity.protocolName)")
            }
        }
        return events
    }
}
