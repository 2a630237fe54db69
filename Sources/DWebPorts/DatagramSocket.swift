public import DWebBase

/// A bound UDP socket that sends and receives whole batches.
public protocol DatagramSocket: AnyObject, Sendable {
    /// The address it is bound to, with the port the system chose if 0 was asked.
    var localAddress: SocketAddress { get }

    /// Hands every datagram of `batch` to the network, in order, and returns without waiting.
    ///
    /// Call it on the loop. Datagrams that cannot be sent are lost, as UDP allows: upper layers retransmit. An entry's
    /// `timeToLive` other than 0 applies to that datagram alone.
    func send(_ batch: DatagramBatch)

    /// Closes the socket; no batch is received afterwards. Callable more than once.
    func close()
}

/// How to bind a socket.
public struct DatagramSocketOptions: Sendable {
    /// The local host and port; port 0 lets the system choose.
    public var address: SocketAddress
    /// The size to ask for as the kernel's receive buffer, in bytes; spec 10 section 3.
    public var receiveBufferByteCount: Int = 4 << 20
    /// The size to ask for as the kernel's send buffer, in bytes; spec 10 section 3.
    public var sendBufferByteCount: Int = 1 << 20
    /// Whether several sockets may share the port (multicast discovery).
    public var isAddressReusable: Bool = false

    /// Binds to `address`.
    public init(address: SocketAddress) { self.address = address }
}

/// How to take part in a multicast group on one interface.
public struct MulticastOptions: Sendable {
    /// The group and its port.
    public var group: SocketAddress
    /// The interface, by one of its addresses. Datagrams leave through it and are received from it alone.
    public var interface: InterfaceAddress

    /// Takes part in `group` on `interface`.
    public init(group: SocketAddress, interface: InterfaceAddress) {
        self.group = group
        self.interface = interface
    }
}

/// An address of a network interface of this host.
public struct InterfaceAddress: Sendable, Hashable {
    /// The interface's name.
    public let name: String
    /// The address, with port 0.
    public let address: SocketAddress
    /// Whether it is the loopback interface.
    public let isLoopback: Bool

    /// Describes one address of one interface.
    public init(name: String, address: SocketAddress, isLoopback: Bool) {
        self.name = name
        self.address = address
        self.isLoopback = isLoopback
    }
}

/// Where sockets come from: the operating system or a simulated network.
public protocol NetworkProvider: Sendable {
    /// Binds a UDP socket.
    ///
    /// - Parameter receive: Called on the runtime's loop with each batch that arrives. It must not block.
    /// - Throws: ``PortError`` with code `addressInUse`, `permissionDenied` or `failed`.
    func bind(
        _ options: DatagramSocketOptions, receive: @escaping @Sendable (DatagramBatch) -> Void
    ) async throws(PortError) -> any DatagramSocket

    /// Joins a multicast group on one interface, beside other programs that do the same. Group and interface address are
    /// of one family.
    ///
    /// What is sent to the group with the socket also reaches the group's members on this host. Datagrams leave with a
    /// time to live of 255.
    ///
    /// - Parameter receive: Called on the runtime's loop with each batch that arrives for the group. It must not block.
    /// - Throws: ``PortError`` with code `unsupported`, `addressInUse`, `permissionDenied` or `failed`.
    func join(
        _ options: MulticastOptions, receive: @escaping @Sendable (DatagramBatch) -> Void
    ) async throws(PortError) -> any DatagramSocket

    /// The addresses of this host's interfaces that are up.
    func interfaceAddresses() -> [InterfaceAddress]

    /// The IPv4 addresses of a host name.
    func resolve(host: String) async throws(PortError) -> [SocketAddress]
}

extension NetworkProvider {
    /// A network without multicast: throws code `unsupported`.
    public func join(
        _ options: MulticastOptions, receive: @escaping @Sendable (DatagramBatch) -> Void
    ) async throws(PortError) -> any DatagramSocket {
        throw PortError(.unsupported, "This network has no multicast")
    }
}
