public import DWebBase
import DWebPorts
import Synchronization

/// A translator in a ``SimulatedNetwork``; made by ``SimulatedNetwork/addNAT(_:at:behind:)``.
public final class NATBox: Sendable {
    private struct Key: Hashable {
        let inner: SocketAddress
        /// The peer as far as the mapping depends on it; nil if it does not.
        let peer: SocketAddress?
    }

    private struct Mapping {
        let key: Key
        let port: UInt16
        var expiry: MonotonicTime
        /// Peers that were sent to, as far as filtering asks.
        var permitted: Set<SocketAddress> = []
    }

    private struct State {
        var behavior: NATBehavior
        var random: SimulationRandom
        var mappings: [Key: Mapping] = [:]
        /// Mappings by outer port; more than one only where ports are overloaded.
        var keys: [UInt16: [Key]] = [:]
        var nextSweep = MonotonicTime.zero
    }

    /// The translator's address in the network outside of it, with port 0.
    public let address: SocketAddress
    /// The translator outside of this one, as of a carrier; nil on the public network.
    public let outer: NATBox?
    /// Tells inner networks apart, which may use the same addresses.
    let realm: Int
    private let state: Mutex<State>

    init(_ behavior: NATBehavior, address: SocketAddress, outer: NATBox?, realm: Int, random: SimulationRandom) {
        self.address = address
        self.outer = outer
        self.realm = realm
        state = Mutex(State(behavior: behavior, random: random))
    }

    /// How the translator behaves; a change applies to new mappings, and at once to filtering and time-outs.
    public var behavior: NATBehavior {
        get { state.withLock { $0.behavior } }
        set { state.withLock { $0.behavior = newValue } }
    }

    /// The mappings that exist, expired ones that were not swept yet included.
    public var mappingCount: Int { state.withLock { $0.mappings.count } }

    /// Forgets every mapping, as when the box is restarted.
    public func restart() {
        state.withLock {
            $0.mappings = [:]
            $0.keys = [:]
        }
    }

    /// The outer source of a packet from `inner` to `peer`; nil if no port is free.
    func translate(_ inner: SocketAddress, to peer: SocketAddress, now: MonotonicTime) -> SocketAddress? {
        state.withLock { state in
            sweep(&state, now: now)
            let key = Key(inner: inner, peer: NATBox.part(of: peer, for: state.behavior.mapping))
            if let mapping = state.mappings[key], mapping.expiry <= now { remove(key, &state) }
            if state.mappings[key] == nil {
                guard let port = choosePort(for: key, &state, now: now) else { return nil }
                state.mappings[key] = Mapping(key: key, port: port, expiry: now)
                state.keys[port, default: []].append(key)
            }
            state.mappings[key]!.expiry = now + state.behavior.mappingTimeout
            // Kept by address whatever the filter is: what it looks at may be changed meanwhile.
            state.mappings[key]!.permitted.insert(peer)
            return address.with(port: state.mappings[key]!.port)
        }
    }

    /// The inner destination of a packet from `peer` to `port`; nil if it is not let in.
    func admit(from peer: SocketAddress, port: UInt16, now: MonotonicTime) -> SocketAddress? {
        state.withLock { state in
            for key in state.keys[port] ?? [] {
                guard let mapping = state.mappings[key], mapping.expiry > now,
                    NATBox.admits(mapping.permitted, peer, state.behavior.filtering)
                else { continue }
                if state.behavior.isRefreshedFromOutside {
                    state.mappings[key]!.expiry = now + state.behavior.mappingTimeout
                }
                return key.inner
            }
            return nil
        }
    }

    private static func part(of peer: SocketAddress, for dependence: NATBehavior.Dependence) -> SocketAddress? {
        switch dependence {
        case .endpointIndependent: nil
        case .addressDependent: peer.with(port: 0)
        case .addressAndPortDependent: peer
        }
    }

    private static func admits(
        _ permitted: Set<SocketAddress>, _ peer: SocketAddress, _ filtering: NATBehavior.Dependence
    ) -> Bool {
        switch filtering {
        case .endpointIndependent: true
        case .addressDependent: permitted.contains { $0.hasSameHost(as: peer) }
        case .addressAndPortDependent: permitted.contains(peer)
        }
    }

    private func choosePort(for key: Key, _ state: inout State, now: MonotonicTime) -> UInt16? {
        let range = state.behavior.portRange
        func isFree(_ port: UInt16) -> Bool {
            guard let users = state.keys[port] else { return true }
            // Overloading needs peers that tell the mappings apart.
            guard state.behavior.ports == .overloading, let peer = key.peer else { return users.isEmpty }
            return !users.contains { $0.peer == nil || $0.peer == peer }
        }
        switch state.behavior.ports {
        case .preserving, .overloading:
            var port = range.contains(key.inner.port) ? key.inner.port : range.lowerBound
            for _ in range {
                if isFree(port) { return port }
                port = port == range.upperBound ? range.lowerBound : port + 1
            }
            return nil
        case .random:
            for _ in 0..<64 {
                let port = UInt16.random(in: range, using: &state.random)
                if isFree(port) { return port }
            }
            return range.first(where: isFree)
        }
    }

    private func sweep(_ state: inout State, now: MonotonicTime) {
        guard state.nextSweep <= now else { return }
        state.nextSweep = now + .seconds(30)
        // Sorted by nothing: what is removed does not depend on the order.
        for key in state.mappings.filter({ $0.value.expiry <= now }).keys { remove(key, &state) }
    }

    private func remove(_ key: Key, _ state: inout State) {
        guard let mapping = state.mappings.removeValue(forKey: key) else { return }
        state.keys[mapping.port]?.removeAll { $0 == key }
        if state.keys[mapping.port]?.isEmpty == true { state.keys[mapping.port] = nil }
    }
}
