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

extension PosixNetwork {
    /// Joins a multicast group on one interface; see ``NetworkProvider/join(_:receive:)``.
    public func join(
        _ options: MulticastOptions, receive: @escaping @Sendable (DatagramBatch) -> Void
    ) async throws(PortError) -> any DatagramSocket {
        guard options.group.family == options.interface.address.family else {
            throw PortError(.unsupported, "The group and the interface's address are of different families")
        }
        do {
            return try await joinChannel(options, receive: receive).get()
        } catch let error as PortError {
            throw error
        } catch {
            throw PortError(binding: error, address: options.group)
        }
    }

    private func joinChannel(
        _ options: MulticastOptions, receive: @escaping @Sendable (DatagramBatch) -> Void
    ) throws -> EventLoopFuture<PosixDatagramSocket> {
        // Bound to the group itself, so that datagrams to the port alone stay with the system's own responder.
        let group = try NIOCore.SocketAddress.group(options.group, on: options.interface.name)
        return bootstrap(isShared: true, receive: receive).bind(to: group).flatMap { channel in
            let eventLoop = channel.eventLoop
            return eventLoop.makeCompletedFuture {
                let socket = try PosixNetwork.start(channel, DatagramSocketOptions(address: options.group))
                try socket.join(options)
                return socket
            }.flatMapError { error in
                // The reason matters, not how the close goes.
                channel.close().flatMapErrorThrowing { _ in }.flatMapThrowing { throw error }
            }
        }
    }
}

extension NIOCore.SocketAddress {
    /// A multicast group's address; one of IPv6 is the group of one link.
    fileprivate static func group(
        _ group: DWebBase.SocketAddress, on interface: String
    ) throws -> NIOCore.SocketAddress {
        guard group.family == .ipv6 else { return try NIOCore.SocketAddress(group) }
        // An address with its link in figures: nothing is looked up.
        return try .makeAddressResolvingHost("\(group.host)%\(interface)", port: Int(group.port))
    }
}
