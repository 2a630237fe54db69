import CDatagram
public import DWebBase
public import DWebPorts
import NIOCore
import NIOPosix

/// UDP sockets of the operating system, on a ``PosixLoop``.
public struct PosixNetwork: NetworkProvider {
    private let loop: PosixLoop
    // One receive may hold a whole coalesced run: 64 KiB, the most the kernel merges.
    private static let receiveByteCount = 65_536
    private static let receiveVectorCount = 4
    private static let receivesPerTurn: UInt = 16

    /// Sockets whose events arrive on `loop`.
    public init(loop: PosixLoop) { self.loop = loop }

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
        let bootstrap = DatagramBootstrap(group: loop.eventLoop)
            .channelOption(.socketOption(.so_reuseaddr), value: options.isAddressReusable ? 1 : 0)
            .channelOption(.datagramVectorReadMessageCount, value: PosixNetwork.receiveVectorCount)
            .channelOption(.maxMessagesPerRead, value: PosixNetwork.receivesPerTurn)
            .channelOption(
                .recvAllocator,
                value: FixedSizeRecvByteBufferAllocator(
                    capacity: PosixNetwork.receiveByteCount * PosixNetwork.receiveVectorCount)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(DatagramReceiver(receive: receive))
                }
            }
        return bootstrap.bind(to: local).flatMap { channel in
            #if os(Linux)
                let coalesced = channel.setOption(.datagramReceiveOffload, value: true)
                    .flatMap { channel.setOption(.datagramReceiveSegmentSize, value: true) }
                    // An old kernel delivers datagrams one by one, which is only slower.
                    .flatMapError { _ in channel.eventLoop.makeSucceededVoidFuture() }
            #else
                let coalesced = channel.eventLoop.makeSucceededVoidFuture()
            #endif
            return coalesced.flatMapThrowing {
                return try PosixDatagramSocket(channel: channel, options: options)
            }
        }
    }

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
