import DWeb
import DWebStreamCore
import DWebEssentials

/// One end of a measurement: a socket, its streams, and the pump between them, on the runtime's loop.
actor TransportEnd {
    /// What this end does with one stream.
    private final class Flow {
        let stream: UDXStream
        let isListener: Bool
        let mode: TransportInvitation.Mode
        /// Bytes still to be written.
        var unwritten = 0
        var writeByteCount = 65_536
        var chunk: [UInt8] = []
        var isBlocked = false
        var endsAfterwards = false
        var sendPattern: TransportPattern?
        var receivePattern: TransportPattern?
        var isIntact = true
        var receivedCount = 0
        /// What an inviting end got back.
        var answer: [UInt8] = []
        var firstByteTime: MonotonicTime?
        var lastByteTime: MonotonicTime?
        var cpuAtStart = 0.0
        var allocationsAtStart: Int?
        var waiter: CheckedContinuation<UDXCloseReason, Never>?
        var byteWaiter: CheckedContinuation<MonotonicTime, Never>?

        init(stream: UDXStream, isListener: Bool, mode: TransportInvitation.Mode) {
            self.stream = stream
            self.isListener = isListener
            self.mode = mode
        }
    }

    /// How one upload went, seen from the sender.
    struct Outcome: Sendable {
        let reason: UDXCloseReason
        let seconds: Double
        let cpuSeconds: Double
        let allocations: Int?
        let statistics: UDXStatistics
        let report: TransportReport?
    }

    nonisolated let loop: PosixLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    private let multiplexer = UDXMultiplexer()
    private var socket: (any DatagramSocket)?
    private var socketID = SocketID(index: 0)
    private var flows: [UInt32: Flow] = [:]
    private var invitations: [UInt32: CheckedContinuation<Bool, Never>] = [:]
    private var nextStreamID = UInt32.random(in: 1...1 << 30)
    private var timer: (any LoopTimer)?
    private var armedDeadline: MonotonicTime?
    private static let writesPerTurn = 16

    init(loop: PosixLoop) { self.loop = loop }

    /// The number of streams that are open.
    var streamCount: Int { multiplexer.streamCount }

    /// Binds the socket; returns its address.
    func bind(_ address: SocketAddress) async throws -> SocketAddress {
        let network = PosixNetwork(loop: loop)
        let socket = try await network.bind(DatagramSocketOptions(address: address)) { [weak self] batch in
            self?.assumeIsolated { $0.receive(batch) }
        }
        self.socket = socket
        socketID = multiplexer.addSocket(family: address.family)
        return socket.localAddress
    }

    func close() {
        multiplexer.removeSocket(socketID)
        turn()
        timer?.cancel()
        socket?.close()
    }

    // MARK: Inviting

    /// Agrees with the end at `address` on a stream and connects it.
    func open(
        to address: SocketAddress, _ change: (inout TransportInvitation) -> Void = { _ in }
    ) async throws -> UInt32 {
        nextStreamID &+= 1
        var invitation = TransportInvitation(streamID: nextStreamID)
        change(&invitation)
        let id = invitation.streamID
        let stream = try multiplexer.createStream(localID: id, options: invitation.options)
        let flow = Flow(stream: stream, isListener: false, mode: invitation.mode)
        flows[id] = flow
        for _ in 0..<40 {
            send(invitation.bytes, to: address)
            let isAnswered = await withCheckedContinuation { continuation in
                invitations[id] = continuation
                _ = loop.schedule(at: loop.now + .milliseconds(500)) { [weak self] in
                    self?.assumeIsolated { $0.invitations.removeValue(forKey: id)?.resume(returning: false) }
                }
            }
            guard isAnswered else { continue }
            try stream.connect(on: socketID, remoteID: invitation.listenerStreamID, address: address)
            return id
        }
        stream.destroy()
        flows[id] = nil
        throw CommandFailure(.network, "Nobody answers at \(address).")
    }

    /// Sends `byteCount` bytes through the stream, or as many as go in `duration`, ends it and waits until both sides
    /// are
    /// done with it.
    func upload(
        _ byteCount: Int, in duration: Duration? = nil, through id: UInt32, writeByteCount: Int, isVerified: Bool
    ) async -> Outcome? {
        guard let flow = flows[id] else { return nil }
        let start = loop.now
        let cpu = TransportFigures.cpuSeconds
        let allocations = TransportFigures.allocations
        flow.unwritten = byteCount
        flow.writeByteCount = writeByteCount
        flow.endsAfterwards = true
        if isVerified { flow.sendPattern = TransportPattern() }
        if let duration {
            _ = loop.schedule(at: start + duration) { [weak self] in self?.assumeIsolated { $0.finish(id) } }
        }
        let reason = await withCheckedContinuation { continuation in
            flow.waiter = continuation
            turn()
        }
        return Outcome(
            reason: reason, seconds: (loop.now - start).seconds, cpuSeconds: TransportFigures.cpuSeconds - cpu,
            allocations: allocations.flatMap { before in TransportFigures.allocations.map { $0 - before } },
            statistics: flow.stream.statistics,
            report: try? JSONDecoder().decode(TransportReport.self, from: Data(flow.answer.dropFirst())))
    }

    /// Measurements of an open stream; nil once it is gone.
    func statistics(of id: UInt32) -> UDXStatistics? { flows[id]?.stream.statistics }

    private func finish(_ id: UInt32) {
        guard let flow = flows[id] else { return }
        flow.unwritten = 0
        try? flow.stream.end()
        turn()
    }

    /// Gives a stream up.
    func destroy(_ id: UInt32) {
        flows[id]?.stream.destroy()
        turn()
    }

    /// Writes one byte and returns how long the first byte took to come back.
    func firstByteDelay(through id: UInt32) async throws -> Duration {
        guard let flow = flows[id] else { return .zero }
        let start = MonotonicTime(nanoseconds: loop.now.nanoseconds)
        try flow.stream.write([1])
        let arrival = await withCheckedContinuation { continuation in
            flow.byteWaiter = continuation
            turn()
        }
        return arrival - start
    }

    // MARK: Pump

    private func receive(_ batch: DatagramBatch) {
        for index in multiplexer.handle(batch, on: socketID, now: loop.now) {
            let entry = batch.entries[index]
            guard let invitation = TransportInvitation(batch.bytes[entry.range]) else { continue }
            if let waiter = invitations.removeValue(forKey: invitation.streamID) {
                waiter.resume(returning: true)
            } else if flows[invitation.streamID] == nil {
                accept(invitation, from: entry.address)
            }
        }
        turn()
    }

    private func accept(_ invitation: TransportInvitation, from address: SocketAddress) {
        let id = invitation.listenerStreamID
        if flows[id] == nil {
            guard let stream = try? multiplexer.createStream(localID: id, options: invitation.options),
                (try? stream.connect(on: socketID, remoteID: invitation.streamID, address: address)) != nil
            else { return }
            let flow = Flow(stream: stream, isListener: true, mode: invitation.mode)
            if invitation.isVerified { flow.receivePattern = TransportPattern() }
            flow.cpuAtStart = TransportFigures.cpuSeconds
            flow.allocationsAtStart = TransportFigures.allocations
            flows[id] = flow
            // Both ends of every connection begin with a header, from whose acknowledgement each learns the round-trip time.
            if invitation.mode == .sink { _ = try? stream.write([TransportReport.mark]) }
        }
        send(invitation.bytes, to: address)
    }

    private func send(_ bytes: [UInt8], to address: SocketAddress) {
        var batch = DatagramBatch()
        batch.append(bytes, address: address)
        socket?.send(batch)
    }

    private func turn() {
        while let (stream, event) = multiplexer.pollEvent() {
            if let flow = flows[stream.localID] { handle(event, of: flow) }
        }
        for flow in flows.values where flow.unwritten > 0 && !flow.isBlocked { write(flow) }
        multiplexer.transmit(now: loop.now) { _, batch in socket?.send(batch) }
        arm()
    }

    private func write(_ flow: Flow) {
        for _ in 0..<TransportEnd.writesPerTurn where flow.unwritten > 0 && !flow.isBlocked {
            let count = min(flow.unwritten, flow.writeByteCount)
            if flow.chunk.count != count { flow.chunk = [UInt8](repeating: 0x61, count: count) }
            let chunk = flow.sendPattern?.next(count) ?? flow.chunk
            flow.unwritten -= count
            flow.isBlocked = (try? flow.stream.write(chunk)) != true
        }
        if flow.unwritten == 0, flow.endsAfterwards { try? flow.stream.end() }
    }

    private func handle(_ event: UDXEvent, of flow: Flow) {
        switch event {
        case .readable: while case let bytes = flow.stream.read(), !bytes.isEmpty { take(bytes, flow) }
        case .drained: flow.isBlocked = false
        case .ended:
            guard flow.isListener else { return }
            if flow.mode != .echo, let report = report(of: flow) { _ = try? flow.stream.write(report) }
            try? flow.stream.end()
        case .closed(let reason):
            flow.waiter?.resume(returning: reason)
            flow.waiter = nil
            flow.byteWaiter?.resume(returning: loop.now)
            flow.byteWaiter = nil
            flows[flow.stream.localID] = nil
        case .message, .remoteChanged: break
        }
    }

    private func take(_ bytes: [UInt8], _ flow: Flow) {
        guard !bytes.isEmpty else { return }
        let now = loop.now
        if flow.firstByteTime == nil { flow.firstByteTime = now }
        flow.lastByteTime = now
        flow.receivedCount += bytes.count
        if flow.receivePattern?.matches(bytes) == false { flow.isIntact = false }
        if !flow.isListener {
            flow.byteWaiter?.resume(returning: now)
            flow.byteWaiter = nil
            if flow.answer.count < 65_536, flow.mode != .echo { flow.answer += bytes }
        } else if flow.mode == .echo {
            _ = try? flow.stream.write(bytes)
        }
    }

    private func report(of flow: Flow) -> [UInt8]? {
        let report = TransportReport(
            byteCount: flow.receivedCount,
            seconds: flow.firstByteTime.flatMap { first in flow.lastByteTime.map { ($0 - first).seconds } } ?? 0,
            cpuSeconds: TransportFigures.cpuSeconds - flow.cpuAtStart,
            allocations: flow.allocationsAtStart.flatMap { before in TransportFigures.allocations.map { $0 - before } },
            isIntact: flow.receivePattern == nil ? nil : flow.isIntact)
        return (try? JSONEncoder().encode(report)).map(Array.init)
    }

    private func arm() {
        guard let deadline = multiplexer.nextDeadline else { return }
        if let armedDeadline, armedDeadline <= deadline { return }
        timer?.cancel()
        armedDeadline = deadline
        timer = loop.schedule(at: deadline) { [weak self] in self?.assumeIsolated { $0.wake() } }
    }

    private func wake() {
        timer = nil
        armedDeadline = nil
        multiplexer.wake(now: loop.now)
        turn()
    }
}
