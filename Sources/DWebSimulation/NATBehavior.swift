/// How a translator between an inner network and an outer one treats UDP, in the terms of RFC 4787.
///
/// ```swift
/// let home = world.network.addNAT(.portRestrictedCone, at: SocketAddress(ipv4: 90, 0, 0, 1, port: 0))
/// let runtime = world.runtime(address: SocketAddress(ipv4: 192, 168, 1, 2, port: 0), behind: home)
/// ```
public struct NATBehavior: Sendable, Hashable {
    /// What an inner address's outer port, or the permission to answer to it, depends on; RFC 4787 sections 4.1 and 5.
    public enum Dependence: Sendable, Hashable, CaseIterable {
        /// On nothing: it is the same for every peer.
        case endpointIndependent
        /// On the peer's host.
        case addressDependent
        /// On the peer's host and port.
        case addressAndPortDependent
    }

    /// Which outer port a new mapping gets; RFC 4787 section 4.2.
    public enum PortChoice: Sendable, Hashable, CaseIterable {
        /// The inner one if it is free, else the next free one above.
        case preserving
        /// The inner one, shared by mappings to different peers ("overloading"), as the masquerading of Linux does.
        case overloading
        /// Any free one.
        case random
    }

    /// What the outer port of an inner address depends on.
    public var mapping: Dependence
    /// Whose packets a mapping lets in: everybody's, or those of hosts or addresses that were sent to.
    public var filtering: Dependence
    /// Which outer port a mapping gets.
    public var ports: PortChoice
    /// How long a mapping lives after the last packet that refreshed it; RFC 4787 section 4.3 asks for two minutes.
    public var mappingTimeout = Duration.seconds(120)
    /// Whether packets from outside refresh a mapping too.
    public var isRefreshedFromOutside = false
    /// Whether inner hosts reach each other by their outer addresses; RFC 4787 section 6.
    public var isHairpinning = false
    /// The ports that mappings are taken from.
    public var portRange: ClosedRange<UInt16> = 1_024...65_535

    /// A translator with these dependences and port choice.
    public init(mapping: Dependence, filtering: Dependence, ports: PortChoice = .preserving) {
        self.mapping = mapping
        self.filtering = filtering
        self.ports = ports
    }

    /// One outer port for all peers, open to everybody.
    public static let fullCone = NATBehavior(mapping: .endpointIndependent, filtering: .endpointIndependent)
    /// One outer port for all peers, open to hosts that were sent to.
    public static let restrictedCone = NATBehavior(mapping: .endpointIndependent, filtering: .addressDependent)
    /// One outer port for all peers, open to addresses that were sent to: most home routers.
    public static let portRestrictedCone = NATBehavior(
        mapping: .endpointIndependent, filtering: .addressAndPortDependent)
    /// The masquerading of Linux: a mapping per peer, which keeps the inner port wherever that is unique.
    public static let masquerade = NATBehavior(
        mapping: .addressAndPortDependent, filtering: .addressAndPortDependent, ports: .overloading)
    /// A random outer port per peer's host.
    public static let addressDependent = NATBehavior(
        mapping: .addressDependent, filtering: .addressDependent, ports: .random)
    /// A random outer port per peer: the translators of many companies and mobile networks.
    public static let symmetric = NATBehavior(
        mapping: .addressAndPortDependent, filtering: .addressAndPortDependent, ports: .random)
}
