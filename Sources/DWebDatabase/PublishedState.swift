import Synchronization

/// The facts of a log that any thread may read without waiting for the log's actor.
package final class PublishedState: Sendable {
    private struct Values {
        var head = DDatabase.Head()
        var isWritable = false
        var isCompatible: Bool?
        var isFrozen = false
        var isDamaged = false
        var isRecovering = false
        var peerCount = 0
        var remoteContiguousLength: UInt64 = 0
        var statistics = DDatabase.Statistics()
        /// Each later fork with the length at which it left its predecessor; both ascend.
        var truncations: [(fork: UInt64, length: UInt64)] = []
    }

    // Snapshots older than this many truncations count as cut to the shortest of those forgotten.
    private static let truncationLimit = 1_024
    private let values = Mutex(Values())

    init() {}

    /// Length, byte length, fork and contiguous length.
    package var head: DDatabase.Head { values.withLock { $0.head } }
    /// Whether the log's signer is known here.
    package var isWritable: Bool { values.withLock { $0.isWritable } }
    /// Whether the log's key is its signer's instead of its manifest's hash; nil while the manifest is not known.
    package var isCompatible: Bool? { values.withLock { $0.isCompatible } }
    /// The number of peers that the log replicates with.
    package var peerCount: Int { values.withLock { $0.peerCount } }
    /// How many leading blocks some peer was seen to store.
    var remoteContiguousLength: UInt64 { values.withLock { $0.remoteContiguousLength } }
    func setRemoteContiguousLength(_ length: UInt64) { values.withLock { $0.remoteContiguousLength = length } }
    /// Counters since the log was opened.
    package var statistics: DDatabase.Statistics { values.withLock { $0.statistics } }

    func setHead(_ head: DDatabase.Head) { values.withLock { $0.head = head } }
    func setWritable(_ isWritable: Bool) { values.withLock { $0.isWritable = isWritable } }
    func setCompatible(_ isCompatible: Bool?) { values.withLock { $0.isCompatible = isCompatible } }
    /// Whether the log's key signed two histories.
    package var isFrozen: Bool { values.withLock { $0.isFrozen } }
    /// Whether the roots of the log's tree are lost.
    package var isDamaged: Bool { values.withLock { $0.isDamaged } }
    /// Whether the store lost its newest writes, which peers may have.
    package var isRecovering: Bool { values.withLock { $0.isRecovering } }
    func setRecovering(_ isRecovering: Bool) { values.withLock { $0.isRecovering = isRecovering } }
    func setFrozen(_ isFrozen: Bool) { values.withLock { $0.isFrozen = isFrozen } }
    func setDamaged(_ isDamaged: Bool) { values.withLock { $0.isDamaged = isDamaged } }
    func setPeerCount(_ count: Int) { values.withLock { $0.peerCount = count } }
    func setStatistics(_ statistics: DDatabase.Statistics) { values.withLock { $0.statistics = statistics } }

    /// Remembers that the history of `fork` shares only the first `length` blocks with earlier ones.
    func noteTruncation(fork: UInt64, length: UInt64) {
        values.withLock { values in
            // A later cut at or below an earlier one makes the earlier one irrelevant.
            while let last = values.truncations.last, last.length >= length { values.truncations.removeLast() }
            values.truncations.append((fork, length))
            if values.truncations.count > PublishedState.truncationLimit {
                let oldest = values.truncations.removeFirst()
                values.truncations[0].length = min(oldest.length, values.truncations[0].length)
            }
        }
    }

    /// How many leading blocks of a log of this fork and length still belong to the log.
    package func compatibleLength(withFork fork: UInt64, length: UInt64) -> UInt64 {
        values.withLock { values in
            values.truncations.reduce(length) { $1.fork > fork ? min($0, $1.length) : $0 }
        }
    }
}
