import DWebBase
import Testing

@testable import DWebStreamCore

/// Items 25 to 31 and 41 to 46 of the conformance checklist, spec 10 section 15.
@Suite struct UDXLifecycleTests {
    private let hello = Array("hello".utf8)

    @Test func item25BothEndedCloses() throws {
        let network = SimulatedNetwork()
        let (a, b) = (network.addNode(), network.addNode())
        let (left, right) = try network.connectPair()
        try left.write(hello)
        try left.end()
        network.run(for: .milliseconds(100))
        #expect(b.log[2] == [.ended])
        #expect(left.closeReason == nil)
        try right.end()
        #expect(network.run(for: .seconds(1)) { left.closeReason != nil && right.closeReason != nil })
        #expect(a.log[1] == [.ended, .closed(.finished)])
        #expect(b.log[2] == [.ended, .closed(.finished)])
        #expect(!network.sent.contains { $0.flags.contains(.destroy) })
        #expect(a.multiplexer.streamCount == 0)
        #expect(b.multiplexer.streamCount == 0)
    }

    @Test func item26Destroy() throws {
        for sequence: UInt32 in [0, 5, 1 << 20] {
            let fixture = try StreamFixture()
            fixture.receive(fixture.packet(.destroy, sequence: sequence))
            #expect(fixture.events == [.closed(.reset)])
            #expect(fixture.multiplexer.streamCount == 0)
        }
        let fixture = try StreamFixture()
        fixture.receive(fixture.packet(.data, sequence: 0, [1]))
        fixture.receive(fixture.packet(.destroy, sequence: 0))
        #expect(fixture.events.isEmpty)
    }

    @Test func item27DestroyIsSentOnce() throws {
        let fixture = try StreamFixture()
        fixture.receive(fixture.packet(.data, [1]))
        _ = fixture.transmit()
        fixture.stream.destroy()
        fixture.stream.destroy()
        #expect(fixture.transmit().map { Hex.encode($0) } == ["ff0110000d0c0b0a000040000000000001000000"])
        fixture.advance(.seconds(60))
        #expect(fixture.transmit().isEmpty)
        #expect(fixture.events == [.closed(.destroyed)])
        #expect(throws: UDXError.closed) { try fixture.stream.write([1]) }
        let silent = try StreamFixture(isConnected: false)
        silent.stream.destroy()
        #expect(silent.transmit().isEmpty)
        #expect(silent.events == [.closed(.destroyed)])
    }

