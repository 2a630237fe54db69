package import DWebBase
package import DWebCrypto
import DequeModule
import OrderedCollections

/// The replication of one log with all of its peers: who has what, what to ask of whom, what to answer; spec 30 E.
///
/// The owner keeps the storage, makes and verifies proofs, and moves messages. Everything is an input with the current
/// time; after each input, or a batch of them, the owner takes ``pollOutput()`` until it is nil. Requests are created
/// only then, so that a batch of messages is seen as a whole.
///
/// Map of the extensions: `Peers` (coming, going, syncs), `Availability` (ranges, bitfields, wants), `Interest` (what
/// callers want), `Scheduling` (whom to ask for what), `Requests` (putting a request together, giving one up),
/// `Receiving` (answers and their verification), `Serving`, `Forks`, `Conflicts`, `Push`.
package final class LogReplicator {
    /// Whether a tree node is stored; nil where that cannot be told without waiting, after which the owner looks and
    /// calls ``reconsiderUpgrades(now:)``. Optional: without it the machine asks for a few nodes more than needed, and
    /// offers upgrades to fewer peers.
    package var hasNode: ((UInt64) -> Bool?)?

    var options: ReplicationOptions
    var random: SecureRandom
    var now = MonotonicTime.zero
    var outputs: Deque<ReplicationOutput> = []

    // MARK: The local log

    /// The fork and length of the signed log.
    package internal(set) var head: LogHead
    var knowsManifest: Bool
    var offersManifest: Bool
    /// The stored blocks.
    var local = AvailabilityMap()
    /// How many blocks are stored from the first one on.
    package internal(set) var contiguousLength: UInt64 = 0
    /// The stored blocks from whose leaf to the root every node and sibling is stored; nil while that is all of them.
    /// It stops being all when a truncation leaves blocks behind whose surroundings went away.
    var pathBlocks: AvailabilityMap?
    /// The blocks whose data is being verified.
    var verifyingBlocks = AvailabilityMap()
    /// Whether a conflict ended all replication.
    package internal(set) var isFrozen = false
    /// Whether the roots of our tree are lost and nothing can be exchanged but a proof that brings them back.
    package internal(set) var isDamaged = false

    // MARK: Peers

    var peers: OrderedDictionary<ReplicationPeerID, ReplicationPeer> = [:]
    var dirtyPeers: Deque<ReplicationPeer> = []
    var hadPeer = false
    /// When all peers are looked at again, after only some were; see ``markAllDirty()``.
    var fullPassDeadline: MonotonicTime?
    private var nextSubset = 0
    var isFindingPeers = false
    var isActive = true
    var lingerDeadline: MonotonicTime?
    /// Whether peers were last told that we download.
    var announcedDownloading = true
    /// Blocks that were stored and not announced yet.
    var unannounced: Range<UInt64>?
    var bestRemoteContiguousLength: UInt64 = 0

    // MARK: Interest

    var tickets: [ReplicationTicket: TicketKind] = [:]
    var wanted = AvailabilityMap()
    var blockTickets: [UInt64: [ReplicationTicket]] = [:]
    var ranges = RangeInterests()
    var linearRangeCount = 0
    var liveRangeCount = 0
    var seeks: [ReplicationTicket: SeekInterest] = [:]
    var seekQueue: Deque<ReplicationTicket> = []
    var updateTickets: OrderedSet<ReplicationTicket> = []
    var updatesNeedChecking = false

    // MARK: Requests

    /// The blocks of which at least one, two and three copies are requested or being verified.
    var inFlight = AvailabilityMap()
    var inFlightTwice = AvailabilityMap()
    var inFlightThrice = AvailabilityMap()
    /// Blocks in flight in order of their request, with one and two copies; entries may be outdated.
    var singleCopies: Deque<SwapCandidate> = []
    var doubleCopies: Deque<SwapCandidate> = []
    /// Blocks whose next request must not rely on anything but roots, since the last one did in vain.
    var cautiousBlocks: Set<UInt64> = []
    /// Whether an upgrade is on its way. One is enough, unless its peer is slow.
    var isUpgradeInFlight = false
    /// When another peer may be asked for an upgrade too.
    var upgradeDeadline: MonotonicTime?
    var isManifestInFlight = false
    var unansweredCount = 0

    // MARK: Work of the owner

    var verifications: Deque<Verification?> = []
    var firstVerification: UInt64 = 0
    var pendingVerificationCount = 0
    var servings: Deque<Serving?> = []
    var firstServing: UInt64 = 0
    var nextServingSerial: UInt64 = 0
    /// Answers to invalid requests, by their time.
    var delayedAnswers: [DelayedAnswer] = []

    // MARK: Forks

    var reorganisations: [Reorganisation] = []
    var applyingFork: UInt64?
    /// Counts up whenever what was collected for forks became worthless.
    var forkGeneration: UInt64 = 0

    enum TicketKind {
        case block(UInt64)
        case range
        case seek
        case update
    }

    struct SwapCandidate {
        var index: UInt64
        var sentAt: MonotonicTime
    }

    /// A data message in the owner's hands.
    struct Verification {
        let peer: ReplicationPeer
        let purpose: VerificationPurpose
        /// The request it answers.
        let request: PendingRequest?
        /// The block it contains.
        let block: UInt64?
        /// Which try of collecting a fork it belongs to.
        let generation: UInt64
        /// Our length when it came, if it is nothing but an upgrade from there: then it misfits nothing but itself.
        let plainUpgradeStart: UInt64?
    }

    /// A request in the owner's hands.
    struct Serving {
        let peer: ReplicationPeer
        let request: RequestMessage
        let kind: ServingKind
        let serial: UInt64
    }

    struct DelayedAnswer {
        let deadline: MonotonicTime
        let peer: ReplicationPeer
        let requestID: UInt64
        let serial: UInt64
    }

    /// A log in the state `local`, without peers. Add what else is stored with ``localBlocks(_:stored:now:)`` before
    /// the first peer.
    package init(local state: LocalLogState, options: ReplicationOptions = ReplicationOptions(), random: SecureRandom) {
        precondition(state.contiguousLength <= state.head.length, "no more blocks are stored than the log has")
        self.options = options
        self.random = random
        head = state.head
        knowsManifest = state.knowsManifest
        offersManifest = state.offersManifest
        isFrozen = state.isFrozen
        isDamaged = state.isDamaged
        local.set(0..<state.contiguousLength, present: true)
        contiguousLength = state.contiguousLength
        // A log that was truncated before may hold blocks whose surroundings are gone, unless it is complete.
        if state.head.fork > 0, contiguousLength < head.length { pathBlocks = AvailabilityMap() }
    }

    // MARK: Time and outputs

    /// The next thing to do; nil when nothing is left to do until the next input.
    package func pollOutput() -> ReplicationOutput? {
        while true {
            if let output = outputs.popFirst() { return output }
            if let range = unannounced {
                unannounced = nil
                announce(range)
                continue
            }
            if noteDownloading() { continue }
            if let peer = dirtyPeers.popFirst() {
                peer.isDirty = false
                if peer.isRemoved { continue }
                if peer.needsSync { sendSync(to: peer) }
                schedule(peer)
                continue
            }
            if updatesNeedChecking {
                updatesNeedChecking = false
                checkUpdates()
                continue
            }
            return nil
        }
    }

    /// When ``wake(now:)`` is to be called next; nil if never without another input.
    package var nextDeadline: MonotonicTime? {
        var deadline = lingerDeadline
        func consider(_ time: MonotonicTime?) {
            guard let time else { return }
            deadline = deadline.map { min($0, time) } ?? time
        }
        consider(delayedAnswers.first?.deadline)
        consider(fullPassDeadline)
        for peer in peers.values { consider(peer.swapDeadline) }
        if peers.count > 1 { consider(upgradeDeadline) }
        return deadline
    }

    /// Acts on the time having come.
    package func wake(now: MonotonicTime) {
        self.now = now
        if let deadline = lingerDeadline, deadline <= now { lingerDeadline = nil }
        if let deadline = fullPassDeadline, deadline <= now {
            fullPassDeadline = nil
            for peer in peers.values { markDirty(peer) }
        }
        while let first = delayedAnswers.first, first.deadline <= now {
            delayedAnswers.removeFirst()
            guard !first.peer.isRemoved, first.peer.servingIDs[first.requestID] == first.serial else { continue }
            first.peer.servingIDs[first.requestID] = nil
            sendNoData(first.requestID, .invalidRequest, to: first.peer)
        }
        if let deadline = upgradeDeadline, deadline <= now {
            // Whoever promised a longer log and does not send it must not keep it from us.
            upgradeDeadline = nil
            isUpgradeInFlight = false
            updatesNeedChecking = true
            markAllDirty()
        }
        for peer in peers.values {
            if let deadline = peer.swapDeadline, deadline <= now {
                peer.swapDeadline = nil
                markDirty(peer)
            }
        }
    }

    func emit(_ event: ReplicationEvent) { outputs.append(.event(event)) }

    func send(_ message: LogMessage, to peer: ReplicationPeer) { outputs.append(.send(to: peer.id, message)) }

    func markDirty(_ peer: ReplicationPeer) {
        if peer.isDirty || peer.isRemoved { return }
        peer.isDirty = true
        dirtyPeers.append(peer)
    }

    /// Lets every peer look for requests again, also in what it searched before.
    ///
    /// Among many peers that is some of them in turn at once, and all of them a little later; spec 30 E.5.
    func markAllDirty() {
        for peer in peers.values { peer.scanEpoch += 1 }
        let most = ReplicationLimits.peersPerPass
        guard peers.count >= most else {
            for peer in peers.values { markDirty(peer) }
            return
        }
        // Counted are those who wait to be looked at already: many changes at once are one pass.
        var checked = 0
        while dirtyPeers.count < most, checked < peers.count {
            markDirty(peers.values[nextSubset % peers.count])
            nextSubset = (nextSubset + 1) % peers.count
            checked += 1
        }
        guard peers.count > most, fullPassDeadline == nil else { return }
        fullPassDeadline = now + ReplicationLimits.fullPassDelay(peerCount: peers.count)
    }
}

extension LogReplicator {
    /// Whether a peer was asked for the block and has not answered yet, or its answer is being verified.
    package func isRequested(_ index: UInt64) -> Bool { inFlight.contains(index) || verifyingBlocks.contains(index) }

    /// Whether nothing is on its way: no request unanswered, nothing being served or verified.
    package var isQuiet: Bool {
        unansweredCount == 0 && pendingVerificationCount == 0 && verifications.isEmpty && servings.isEmpty
            && inFlight.isEmpty && inFlightTwice.isEmpty && inFlightThrice.isEmpty && verifyingBlocks.isEmpty
            && !isUpgradeInFlight && !isManifestInFlight && reorganisations.isEmpty && applyingFork == nil
            && peers.values.allSatisfy {
                $0.inFlight.isEmpty && $0.held.isEmpty && $0.heldCount == 0 && $0.requests.count == 0
                    && $0.concurrentServes == 0
            }
    }
}
