import DequeModule
import DWebBase

/// What a request that is not answered yet was sent for.
enum RequestPurpose: Equatable {
    /// A block, with or without an upgrade.
    case block(UInt64)
    /// An upgrade alone, or the manifest alone.
    case upgrade
    /// Nodes for a seek; the block whose leaf was asked for, unless the seek goes with an upgrade.
    case seek(ReplicationTicket, hashedBlock: UInt64?)
    /// The proof of a higher fork.
    case fork(UInt64)
    /// A leaf hash that narrows down where a higher fork leaves our history.
    case forkSearch(UInt64, hashedBlock: UInt64)
}

/// A request that is not answered yet, as far as its answer must match.
struct PendingRequest {
    var purpose: RequestPurpose
    /// The fork that was asked for.
    var fork: UInt64
    /// Whether an upgrade was asked for.
    var hasUpgrade: Bool
    /// How many levels above its leaf a block connects.
    var levelCount: UInt8
    /// Whether that node was expected from another answer of the same peer.
    var dependsOnOthers: Bool
    var sentAt: MonotonicTime
    /// Position among all requests to the peer.
    var sequence: UInt64
}

/// The unanswered requests to one peer by their ids; spec 30 E.4.
///
/// An id is used again once its answer arrived. A cancelled one waits until the answer to a younger request shows that
/// the peer has seen the cancel.
struct RequestTable {
    private var entries: [PendingRequest?] = []
    private var freeIDs: [UInt32] = []
    private var quarantine: Deque<(id: UInt32, sequence: UInt64)> = []
    private var nextSequence: UInt64 = 0
    /// The number of requests that are not answered.
    private(set) var count = 0

    /// Whether another id can be had.
    var hasRoom: Bool { !freeIDs.isEmpty || entries.count < ReplicationLimits.requestIDsPerPeer }

    /// Enters a request and returns its id, from 1.
    mutating func insert(
        _ purpose: RequestPurpose, fork: UInt64, hasUpgrade: Bool, levelCount: UInt8, dependsOnOthers: Bool,
        now: MonotonicTime
    ) -> UInt64 {
        precondition(hasRoom, "a request needs an id")
        let entry = PendingRequest(
            purpose: purpose, fork: fork, hasUpgrade: hasUpgrade, levelCount: levelCount,
            dependsOnOthers: dependsOnOthers, sentAt: now, sequence: nextSequence)
        nextSequence += 1
        count += 1
        if let id = freeIDs.popLast() {
            entries[Int(id) - 1] = entry
            return UInt64(id)
        }
        entries.append(entry)
        return UInt64(entries.count)
    }

    /// The request with this id, if it is unanswered.
    subscript(id: UInt64) -> PendingRequest? {
        guard id >= 1, id <= UInt64(entries.count) else { return nil }
        return entries[Int(id) - 1]
    }

    /// Takes out an answered request and makes its id, and those of older cancelled ones, available.
    mutating func answer(_ id: UInt64) -> PendingRequest? {
        guard let entry = self[id] else { return nil }
        entries[Int(id) - 1] = nil
        freeIDs.append(UInt32(id))
        count -= 1
        while let first = quarantine.first, first.sequence <= entry.sequence {
            freeIDs.append(first.id)
            quarantine.removeFirst()
        }
        return entry
    }

    /// Takes out a request that is being cancelled; its id goes into quarantine.
    mutating func cancel(_ id: UInt64) -> PendingRequest? {
        guard let entry = self[id] else { return nil }
        entries[Int(id) - 1] = nil
        quarantine.append((UInt32(id), nextSequence))
        count -= 1
        return entry
    }

    /// The id of the unanswered request that `predicate` accepts; looks at all of them.
    func firstID(where predicate: (PendingRequest) -> Bool) -> UInt64? {
        for (index, entry) in entries.enumerated() {
            if let entry, predicate(entry) { return UInt64(index + 1) }
        }
        return nil
    }

    /// All unanswered requests by ascending id.
    var pending: [PendingRequest] { entries.compactMap(\.self) }

    /// Calls `body` with each unanswered request by ascending id.
    func forEach(_ body: (PendingRequest) -> Void) {
        for case .some(let entry) in entries { body(entry) }
    }
}
