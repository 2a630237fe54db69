public import DWebBase
public import DWebCrypto
import DWebDHTCore
import DWebPorts

/// A peer that announced itself.
public struct FoundPeer: Sendable, Hashable {
    /// The peer's key: dial it with ``DHTNode/connect(to:as:relayAddresses:)``.
    public let publicKey: PublicKey
    /// Nodes that lead to it.
    public let relayAddresses: [SocketAddress]
    /// The node that told so.
    public let source: SocketAddress
}

/// A mutable value with its version.
public struct MutableValue: Sendable, Equatable {
    /// The value.
    public let value: [UInt8]
    /// Its version; the highest found.
    public let sequence: UInt64
}

/// How many nodes answered and stored.
public struct DHTReceipt: Sendable, Equatable {
    /// Nodes that answered.
    public let answerCount: Int
    /// Nodes that took the record or the withdrawal.
    public let storedCount: Int
    /// The nodes closest to the target.
    public let closestNodes: [SocketAddress]
}

/// A node's answer to a ping.
public struct PingReply: Sendable, Equatable {
    /// The node.
    public let address: SocketAddress
    /// Its id; nil if it is a guest.
    public let nodeID: Bytes32?
    /// This node's address as it sees it.
    public let observedAddress: SocketAddress
    /// The time until the answer.
    public let roundTripTime: Duration
}

extension DHTNode {
    // MARK: Nodes

    /// The nodes closest to `target`, closest first; at most 20.
    ///
    /// - Throws: ``DSwarmError``.
    public func findNodes(near target: Bytes32) async throws(DSwarmError) -> [SocketAddress] {
        try await started()
        return try await collect({ $0.findNodes(near: target, now: $1) }).closestNodes
    }

    // MARK: Peers

    /// Looks up who announced themselves under `topic`.
    ///
    /// - Parameter onPeer: Called on the loop for each peer as it is found, once per node that knows it.
    /// - Returns: The peers, each once, in the order found.
    /// - Throws: ``DSwarmError``.
    @discardableResult
    public func lookup(
        _ topic: Topic, onPeer: (@Sendable (FoundPeer) -> Void)? = nil
    ) async throws(DSwarmError) -> [FoundPeer] {
        try await started()
        var peers: [FoundPeer] = []
        var known: Set<PublicKey> = []
        _ = try await collect({ $0.lookup(topic.bytes32, now: $1) }) { event in
            guard case .peers(let reply, let source) = event else { return }
            for record in reply.peers {
                let peer = FoundPeer(
                    publicKey: record.publicKey, relayAddresses: record.relayAddresses, source: source)
                onPeer?(peer)
                if known.insert(peer.publicKey).inserted { peers.append(peer) }
            }
        }
        return peers
    }

    /// Announces `keyPair` under `topic`.
    ///
    /// Announcements fade after about 20 minutes; repeat it every 10.
    ///
    /// - Parameter relayAddresses: Nodes that lead to the key pair; see ``DHTServer/relayAddresses()``.
    /// - Throws: ``DSwarmError``.
    @discardableResult
    public func announce(
        _ topic: Topic, as keyPair: KeyPair, relayAddresses: [SocketAddress] = []
    ) async throws(DSwarmError) -> DHTReceipt {
        try await started()
        return try await collect({
            $0.announce(topic.bytes32, as: keyPair, relayAddresses: relayAddresses, now: $1)
        })
    }

    /// Withdraws `keyPair` from `topic` at every node that lists it.
    ///
    /// - Throws: ``DSwarmError``.
    @discardableResult
    public func unannounce(_ topic: Topic, as keyPair: KeyPair) async throws(DSwarmError) -> DHTReceipt {
        try await started()
        return try await collect({ $0.unannounce(topic.bytes32, as: keyPair, now: $1) })
    }

    /// Nodes that lead to a listening peer; empty if nobody knows it.
    ///
    /// - Throws: ``DSwarmError``.
    public func findPeer(_ publicKey: PublicKey) async throws(DSwarmError) -> [SocketAddress] {
        try await started()
        var nodes: [SocketAddress] = []
        _ = try await collect({ $0.findPeer(publicKey, now: $1) }) { event in
            if case .peer(_, let source) = event, !nodes.contains(source) { nodes.append(source) }
        }
        return nodes
    }

    // MARK: Values

    /// Stores a value of 1 to 1000 bytes under its hash, and returns that.
    ///
    /// - Throws: ``DSwarmError``.
    @discardableResult
    public func putImmutable(_ value: [UInt8]) async throws(DSwarmError) -> Bytes32 {
        try await started()
        _ = try await collect({ $0.immutablePut(value, now: $1) })
        return Blake2b.hash32(value)
    }

