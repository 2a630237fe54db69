package import DWebBase
import DWebCrypto
import DWebLogCore
import DWebPorts
package import DWebWireCore
import DequeModule
import OrderedCollections

/// The way from a log to one of its peers: a channel of a connection.
package struct PeerLink: Sendable {
    /// The connection's outbox.
    package let outbox: PeerOutbox
    /// The channel, as the connection numbers it.
    package let channel: ChannelID
    /// The key of the connection's other end.
    package let remotePublicKey: PublicKey?

    /// A channel of the connection with this outbox.
    package init(outbox: PeerOutbox, channel: ChannelID, remotePublicKey: PublicKey? = nil) {
        self.outbox = outbox
        self.channel = channel
        self.remotePublicKey = remotePublicKey
    }
}

/// What a log needs to replicate: the machine that decides, the peers, and the work that the machine asked for.
struct LogReplication {
    let machine: LogReplicator
    /// The peers whose channel exists, in the order they came.
    var links: OrderedDictionary<ReplicationPeerID, PeerLink> = [:]
    /// What was exchanged with each of them.
    var traffic: [ReplicationPeerID: DDatabase.Statistics] = [:]
    /// Those of them that have proven to know the log's key.
    var opened: Set<ReplicationPeerID> = []
    /// Serving and verifying that waits for its turn, in order.
    var work: Deque<ReplicationOutput> = []
    var isWorking = false
    /// About the bytes of what was queued for peers since connections' writers last had a turn.
    var unsentWeight = 0
    /// What was read ahead for peers.
    var window = ServingWindow()
    /// Those who wait until the present work is done.
    var settling: [CheckedContinuation<Void, Never>] = []
    var timer: (any LoopTimer)?
    var timerDeadline: MonotonicTime?
    /// Peers whose proof failed, with the timer that ends their connection unless they prove their history.
    var suspects: [ReplicationPeerID: any LoopTimer] = [:]
    private var nextNumber: UInt64 = 1

    /// How long a peer that sent an invalid proof may take to prove its history before its connection ends.
    ///
    /// An honest one whose log went another way answers after one round trip; the rest is for queues on the way.
    static func suspicionTime(roundTripTime: Duration?) -> Duration {
        max(.seconds(1), min(.seconds(10), (roundTripTime ?? .zero) * 4))
    }

    init(state: LoadedLog, key: PublicKey, nodes: StoredNodes, seed: Bytes32, now: MonotonicTime) {
        var local = LocalLogState(
            head: LogHead(fork: state.tree.fork, length: state.tree.length),
            contiguousLength: state.hints.contiguousLength, knowsManifest: state.manifest != nil,
            offersManifest: state.manifest.map { !$0.isCompatible(with: key) } ?? false)
        local.isFrozen = state.isFrozen
        local.isDamaged = state.damagedHead != nil
        machine = LogReplicator(local: local, random: SecureRandom(seed: seed))
        machine.hasNode = { nodes.contains($0) }
        var position = state.hints.contiguousLength
        while let first = state.present.firstPresent(in: position..<max(position, state.tree.length)) {
            let end = state.present.firstAbsent(in: first..<state.tree.length) ?? state.tree.length
            machine.localBlocks(first..<end, stored: true, now: now)
            position = end
        }
    }

    /// A name for another peer.
    mutating func makePeerID() -> ReplicationPeerID {
        defer { nextNumber += 1 }
        return ReplicationPeerID(nextNumber)
    }
}
