import DWebBase
import DWebStreamFuzz

@testable import DWebStreamCore

/// One stream with one or two sockets, fed with crafted datagrams by hand.
final class StreamFixture {
    static let peer = SocketAddress(ipv4: 10, 0, 0, 2, port: 2_000)

    let multiplexer = UDXMultiplexer()
    let socket: SocketID
    let otherSocket: SocketID
    let stream: UDXStream
    var now = MonotonicTime(milliseconds: 1_000)
    var received: [UInt8] = []
    var events: [UDXEvent] = []
    var firewallCalls: [UDXArrival] = []
    var decision = UDXFirewallDecision.reject
    var readsAutomatically = true
    private(set) var lastDestination: SocketAddress?
    private(set) var lastSocket: SocketID?

    init(
        localID: UInt32 = 0x1111, remoteID: UInt32 = 0x0a0b_0c0d, isConnected: Bool = true,
        _ change: (inout UDXStreamOptions) -> Void = { _ in }
    ) throws {
        socket = multiplexer.addSocket(family: .ipv4)
        otherSocket = multiplexer.addSocket(family: .ipv4)
        var options = UDXStreamOptions()
        // Crafted and recorded packets count on the reference's window.
        options.receiveWindowByteCount = 4 << 20
        options.initialReceiveWindowByteCount = 4 << 20
        change(&options)
        let judge = Judge()
        stream = try multiplexer.createStream(localID: localID, options: options) { judge.decide($0) }
        judge.fixture = self
        if isConnected {
            try stream.connect(on: socket, remoteID: remoteID, address: StreamFixture.peer)
        }
    }

    private final class Judge {
        weak var fixture: StreamFixture?

        func decide(_ arrival: UDXArrival) -> UDXFirewallDecision {
            fixture?.firewallCalls.append(arrival)
            return fixture?.decision ?? .reject
        }
    }

    /// Gives a datagram to the multiplexer; false if it was a plain datagram.
    @discardableResult
    func receive(_ bytes: [UInt8], on arrival: SocketID? = nil, from source: SocketAddress = StreamFixture.peer) -> Bool
    {
        var batch = DatagramBatch()
        batch.append(bytes, address: source)
        let plain = multiplexer.handle(batch, on: arrival ?? socket, now: now)
        drain()
        return plain.isEmpty
    }

    /// A packet for the stream.
    func packet(
        _ flags: UDXPacketFlags, sequence: UInt32 = 0, acknowledgement: UInt32 = 0, window: UInt32 = 4 << 20,
        offset: UInt8 = 0, blocks: [SACKBlock] = [], _ payload: [UInt8] = []
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        UDXHeader(
            flags: flags, dataOffset: offset, streamID: stream.localID, window: window, sequence: sequence,
            acknowledgement: acknowledgement
        ).append(to: &bytes)
        for block in blocks { block.append(to: &bytes) }
        return bytes + payload
    }

    func drain() {
        while let (stream, event) = multiplexer.pollEvent() {
            if event == .readable {
                if readsAutomatically { received += stream.readAll() }
            } else {
                events.append(event)
            }
        }
    }

    func forget() {
        received = []
        events = []
    }

    /// Everything that the multiplexer sends now.
    func transmit() -> [[UInt8]] {
        var sent: [[UInt8]] = []
        repeat {
            multiplexer.transmit(now: now) { socket, batch in
                for entry in batch.entries {
                    sent.append(batch.payload(of: entry))
                    lastDestination = entry.address
                    lastSocket = socket
                }
            }
            drain()
        } while multiplexer.nextDeadline == .zero
        return sent
    }

    /// The headers of everything that is sent now.
    func transmitHeaders() -> [UDXHeader] { transmit().map { UDXHeader($0, in: 0..<$0.count)! } }

    /// Moves time on and runs what became due.
    func advance(_ duration: Duration) {
        now = now + duration
        multiplexer.wake(now: now)
        drain()
    }
}