    @Test func item28DataBeforeConnect() throws {
        let fixture = try StreamFixture(isConnected: false)
        fixture.receive(fixture.packet(.data, hello))
        #expect(fixture.firewallCalls.count == 1)
        #expect(fixture.received.isEmpty)
        fixture.decision = .accept
        fixture.receive(fixture.packet(.data, hello))
        fixture.receive(fixture.packet(.end, sequence: 1))
        #expect(fixture.received == hello)
        #expect(fixture.events.isEmpty)
        #expect(fixture.transmit().isEmpty)
        try fixture.stream.connect(on: fixture.socket, remoteID: 9, address: StreamFixture.peer)
        let answers = fixture.transmitHeaders()
        #expect(answers.map(\.acknowledgement) == [2])
        #expect(answers.map(\.streamID) == [9])
        #expect(fixture.events == [.ended])
        #expect(throws: UDXError.alreadyConnected) {
            try fixture.stream.connect(on: fixture.socket, remoteID: 9, address: StreamFixture.peer)
        }
    }

    @Test func item28FirewallConnects() throws {
        let fixture = try StreamFixture(isConnected: false)
        fixture.decision = .acceptAndConnect(remoteID: 77)
        let source = try #require(SocketAddress(host: "::ffff:10.1.2.3", port: 999))
        fixture.receive(fixture.packet(.data, hello), on: fixture.otherSocket, from: source)
        #expect(fixture.received == hello)
        #expect(fixture.transmitHeaders().map(\.streamID) == [77])
        #expect(fixture.lastDestination == SocketAddress(ipv4: 10, 1, 2, 3, port: 999))
        #expect(fixture.lastSocket == fixture.otherSocket)
    }

    @Test func item29FirewallAsksOnlyForOtherSockets() throws {
        let fixture = try StreamFixture()
        fixture.receive(fixture.packet(.data, hello))
        #expect(fixture.firewallCalls.isEmpty)
        fixture.receive(fixture.packet(.data, sequence: 1, hello), on: fixture.otherSocket)
        #expect(fixture.firewallCalls.map(\.isConnected) == [true])
        #expect(fixture.received == hello)
        fixture.decision = .accept
        fixture.receive(fixture.packet(.data, sequence: 1, hello), on: fixture.otherSocket)
        #expect(fixture.received == hello + hello)
        _ = fixture.transmit()
        #expect(fixture.lastSocket == fixture.socket)
        // Port 0 is refused without asking.
        let count = fixture.firewallCalls.count
        let nowhere = SocketAddress(ipv4: 10, 0, 0, 9, port: 0)
        fixture.receive(fixture.packet(.data, sequence: 2, hello), on: fixture.otherSocket, from: nowhere)
        #expect(fixture.firewallCalls.count == count)
        #expect(fixture.received == hello + hello)
    }

    @Test func item30AnySourceOnTheOwnSocket() throws {
        let fixture = try StreamFixture()
        fixture.receive(fixture.packet(.data, hello), from: SocketAddress(ipv4: 1, 2, 3, 4, port: 5))
        #expect(fixture.received == hello)
        _ = fixture.transmit()
        #expect(fixture.lastDestination == StreamFixture.peer)
    }

    @Test func item31ChangeRemote() throws {
        let network = SimulatedNetwork()
        let a = network.addNode(socketCount: 2)
        let b = network.addNode()
        let left = try a.multiplexer.createStream(localID: 1) { _ in .accept }
        try left.connect(on: a.sockets[0], remoteID: 2, address: b.addresses[0])
        let right = try b.multiplexer.createStream(localID: 2)
        try right.connect(on: b.sockets[0], remoteID: 1, address: a.addresses[0])
        try left.write(testBytes(5_000))
        network.drops = { $0.isNumbered && $0.header?.sequence == 1 && $0.time < 1_000_000_001 }
        network.run(for: .milliseconds(1))
        let other = SocketAddress(ipv4: 10, 9, 9, 9, port: 1)
        try left.changeRemote(on: a.sockets[1], remoteID: 55, address: other)
        try left.write(testBytes(3_000))
        network.run(for: .milliseconds(200))
        let resent = network.sent.filter { $0.isNumbered && $0.header?.sequence == 1 }
        #expect(resent.count >= 2)
        #expect(resent.allSatisfy { $0.destination == b.addresses[0] && $0.header?.streamID == 2 })
        let new = network.sent.filter { $0.isNumbered && $0.header!.sequence > 4 }
        #expect(!new.isEmpty)
        #expect(
            new.allSatisfy {
                $0.destination == other && $0.source == a.addresses[1] && $0.header?.streamID == 55
            })
        #expect(a.log[1]?.contains(.remoteChanged) == true)
        let idle = try StreamFixture()
        try idle.stream.changeRemote(on: idle.otherSocket, remoteID: 3, address: other)
        idle.drain()
        #expect(idle.events == [.remoteChanged])
    }

    @Test func changeOfRemoteByFirewall() throws {
        let fixture = try StreamFixture()
        fixture.decision = .acceptAndChangeRemote(remoteID: 0x0a0b_0c0d)
        let source = SocketAddress(ipv4: 10, 0, 0, 3, port: 3)
        fixture.receive(fixture.packet(.data, hello), on: fixture.otherSocket, from: source)
        #expect(fixture.received == hello)
        #expect(fixture.transmitHeaders().count == 1)
        #expect(fixture.lastDestination == source)
        #expect(fixture.stream.remoteAddress == source)
    }

    @Test func wanderingRemotesAreBounded() throws {
        let fixture = try StreamFixture()
        try fixture.stream.write(hello)
        _ = fixture.transmit()
        for port: UInt16 in 1...100 {
            try fixture.stream.changeRemote(
                on: fixture.socket, remoteID: 5, address: StreamFixture.peer.with(port: port))
        }
        try fixture.stream.write(hello)
        _ = fixture.transmit()
        #expect(fixture.lastDestination?.port == 100)
        #expect(fixture.stream.machine.destinations.count == UDXLimits.destinations)
        fixture.receive(fixture.packet([], acknowledgement: 2))
        #expect(fixture.stream.machine.destinations.count == 1)
        #expect(fixture.events == [.remoteChanged])
        try fixture.stream.write(hello)
        _ = fixture.transmit()
        #expect(fixture.lastDestination?.port == 100)
    }

    @Test func lateEndIsAnswered() throws {
        let network = SimulatedNetwork()
        let (a, b) = (network.addNode(), network.addNode())
        let (left, right) = try network.connectPair()
        try left.end()
        network.run(for: .milliseconds(100))
        // The last acknowledgement, of the right side's end, is lost.
        network.drops = { $0.destination == b.addresses[0] && $0.time < 1_900_000_000 }
        try right.end()
        #expect(network.run(for: .seconds(1)) { left.closeReason == .finished })
        #expect(right.closeReason == nil)
        #expect(network.run(for: .seconds(5)) { right.closeReason != nil })
        #expect(right.closeReason == .finished)
        #expect(a.plainCount == 0)
        // The memory of it fades.
        network.run(for: .seconds(30))
        let late = UDXHeader(flags: .end, streamID: 1, window: 0, sequence: 0, acknowledgement: 0)
        var bytes: [UInt8] = []
        late.append(to: &bytes)
        let count = network.sent.count
        network.inject(bytes, from: b.addresses[0], to: a.addresses[0])
        network.run(for: .seconds(1))
        #expect(a.plainCount == 1)
        #expect(network.sent.count == count)
    }

    @Test func tombstonesAreBounded() throws {
        let multiplexer = UDXMultiplexer()
        let socket = multiplexer.addSocket(family: .ipv4)
        let now = MonotonicTime(milliseconds: 1)
        func packet(_ flags: UDXPacketFlags, _ id: UInt32, acknowledgement: UInt32) -> DatagramBatch {
            var batch = DatagramBatch()
            batch.append(address: StreamFixture.peer) {
                UDXHeader(
                    flags: flags, streamID: id, window: 0, sequence: 0, acknowledgement: acknowledgement
                ).append(to: &$0)
            }
            return batch
        }
        for id in 1...UInt32(UDXLimits.tombstones + 1) {
            let stream = try multiplexer.createStream(localID: id)
            try stream.connect(on: socket, remoteID: id, address: StreamFixture.peer)
            try stream.end()
            multiplexer.transmit(now: now) { _, _ in }
            _ = multiplexer.handle(packet(.end, id, acknowledgement: 1), on: socket, now: now)
            #expect(stream.closeReason == .finished)
        }
        #expect(multiplexer.handle(packet(.end, 1, acknowledgement: 0), on: socket, now: now) == [0])
        #expect(multiplexer.handle(packet(.end, 2, acknowledgement: 0), on: socket, now: now) == [])
    }

    @Test func items41to42Relay() throws {
        let network = SimulatedNetwork()
        let (a, b) = (network.addNode(), network.addNode())
        let relay = network.addNode()
        let socket = relay.sockets[0]
        // A relay learns where its ends are from their first packets.
        let towardsA = try relay.multiplexer.createStream(localID: 11) { _ in .acceptAndConnect(remoteID: 1) }
        let towardsB = try relay.multiplexer.createStream(localID: 12)
        try towardsB.connect(on: socket, remoteID: 2, address: b.addresses[0])
        try towardsA.relay(to: towardsB)
        try towardsB.relay(to: towardsA)
        let left = try a.multiplexer.createStream(localID: 1)
        let right = try b.multiplexer.createStream(localID: 2)
        try left.connect(on: a.sockets[0], remoteID: 11, address: relay.addresses[0])
        try right.connect(on: b.sockets[0], remoteID: 12, address: relay.addresses[0])
        let bytes = testBytes(100_000)
        try left.write(bytes)
        try right.write(hello)
        network.run(for: .seconds(2))
        #expect(b.received[2] == bytes)
        #expect(a.received[1] == hello)
        let into = network.sent.filter { $0.source == a.addresses[0] }.map(\.bytes)
        let out = network.sent.filter { $0.destination == b.addresses[0] }.map(\.bytes)
        #expect(into.count == out.count)
        for (before, after) in zip(into, out) {
            #expect(before[0..<4] == after[0..<4] && before[8...] == after[8...])
            #expect(after[4..<8] == [2, 0, 0, 0])
        }
        left.destroy()
        network.run(for: .seconds(1))
        #expect(b.closeReason(2) == .reset)
        #expect(relay.closeReason(11) == .reset)
        #expect(relay.closeReason(12) == .destroyed)
        #expect(
            !network.sent.contains {
                $0.flags.contains(.destroy) && $0.source == relay.addresses[0]
                    && $0.destination == a.addresses[0]
            })
    }

    @Test func relayNeedsAnOpenDestination() throws {
        let multiplexer = UDXMultiplexer()
        let (first, second) = (
            try multiplexer.createStream(localID: 1), try multiplexer.createStream(localID: 2)
        )
        try first.relay(to: second)
        #expect(throws: UDXError.invalidArgument) { try first.relay(to: second) }
        first.destroy()
        #expect(throws: UDXError.invalidArgument) { try second.relay(to: first) }
    }

    @Test func items43to44Messages() throws {
        let fixture = try StreamFixture()
        fixture.receive(fixture.packet(.data, [1]))
        fixture.receive(fixture.packet(.message, sequence: 1))
        fixture.receive(fixture.packet(.message, sequence: 0, acknowledgement: 99, [2]))
        #expect(fixture.events == [.message([]), .message([2])])
        _ = fixture.transmit()
        try fixture.stream.sendMessage(hello)
        #expect(fixture.transmit().map { Hex.encode($0) } == ["ff0108000d0c0b0a00004000000000000100000068656c6c6f"])
        let unconnected = try StreamFixture(isConnected: false)
        #expect(throws: UDXError.notConnected) { try unconnected.stream.sendMessage(hello) }
    }

    @Test func misuseIsRefused() throws {
        let fixture = try StreamFixture(isConnected: false)
        #expect(throws: UDXError.notConnected) { try fixture.stream.write([1]) }
        #expect(throws: UDXError.notConnected) { try fixture.stream.end() }
        #expect(throws: UDXError.invalidArgument) {
            try fixture.stream.connect(
                on: fixture.socket, remoteID: 1, address: SocketAddress(ipv4: 1, 1, 1, 1, port: 0))
        }
        #expect(throws: UDXError.invalidArgument) {
            try fixture.stream.connect(on: SocketID(index: 9), remoteID: 1, address: StreamFixture.peer)
        }
        #expect(throws: UDXError.idInUse) { try fixture.multiplexer.createStream(localID: fixture.stream.localID) }
        try fixture.stream.connect(on: fixture.socket, remoteID: 1, address: StreamFixture.peer)
        try fixture.stream.end()
        #expect(throws: UDXError.ended) { try fixture.stream.write([1]) }
        for _ in 0..<UDXLimits.messagesQueued { try fixture.stream.sendMessage([]) }
        #expect(throws: UDXError.queueFull) { try fixture.stream.sendMessage([]) }
    }

    @Test func removingASocketDestroysItsStreams() throws {
        let fixture = try StreamFixture()
        #expect(fixture.multiplexer.streamCount(on: fixture.socket) == 1)
        fixture.multiplexer.removeSocket(fixture.socket)
        #expect(fixture.transmitHeaders().map(\.flags) == [.destroy])
        #expect(fixture.multiplexer.streamCount(on: fixture.socket) == 0)
        #expect(fixture.events == [.closed(.destroyed)])
    }
}
