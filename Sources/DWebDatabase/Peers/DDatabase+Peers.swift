public import DWebBase
import DWebLogCore
import OrderedCollections

extension DDatabase {
    /// A peer that a log replicates with, as it is known at one moment.
    public struct Peer: Sendable, Hashable, Identifiable {
        /// Names a peer of an open log; never used twice while the log is open.
        public struct ID: Sendable, Hashable, Comparable, CustomStringConvertible {
            let number: UInt64

            init(_ peer: ReplicationPeerID) { number = peer.number }

            var replicationID: ReplicationPeerID { ReplicationPeerID(number) }

            /// An order that does not change.
            public static func < (left: ID, right: ID) -> Bool { left.number < right.number }

            /// One line for people.
            public var description: String { "peer \(number)" }
        }

        /// The peer's name.
        public let id: ID
        /// The key of the peer's end of the connection, which it has proven to own.
        public internal(set) var publicKey: PublicKey?
        /// Whether the peer has told its state yet.
        public internal(set) var isKnown = false
        /// The length of the log at the peer, as it says.
        public internal(set) var length: UInt64 = 0
        /// The fork of the log at the peer, as it says.
        public internal(set) var fork: UInt64 = 0
        /// How many leading blocks the peer says it stores.
        public internal(set) var contiguousLength: UInt64 = 0
        /// Whether the peer gives blocks.
        public internal(set) var isUploading = false
        /// Whether the peer wants blocks.
        public internal(set) var isDownloading = false
        /// Whether the peer gave data that does not belong to the log, and gets and gives nothing until it proves that
        /// it has the same history.
        public internal(set) var isPaused = false
        /// The requests that the peer has not answered yet.
        public internal(set) var unansweredRequestCount = 0
        /// The time to the peer and back, where the connection measures it.
        public internal(set) var roundTripTime: Duration?
        /// What was exchanged with this peer.
        public internal(set) var statistics = Statistics()
    }

    /// The peers that the log replicates with, in the order they came.
    ///
    /// - Throws: ``DDatabaseError`` with code `closed`.
    public func peers() async throws(DDatabaseError) -> [Peer] {
        try checkOpen()
        return await engine.peers()
    }

    /// The blocks of `range` that a peer says it stores, as ascending ranges; none for a peer that is gone.
    ///
    /// A peer tells of old blocks only if it is asked: what is missing here may be there nevertheless.
    ///
    /// - Throws: ``DDatabaseError`` with code `closed`.
    public func blocks(
        announcedBy peer: Peer.ID, in range: Range<UInt64>
    ) async throws(DDatabaseError) -> [Range<UInt64>] {
        try checkOpen()
        return await engine.announcedRanges(of: peer.replicationID, in: range)
    }
}

extension LogEngine {
    fileprivate func announcedRanges(of peer: ReplicationPeerID, in range: Range<UInt64>) -> [Range<UInt64>] {
        replication.machine.announcedRanges(of: peer, in: range)
    }

    /// The peers that have proven to know the log's key.
    func peers() -> [DDatabase.Peer] {
        replication.links.compactMap { id, link in
            guard replication.opened.contains(id), let state = replication.machine.peerState(id) else { return nil }
            var peer = DDatabase.Peer(id: DDatabase.Peer.ID(id))
            peer.publicKey = link.remotePublicKey
            peer.isKnown = state.isSynced
            peer.length = state.head.length
            peer.fork = state.head.fork
            peer.contiguousLength = state.contiguousLength
            peer.isUploading = state.isUploading
            peer.isDownloading = state.isDownloading
            peer.isPaused = state.isPaused
            peer.unansweredRequestCount = state.unansweredRequestCount
            peer.roundTripTime = state.roundTripTime
            peer.statistics = replication.traffic[id] ?? DDatabase.Statistics()
            return peer
        }
    }
}
