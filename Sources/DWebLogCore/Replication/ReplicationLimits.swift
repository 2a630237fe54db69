/// How much one peer, or a mistake, can make a replication hold; spec 30 H.
package enum ReplicationLimits {
    /// Pages that one range or bitfield message may touch.
    package static let pagesPerMessage: UInt64 = 1 << 12
    /// Requests of one peer that wait to be served or are being served; more than any honest peer keeps in flight.
    package static let queuedRequestsPerPeer = 2048
    /// Requests of one peer that are handed out to be served at the same time.
    package static let concurrentServesPerPeer = 64
    /// Windows that one peer may want before it is told everything.
    package static let wantWindowsPerPeer = 512
    /// Different sizes of windows that one peer may want before it is told everything.
    package static let wantSizesPerPeer = 4
    /// Windows of which any block will do, before the peer is told everything.
    package static let anyWantsPerPeer = 16
    /// Blocks in the windows that we want, and the most that a peer may want at once.
    package static let wantWindowBlockCount: UInt64 = 1 << 21
    /// The least blocks in a window.
    package static let wantWindowLeastBlockCount: UInt64 = 32
    /// Windows of one range that are wanted at the same time.
    package static let activeWindowsPerRange = 3
    /// Request ids, in flight or in quarantine, that we use towards one peer.
    package static let requestIDsPerPeer = 1024
    /// Answers that wait to be verified, over all peers. While reached, nothing more is requested.
    package static let pendingVerifications = 2048
    /// Answers "no data" of one reason after which a peer is paused.
    package static let noDataPerPeer = 32
    /// Data messages that verify as ``VerificationFailure/invalidOperation`` after which a peer is paused.
    package static let invalidOperationsPerPeer = 32
    /// Data messages with a wrong hash or signature after which a peer's stream is destroyed, even if it can prove that
    /// it has the same history.
    package static let invalidProofsPerPeer = 3
    /// Blocks among which the one is looked for that fewest peers have.
    package static let rarestWindowBlockCount: UInt64 = 4096
    /// Invalid requests after which a peer's stream is destroyed.
    package static let invalidRequestsPerPeer = 64
    /// Proofs of its own history that are verified for one peer.
    package static let conflictChecksPerPeer = 16
    /// Ranges that are looked at for one peer before a turn ends.
    package static let rangesPerTurn = 64
    /// Blocks with one copy in flight that are looked at for a second one.
    package static let swapCandidatesWithOneCopy = 48
    /// Blocks with two copies in flight that are looked at for a third one.
    package static let swapCandidatesWithTwoCopies = 32
    /// Forks that are collected at the same time.
    package static let reorganisations = 4
    /// Blocks after this distance from the end are announced to everybody; older ones only to who wants them.
    package static let recentBlockCount: UInt64 = 256
    /// Bytes in the name of an extension.
    package static let extensionNameByteCount = 1024

    /// How long one peer alone is waited for with an upgrade, while others offer one too.
    package static let upgradePatience: Duration = .seconds(3)

    /// Peers that are looked at in one pass over all of them; more have to wait for the full pass.
    package static let peersPerPass = 40

    /// How long after a pass over some peers the one over all of them comes; spec 30 E.5.
    package static func fullPassDelay(peerCount: Int) -> Duration {
        .milliseconds(min(3_000, max(100, (peerCount - peersPerPass) * 5)))
    }

    /// How long the answer to the nth invalid request of a peer waits, from 1; spec 30 E.6.
    package static func invalidRequestDelay(strike: Int) -> Duration {
        switch strike {
        case ...1: .milliseconds(200)
        case 2...4: .milliseconds(500)
        case 5...39: .seconds(1)
        default: .seconds(5)
        }
    }
}
