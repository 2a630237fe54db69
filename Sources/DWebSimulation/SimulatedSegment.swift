public import DWebBase
public import DWebPorts
import Synchronization

/// A local network within a simulated one: its hosts reach each other by multicast, and everybody by unicast as before.
public final class SimulatedSegment: Sendable {
    private let network: SimulatedNetwork
    private let members = Mutex<[SocketAddress: [SocketAddress]]>([:])

    /// A local network without hosts.
    public init(network: SimulatedNetwork) { self.network = network }

    /// The network as the host with this address in this local network sees it.
    public func host(_ address: SocketAddress) -> SegmentHost {
        SegmentHost(segment: self, host: network.host(address))
    }

    fileprivate func add(_ member: SocketAddress, to group: SocketAddress) {
        members.withLock { $0[group, default: []].append(member) }
    }

    fileprivate func remove(_ member: SocketAddress, from group: SocketAddress) {
        members.withLock { $0[group]?.removeAll { $0 == member } }
    }

    fileprivate func members(of group: SocketAddress) -> [SocketAddress] { members.withLock { $0[group] ?? [] } }
}

/// One host of a simulated local network: the provider of its sockets.
public struct SegmentHost: NetworkProvider {
    fileprivate let segment: SimulatedSegment
    fileprivate let host: SimulatedHost

    /// Binds a UDP socket; see ``NetworkProvider/bind(_:receive:)``.
    public func bind(
        _ options: DatagramSocketOptions, receive: @escaping @Sendable (DatagramBatch) -> Void
    ) async throws(PortError) -> any DatagramSocket {
        try await host.bind(options, receive: receive)
    }

    /// Joins a multicast group of the local network; see ``NetworkProvider/join(_:receive:)``.
    public func join(
        _ options: MulticastOptions, receive: @escaping @Sendable (DatagramBatch) -> Void
    ) async throws(PortError) -> any DatagramSocket {
        let socket = try await host.bind(
            DatagramSocketOptions(address: host.address.with(port: options.group.port)), receive: receive)
        segment.add(socket.localAddress, to: options.group)
        return SegmentSocket(segment: segment, group: options.group, socket: socket)
    }

    /// The addresses of this host's interfaces that are up.
    public func interfaceAddresses() -> [InterfaceAddress] { host.interfaceAddresses() }

    /// The IPv4 addresses of a host name.
    public func resolve(host name: String) async throws(PortError) -> [SocketAddress] {
        try await host.resolve(host: name)
    }
}

/// A member of a multicast group: what it sends to the group goes to each member, itself included.
private final class SegmentSocket: DatagramSocket {
    private let segment: SimulatedSegment
    private let group: SocketAddress
    private let socket: any DatagramSocket

    var localAddress: SocketAddress { socket.localAddress }

    init(segment: SimulatedSegment, group: SocketAddress, socket: any DatagramSocket) {
        self.segment = segment
        self.group = group
        self.socket = socket
    }

    func send(_ batch: DatagramBatch) {
        var copies = DatagramBatch()
        for entry in batch.entries {
            let destinations = entry.address == group ? segment.members(of: group) : [entry.address]
            for destination in destinations { copies.append(batch.payload(of: entry), address: destination) }
        }
        socket.send(copies)
    }

    func close() {
        segment.remove(socket.localAddress, from: group)
        socket.close()
    }
}

extension SimulatedWorld {
    /// The runtime of a host with this address in a local network, with its own storage.
    public func runtime(
        address: SocketAddress, in segment: SimulatedSegment, storage: any StorageProvider = MemoryStorage()
    ) -> DWebRuntime {
        let plain = runtime(address: address, storage: storage)
        return DWebRuntime(
            loop: plain.loop, network: segment.host(address), storage: plain.storage, entropy: plain.entropy,
            wallClockMilliseconds: plain.wallClockMilliseconds)
    }
}
