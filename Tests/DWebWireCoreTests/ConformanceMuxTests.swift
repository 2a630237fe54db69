import DWebBase
import DWebWireCore
import Testing

/// Item 9 of the checklist in spec 30 section I: the transcript of section B.4, played by both sides.
@Suite struct ConformanceMuxTests {
    private func encode(string: String) -> [UInt8] {
        var writer = ByteWriter()
        writer.writeString(string)
        return writer.bytes
    }

    /// What a side says next, in hexadecimal.
    private func said(_ mux: ProtocolMux) -> [String] { mux.takeMessages().messages.map { Hex.encode($0) } }

    private func events(_ mux: ProtocolMux) throws -> [String] {
        var events: [String] = []
        while let event = try mux.pollEvent() {
            switch event {
            case .opened(_, let handshake): events.append("opened \(Hex.encode(handshake.bytes))")
            case .message(_, let type, let payload): events.append("message \(type) \(Hex.encode(payload.bytes))")
            case .closed(_, let isRemote): events.append(isRemote ? "closed remote" : "closed local")
            case .pairRequest(let identity):
                events.append("pair \(identity.protocolName)")
                mux.rejectUnclaimed(identity)
            }
        }
        return events
    }

    @Test func theSpecifiedTranscript() throws {
        let a = ProtocolMux()
        let b = ProtocolMux()
        let foo = ChannelIdentity("foo", id: [0xab])
        let first = try a.open(foo, handshake: encode(string: "hsA"))
        try a.send(first, type: 0, payload: encode(string: "early"))
        let opening = a.takeMessages()
        #expect(opening.messages.map { Hex.encode($0) } == ["00010103666f6f01ab03687341", "0100056561726c79"])
        let second = try b.open(foo, handshake: encode(string: "hsB"))
        let answer = b.takeMessages()
        #expect(answer.messages.map { Hex.encode($0) } == ["00010103666f6f01ab03687342"])
        b.receive(opening)
        #expect(try events(b) == ["opened 03687341", "message 0 056561726c79"])
        a.receive(answer)
        #expect(try events(a) == ["opened 03687342"])

        a.cork()
        try a.send(first, type: 0, payload: encode(string: "x"))
        try a.send(first, type: 1, payload: [0xfd, 0x2c, 0x01])
        let bar = try a.open(ChannelIdentity("bar"))
        try a.send(bar, type: 0, payload: [5])
        try a.send(first, type: 1, payload: [7])
        a.uncork()
        let batch = a.takeMessages()
        let items = ["03000178", "0401fd2c01", "0000", "0701020362617200", "0002", "020005", "0001", "020107"]
        #expect(batch.messages.map { Hex.encode($0) } == ["000001" + items.joined()])
        b.receive(batch)
        #expect(try events(b) == ["message 0 0178", "message 1 fd2c01", "pair bar", "message 1 07"])
        #expect(said(b) == ["000000020202"])
        b.close(second)
        #expect(said(b) == ["000301"])
    }
}