    /// The value with this hash; nil if no node has it.
    ///
    /// - Throws: ``DSwarmError``.
    public func getImmutable(_ hash: Bytes32) async throws(DSwarmError) -> [UInt8]? {
        try await started()
        var found: [UInt8]?
        _ = try await collect({ $0.immutableGet(hash, now: $1) }) { event in
            if case .immutable(let value, _) = event { found = value }
        }
        return found
    }

    /// Stores a value of 1 to 1000 bytes under the key of `keyPair`; a higher `sequence` replaces a lower.
    ///
    /// - Throws: ``DSwarmError``.
    @discardableResult
    public func putMutable(
        _ value: [UInt8], sequence: UInt64, as keyPair: KeyPair
    ) async throws(DSwarmError) -> DHTReceipt {
        try await started()
        return try await collect({ $0.mutablePut(value, sequence: sequence, as: keyPair, now: $1) })
    }

    /// The newest value under a key; nil if no node has one.
    ///
    /// - Throws: ``DSwarmError``.
    public func getMutable(
        _ publicKey: PublicKey, minimumSequence: UInt64 = 0
    ) async throws(DSwarmError) -> MutableValue? {
        try await started()
        var found: MutableValue?
        _ = try await collect({ $0.mutableGet(publicKey, minimumSequence: minimumSequence, now: $1) }) { event in
            guard case .mutable(let record, _) = event else { return }
            found = MutableValue(value: record.value, sequence: record.sequence)
        }
        return found
    }

    // MARK: Running operations

    /// Begins an operation whose events go to `handler`, the last one being `finished`.
    func begin(
        _ start: (HyperDHTNode, MonotonicTime) -> OperationID, handler: @escaping (HyperOperationEvent) -> Void
    ) -> OperationID? {
        guard phase == .running else { return nil }
        let id = start(machine, loop.now)
        operations[id] = handler
        settleLater()
        return id
    }

    /// Begins one of the queries that a swarm makes for its topics.
    func refresh(
        _ topic: Bytes32, _ kind: SwarmRefreshKind, as keyPair: KeyPair, server: ServerID?,
        handler: @escaping @Sendable (HyperOperationEvent) -> Void
    ) -> OperationID? {
        let relayAddresses = server.map { self.relayAddresses(of: $0) } ?? []
        return begin(
            { machine, now in
                switch kind {
                case .announce(let clears, let isAmongMany):
                    machine.announce(
                        topic, as: keyPair, relayAddresses: relayAddresses, isClearing: clears,
                        isAmongMany: isAmongMany, isPaced: true, now: now)
                case .lookupAndUnannounce: machine.unannounce(topic, as: keyPair, isPaced: true, now: now)
                case .lookup: machine.lookup(topic, isPaced: true, now: now)
                }
            }, handler: handler)
    }

    /// Ends an operation early; its handler is not called any more.
    func cancel(_ id: OperationID) {
        guard operations.removeValue(forKey: id) != nil else { return }
        machine.cancel(id, now: loop.now)
        settleLater()
    }

    func report(_ event: HyperOperationEvent, of id: OperationID) {
        if case .finished = event {
            operations.removeValue(forKey: id)?(event)
        } else {
            operations[id]?(event)
        }
    }

    private func collect(
        _ start: (HyperDHTNode, MonotonicTime) -> OperationID,
        _ handler: @escaping (HyperOperationEvent) -> Void = { _ in }
    ) async throws(DSwarmError) -> DHTReceipt {
        let promise = Promise<HyperOperationResult?>()
        let id = begin(start) { event in
            if case .finished(let result) = event { promise.resolve(result) } else { handler(event) }
        }
        guard let id else { throw phase == .suspended ? .suspended : .closed }
        guard let result = await promise.value(onCancel: nil) else {
            cancel(id)
            throw .cancelled
        }
        if let error = result.error { throw DSwarmError(error, isClosed: phase != .running) }
        return DHTReceipt(
            answerCount: result.answerCount, storedCount: result.storedCount, closestNodes: result.closestNodes)
    }
}

extension DSwarmError {
    init(_ error: OperationError, isClosed: Bool) {
        switch error {
        case .tooFewNodes: self.init(.tooFewNodes, "No node of the network answered")
        case .notStored: self.init(.notStored, "No node stored the record")
        case .valueSize(let count):
            self.init(.invalidValue, "A value of \(count) bytes cannot be stored: 1 to 1000 can")
        case .tooManyOperations: self.init(.limitReached, "Too many operations run at once")
        case .cancelled: self = isClosed ? .closed : .cancelled
        }
    }
}
