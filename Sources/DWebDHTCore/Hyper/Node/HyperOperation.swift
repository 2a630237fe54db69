import DWebBase
import DWebCrypto

/// A node that a query wants stored at.
struct HeldCommit {
    let query: QueryID
    let reply: RPCReply
    let time: MonotonicTime
}

/// A lookup, announcement, get or put in progress.
struct HyperOperation {
    enum Kind {
        case findNodes
        case lookup
        case announce(KeyPair, relayAddresses: [SocketAddress], bump: UInt64)
        case findPeer(PublicKey)
        case mutableGet(PublicKey, minimumSequence: UInt64)
        case mutablePut(PublicKey, MutableRecord)
        case immutableGet
        case immutablePut([UInt8])
        case ping
    }

    let kind: Kind
    let target: Bytes32
    /// Whose announcements are withdrawn on the way.
    var withdrawing: KeyPair?
    /// Whether its requests are paced.
    var isPaced = false
    /// Whether neighbouring topics may use what its search finds.
    var sharesSearch = false
    var query: QueryID?
    var result = HyperOperationResult()
    var isQueryDone = false
    /// UNANNOUNCE requests without a result; commits wait for them.
    var withdrawalCount = 0
    var heldCommits: [(query: QueryID, reply: RPCReply)] = []
    /// Commits without a query that have no result yet.
    var pendingCommitCount = 0
    var newestSequence: UInt64?
    var hasValue = false

    /// The request that stores at the node of `reply`; nil if that node gave no token.
    func commitCall(_ reply: RPCReply) -> HyperCall? {
        guard let token = reply.token else { return nil }
        switch kind {
        case .announce(let keyPair, let relayAddresses, let bump):
            guard let nodeID = reply.from.id else { return nil }
            let value = Announcement.signed(
                .announce, target: target, nodeID: nodeID, token: token, relayAddresses: relayAddresses, bump: bump,
                keyPair: keyPair)
            return .external(
                .announce, to: reply.from.address, target: target, token: token, value: value.encoded)
        case .mutablePut(let publicKey, let record):
            let value = MutablePut(publicKey: publicKey, record: record)
            return .external(
                .mutablePut, to: reply.from.address, target: target, token: token, value: value.encoded)
        case .immutablePut(let value):
            return .external(.immutablePut, to: reply.from.address, target: target, token: token, value: value)
        case .findNodes, .lookup, .findPeer, .mutableGet, .immutableGet, .ping:
            return nil
        }
    }

    /// The request that withdraws an announcement from the node of `reply`; nil if that is not needed or possible.
    func withdrawalCall(_ reply: RPCReply, _ found: LookupReply) -> HyperCall? {
        guard let keyPair = withdrawing, let token = reply.token, let nodeID = reply.from.id else { return nil }
        // A full answer is a random choice: our record may be among those left out.
        let isListed = found.peers.contains { $0.publicKey == keyPair.publicKey }
        guard isListed || found.peers.count >= HyperLimits.lookupRecordCount else { return nil }
        let value = Announcement.signed(
            .unannounce, target: target, nodeID: nodeID, token: token, relayAddresses: [], keyPair: keyPair)
        return .external(
            .unannounce, to: reply.from.address, target: target, token: token, value: value.encoded)
    }
}
