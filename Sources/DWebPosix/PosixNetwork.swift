import CDatagram
public import DWebBase
public import DWebPorts
import NIOCore
import NIOPosix

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// UDP sockets of the operating system, on a ``PosixLoop``.
public struct PosixNetwork: NetworkProvider {
    private let loop: PosixLoop
    // Every datagram of a peer fits: spec 20 section 2.2. A channel keeps its buffer, and there may be hundreds of them.
    private static let receiveByteCount = 2_048
    // mDNS messages may be as large as 9000 bytes: RFC 6762 section 17.
    private static let sharedReceiveByteCount = 9_216

    /// Sockets whose events arrive on `loop`.
    public init(loop: PosixLoop) { self.loop = loop }

    /// Binds a UDP socket; see ``NetworkProvider/bind(_:receive:)``.
    public func bind(
        _ options: DatagramSocketOptions, receive: @escaping @Sendable (DatagramBatch) -> Void
    ) async throws(PortError) -> any DatagramSocket {
        do {
            return try await bindChannel(options, receive: receive).get()
        } catch {
            throw PortError(binding: error, address: options.address)
        }
    }

    private func bindChannel(
        _ options: DatagramSocketOptions, receive: @escaping @Sendable (DatagramBatch) -> Void
    ) throws -> EventLoopFuture<PosixDatagramSocket> {
        let local = try NIOCore.SocketAddress(options.address)
        let bootstrap = bootstrap(isShared: options.isAddressReusable, receive: receive)
        return bootstrap.bind(to: local).flatMap { channel in
            #if os(Linux)
                let sized = channel.setOption(.datagramReceiveSegmentSize, value: true)
                    // An old kernel delivers datagrams one by one, which is only slower.
                    .flatMapError { _ in channel.eventLoop.makeSucceededVoidFuture() }
            #else
                let sized = channel.eventLoop.makeSucceededVoidFuture()
            #endif
            let marked = sized.flatMap { channel.setOption(.explicitCongestionNotification, value: true) }
                .flatMapError { _ in channel.eventLoop.makeSucceededVoidFuture() }
            return marked.flatMapThrowing { try PosixNetwork.start(channel, options) }
        }
    }

    /// A socket in the making, with or without others on the same port.
    func bootstrap(
        isShared: Bool, receive: @escaping @Sendable (DatagramBatch) -> Void
    ) -> DatagramBootstrap {
        let scratch = loop.receiveScratch
        let byteCount = isShared ? PosixNetwork.sharedReceiveByteCount : PosixNetwork.receiveByteCount
        return DatagramBootstrap(group: loop.eventLoop)
            .channelOption(.socketOption(.so_reuseaddr), value: isShared ? 1 : 0)
            .channelOption(.socketOption(.init(rawValue: SO_REUSEPORT)), value: isShared ? 1 : 0)
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: byteCount))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        DatagramReceiver(scratch: scratch.value, receive: receive))
                }
            }
    }

    static func start(
        _ channel: any Channel, _ options: DatagramSocketOptions
    ) throws -> PosixDatagramSocket {
        let pipeline = channel.pipeline.syncOperations
        let handle = try pipeline.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { $0 }
        guard let handle else { throw PortError(.failed, "The socket has no descriptor") }
        dweb_datagram_configure(
            handle, options.address.family == .ipv6 ? AF_INET6 : AF_INET,
            Int32(clamping: options.receiveBufferByteCount), Int32(clamping: options.sendBufferByteCount))
        let socket = try PosixDatagramSocket(channel: channel, descriptor: handle, options: options)
        try pipeline.handler(type: DatagramReceiver.self).start(handle)
        return socket
    }

    /// The addresses of this host's interfaces that are up.
    public func interfaceAddresses() -> [InterfaceAddress] {
        guard let devices = try? System.enumerateDevices() else { return [] }
        return devices.compactMap { device in
            guard let address = device.address.flatMap({ DWebBase.SocketAddress($0) }) else { return nil }
            let isLoopback =
                address.family == .ipv4
                ? address.ipv4Number >> 24 == 127
                : address.hasSameHost(as: DWebBase.SocketAddress(host: "::1", port: 0) ?? address)
            return InterfaceAddress(name: device.name, address: address.with(port: 0), isLoopback: isLoopback)
        }
    }

    /// The IPv4 addresses of a host name; see ``NetworkProvider/resolve(host:)``.
    public func resolve(host: String) async throws(PortError) -> [DWebBase.SocketAddress] {
        if let address = DWebBase.SocketAddress(host: host, port: 0) { return [address] }
        // The system's resolver blocks, so it runs on a thread that may.
        let found: [DWebBase.SocketAddress]
        do {
            found = try await NIOThreadPool.singleton.runIfActive { NameResolver.ipv4Addresses(of: host) }
        } catch {
            throw PortError(.failed, "The name \(host) could not be looked up: \(error)")
        }
        guard !found.isEmpty else { throw PortError(.notFound, "There is no host called \(host)") }
        return found
    }
}

extension PortError {
    /// Names what went wrong when binding, in the terms of a person who chose the port.
    init(binding error: any Error, address: DWebBase.SocketAddress) {
        if let failure = error as? IOError {
            switch failure.errnoCode {
            case EADDRINUSE:
                self.init(.addressInUse, "The port \(address.port) is in use by another program")
                return
            case EACCES, EPERM:
                self.init(.permissionDenied, "This user may not use the port \(address.port)")
                return
            case EADDRNOTAVAIL:
                self.init(.notFound, "No interface of this machine has the address \(address.host)")
                return
            default: break
            }
        }
        self.init(.failed, "The address \(address) could not be bound: \(error)")
    }
}
