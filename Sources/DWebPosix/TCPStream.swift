public import DWebBase
public import DWebPorts
import NIOCore
import NIOPosix
import Synchronization

/// A TCP connection as a duplex stream, for replication without a DHT.
public final class TCPStream: DuplexStream {
    private let channel: any Channel
    private let inbox: StreamInbox

    private init(channel: any Channel, inbox: StreamInbox) {
        self.channel = channel
        self.inbox = inbox
    }

    /// Connects to `address`.
    ///
    /// - Throws: ``PortError`` with code `failed` if nobody listens there or the network refuses.
    public static func connect(to address: DWebBase.SocketAddress, loop: PosixLoop) async throws(PortError) -> TCPStream
    {
        do {
            let inbox = StreamInbox()
            let channel = try await ClientBootstrap(group: loop.eventLoop)
                .channelOption(.autoRead, value: false)
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(StreamInboxHandler(inbox: inbox))
                    }
                }
                .connect(to: NIOCore.SocketAddress(address)).get()
            return TCPStream(channel: channel, inbox: inbox)
        } catch {
            throw PortError(.failed, "No connection to \(address): \(error)")
        }
    }

    /// Accepts connections on `address` until the returned listener is closed.
    ///
    /// - Parameter accept: Called on the loop with each connection.
    public static func listen(
        on address: DWebBase.SocketAddress, loop: PosixLoop, accept: @escaping @Sendable (TCPStream) -> Void
    ) async throws(PortError) -> TCPListener {
        do {
            let channel = try await ServerBootstrap(group: loop.eventLoop)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.autoRead, value: false)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .childChannelInitializer { channel in
                    let inbox = StreamInbox()
                    return channel.eventLoop.makeCompletedFuture {
                        // Only once the channel is active: a read asked for before is lost.
                        let handler = StreamInboxHandler(inbox: inbox) {
                            accept(TCPStream(channel: channel, inbox: inbox))
                        }
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                }
                .bind(to: NIOCore.SocketAddress(address)).get()
            return TCPListener(channel: channel)
        } catch {
            throw PortError(binding: error, address: address)
        }
    }

    /// The next bytes, nil at the end; see ``DuplexStream/read()``.
    public func read() async throws(PortError) -> [UInt8]? { try await inbox.next(from: channel) }

    /// Queues bytes and waits while too much is queued; see ``DuplexStream/write(_:)``.
    public func write(_ chunk: [UInt8]) async throws(PortError) {
        do {
            try await channel.writeAndFlush(ByteBuffer(bytes: chunk)).get()
        } catch {
            throw PortError(.connectionReset, "The connection was lost: \(error)")
        }
    }

    /// Ends the writable side; see ``DuplexStream/finish()``.
    public func finish() async { try? await channel.close(mode: .output).get() }

    /// Ends both sides at once; see ``DuplexStream/abort()``.
    public func abort() {
        channel.close(promise: nil)
        inbox.end(PortError(.closed, "The connection was closed"))
    }
}

/// A listening TCP socket.
public struct TCPListener: Sendable {
    private let channel: any Channel

    init(channel: any Channel) { self.channel = channel }

    /// The address it listens on, with the port the system chose.
    public var localAddress: DWebBase.SocketAddress? { channel.localAddress.flatMap { DWebBase.SocketAddress($0) } }

    /// Stops listening; accepted connections stay.
    public func close() async { try? await channel.close().get() }
}

/// What arrived and was not read yet: at most what one read of the channel gave.
private final class StreamInbox: Sendable {
    private struct State {
        var chunks: [[UInt8]] = []
        var waiter: CheckedContinuation<Result<[UInt8]?, PortError>, Never>?
        var ending: PortError??
    }

    private let state = Mutex(State())

    func receive(_ chunk: [UInt8]) {
        let waiter = state.withLock { state -> CheckedContinuation<Result<[UInt8]?, PortError>, Never>? in
            guard let waiter = state.waiter else {
                state.chunks.append(chunk)
                return nil
            }
            state.waiter = nil
            return waiter
        }
        waiter?.resume(returning: .success(chunk))
    }

    /// Marks the end: nil for an orderly one. The first mark counts.
    func end(_ error: PortError?) {
        let waiter = state.withLock { state -> CheckedContinuation<Result<[UInt8]?, PortError>, Never>? in
            if state.ending == nil { state.ending = .some(error) }
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(returning: error.map { .failure($0) } ?? .success(nil))
    }

    func next(from channel: any Channel) async throws(PortError) -> [UInt8]? {
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Result<[UInt8]?, PortError>, Never>) in
                let immediate: Result<[UInt8]?, PortError>? = state.withLock { state in
                    if !state.chunks.isEmpty { return .success(state.chunks.removeFirst()) }
                    if let ending = state.ending { return ending.map { .failure($0) } ?? .success(nil) }
                    precondition(state.waiter == nil, "a stream has one reader at a time")
                    state.waiter = continuation
                    return nil
                }
                if let immediate { continuation.resume(returning: immediate) } else { channel.read() }
            }
        } onCancel: {
            channel.close(promise: nil)
            self.end(PortError(.cancelled, "The read was cancelled"))
        }
        return try result.get()
    }
}

private final class StreamInboxHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let inbox: StreamInbox
    private let onActive: (() -> Void)?

    init(inbox: StreamInbox, onActive: (() -> Void)? = nil) {
        self.inbox = inbox
        self.onActive = onActive
    }

    func channelActive(context: ChannelHandlerContext) {
        onActive?()
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        inbox.receive(Array(buffer.readableBytesView))
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { inbox.end(nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) { inbox.end(nil) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        inbox.end(PortError(.connectionReset, "The connection was lost: \(error)"))
        context.close(promise: nil)
    }
}
