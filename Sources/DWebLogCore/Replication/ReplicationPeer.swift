import DWebBase
import DequeModule
import OrderedCollections

/// Where the search for the next block of one range stands at one peer.
struct RangeScan {
    /// The next block to look at.
    var position: UInt64
    /// The peer's ``ReplicationPeer/scanEpoch`` in which nothing was found; nothing changed since while equal.
    var exhaustedEpoch: UInt64 = 0
}

/// An answer that waits for another answer of the same peer, whose nodes it builds on.
struct HeldAnswer {
    var request: PendingRequest
    var data: DataMessage
}

/// A request that waits to be served.
struct QueuedRequest {
    var request: RequestMessage
    var serial: UInt64
}

/// Everything that the replication knows of one peer.
///
/// A class, so that collections of peers and work in progress can refer to the same one.
final class ReplicationPeer {
    let id: ReplicationPeerID
    var transport: PeerTransport

    // MARK: State of the channel

    var isOpen = false
    var isPaused = false
    var isRemoved = false
    var isDrained = true
    /// Whether the peer understands seeks within other requests.
    var supportsSeeks = false
    /// Whether a sync is due to be sent.
    var needsSync = false
    /// Whether requests may be possible that were not before.
    var isDirty = false

    // MARK: What the peer said

    var isSynced = false
    var fork: UInt64 = 0
    var length: UInt64 = 0
    /// Whether the peer says it can prove its length to us.
    var offersUpgrade = false
    var isUploading = true
    var isDownloading = true
    var hasManifest = false
    var allowsPush = false
    /// Our length as the peer last heard it; 0 if the forks differ.
    var lengthAcknowledged: UInt64 = 0
    /// How many blocks the peer has from the first one on.
    var contiguousLength: UInt64 = 0
    /// The blocks the peer has beyond those.
    var blocks = AvailabilityMap(pageLimit: LogLimits.remoteMixedPageCount)
    var wants = PeerWants()

    // MARK: What we told the peer

    /// Whether we can prove our length to the peer.
    var canUpgrade = true
    /// The last state of the peer for which we could.
    var lastUpgradable = LogHead(fork: 0, length: 0)
    /// The length at which the peer was told that we have every block.
    var announcedFullLength: UInt64?
    /// The length up to which the peer was brought by pushes.
    var pushedLength: UInt64 = 0
    /// The starts of the windows whose blocks the peer was asked to announce.
    var wantedWindows: OrderedSet<UInt64> = []

    // MARK: Requests to the peer

    var requests = RequestTable()
    var window: RequestWindow
    /// The blocks that were requested of the peer and are neither here nor given up.
    var inFlight = AvailabilityMap()
    /// Answers that wait for the answer to the request of the block in the key.
    var held: [UInt64: [HeldAnswer]] = [:]
    var heldCount = 0
    /// Whether requests rely on nodes that are still on their way from the same peer.
    var plansAhead = true
    var lostPlanCount = 0
    /// Requests with an upgrade that the peer has not answered.
    var upgradesInFlight = 0
    /// Counts up whenever a search for blocks that found none might find one.
    var scanEpoch: UInt64 = 1
    var rangeScans: [ReplicationTicket: RangeScan] = [:]
    var blockScan = RangeScan(position: 0)
    var swapDeadline: MonotonicTime?

    // MARK: Requests of the peer

    var servingQueue: Deque<QueuedRequest> = []
    var urgentServing: [QueuedRequest] = []
    /// For each live request id which request it stands for: ids may be reused while queued.
    var servingIDs: [UInt64: UInt64] = [:]
    var concurrentServes = 0
    /// Windows whose availability is to be told once the stream is drained.
    var delayedWants: Deque<WantMessage> = []

    // MARK: Misbehaviour

    var unavailableCount = 0
    var invalidCount = 0
    var invalidOperationCount = 0
    var invalidRequestCount = 0
    var conflictCheckCount = 0
    var invalidProofCount = 0

    // MARK: Extensions

    var lastExtensionSent = ""
    var lastExtensionReceived = ""

    init(id: ReplicationPeerID, transport: PeerTransport, window: RequestWindow) {
        self.id = id
        self.transport = transport
        self.window = window
    }

    /// Whether the peer takes part: neither closed, nor paused, nor still opening.
    var isActive: Bool { isOpen && !isPaused && !isRemoved }

    /// Whether the peer said it has the block.
    func has(_ index: UInt64) -> Bool { index < contiguousLength || blocks.contains(index) }

    /// Whether the peer said it has all blocks of `range`.
    func has(_ range: Range<UInt64>) -> Bool {
        range.upperBound <= contiguousLength
            || blocks.firstAbsent(in: max(range.lowerBound, contiguousLength)..<range.upperBound) == nil
    }
}
