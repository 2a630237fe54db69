import DequeModule

/// What arrived: the bytes in order that wait to be read, and the packets that wait for earlier ones.
struct ReceiveBuffer {
    /// One buffer for all that waits would be copied and doubled while it grows. Larger than the largest frames that are
    /// common (blocks of 64 KiB), so that few of them lie in two pieces.
    private static let pieceByteCount = 256 << 10

    private struct Slot {
        var payload: [UInt8] = []
        var isPresent = false
    }

    /// The next sequence number expected.
    private(set) var nextSequence: UInt32
    /// Runs of packets that wait, ascending.
    private(set) var runs: Deque<SACKBlock> = []
    /// What the waiting packets are charged, in bytes.
    private(set) var waitingByteCount = 0
    private var slots: [Slot] = []
    /// The bytes in order: full pieces, and the one that is being filled.
    private var pieces: Deque<[UInt8]> = []
    private var lastPiece: [UInt8] = []
    private var capacityHint = 0
    /// Where the packets lie that came to wait since the last report; nil if there are none.
    private var unreported: (low: UInt32, high: UInt32)?
    /// Where the next report goes on with what was reported before.
    private var reportCursor: UInt32 = 0

    init(nextSequence: UInt32) { self.nextSequence = nextSequence }

    /// Bytes that arrived in order so far.
    private(set) var deliveredCount = 0

    /// Bytes in order that nobody read yet.
    private(set) var unreadCount = 0

    /// Whether packets wait for earlier ones.
    var hasGap: Bool { !runs.isEmpty }

    /// The first bytes in order, at most ``pieceByteCount`` and one payload; empty if none are left.
    mutating func read() -> [UInt8] {
        var piece: [UInt8] = []
        if let first = pieces.popFirst() { piece = first } else { swap(&piece, &lastPiece) }
        capacityHint = piece.count
        unreadCount -= piece.count
        return piece
    }

    /// Appends the payload of the packet that was expected next.
    mutating func appendInOrder(_ bytes: [UInt8], _ range: Range<Int>) {
        nextSequence &+= 1
        append(bytes[range])
    }

    private mutating func append(_ payload: ArraySlice<UInt8>) {
        if lastPiece.count >= ReceiveBuffer.pieceByteCount {
            pieces.append(lastPiece)
            lastPiece = []
            capacityHint = ReceiveBuffer.pieceByteCount + payload.count
        }
        if lastPiece.capacity == 0 { lastPiece.reserveCapacity(max(payload.count, capacityHint)) }
        lastPiece.append(contentsOf: payload)
        unreadCount += payload.count
        deliveredCount += payload.count
    }

    /// Whether the packet `sequence` waits already.
    func contains(_ sequence: UInt32) -> Bool {
        guard sequence.serialDistance(from: nextSequence) < slots.count else { return false }
        return !slots.isEmpty && slots[Int(sequence) & (slots.count - 1)].isPresent
    }

    /// Keeps a packet that cannot be delivered yet; false if its room is used up.
    ///
    /// `sequence` is not before ``nextSequence``, nearer than ``UDXLimits/reorderDistance``, and not waiting already.
    mutating func insert(_ sequence: UInt32, payload: ArraySlice<UInt8>, limit: Int) -> Bool {
        let charge = payload.count + UDXLimits.reorderOverheadByteCount
        guard unreadCount + waitingByteCount + charge <= limit else { return false }
        reserve(sequence.serialDistance(from: nextSequence) + 1)
        slots[Int(sequence) & (slots.count - 1)] = Slot(payload: Array(payload), isPresent: true)
        waitingByteCount += charge
        noteArrival(of: sequence)
        if let (low, high) = unreported {
            unreported = (sequence.precedes(low) ? sequence : low, high.precedes(sequence) ? sequence : high)
        } else {
            unreported = (sequence, sequence)
        }
        return true
    }

    /// Whether packets wait that no report has mentioned yet.
    var hasUnreported: Bool { unreported != nil && hasGap }

    /// At most `limit` of the runs that wait, ascending: all if they fit, else those with packets that were not reported
    /// yet, from the last one down, and some of the others in turn, in case their report was lost.
    mutating func takeReport(limit: Int) -> [SACKBlock] {
        guard runs.count > limit else {
            unreported = nil
            return Array(runs)
        }
        var chosen: [Int] = []
        if let (low, high) = unreported {
            var index = firstRun(after: high) - 1
            while index >= 0, chosen.count < limit - limit / 5, low.precedes(runs[index].end) {
                chosen.append(index)
                index -= 1
            }
            let isDone = index < 0 || !low.precedes(runs[index].end)
            unreported = isDone ? nil : (low, runs[index].end &- 1)
        }
        let fresh = chosen.last.map { $0...chosen[0] }
        var index = firstRun(after: reportCursor)
        var visitedCount = 0
        while chosen.count < limit, visitedCount < runs.count {
            if index >= runs.count { index = 0 }
            if fresh?.contains(index) != true { chosen.append(index) }
            index += 1
            visitedCount += 1
        }
        if index > 0 { reportCursor = runs[index - 1].start }
        return chosen.sorted().map { runs[$0] }
    }

    /// The index of the first run that begins after `sequence`.
    private func firstRun(after sequence: UInt32) -> Int {
        var (lower, upper) = (0, runs.count)
        while lower < upper {
            let middle = (lower + upper) / 2
            if sequence.precedes(runs[middle].start) { upper = middle } else { lower = middle + 1 }
        }
        return lower
    }

    /// Delivers every waiting packet that follows without a gap, and stops after `last` if that is given.
    mutating func drain(upTo last: UInt32?) {
        while let run = runs.first, run.start == nextSequence {
            if let last, last.precedes(nextSequence) { break }
            let index = Int(nextSequence) & (slots.count - 1)
            var slot = Slot()
            swap(&slot, &slots[index])
            waitingByteCount -= slot.payload.count + UDXLimits.reorderOverheadByteCount
            nextSequence &+= 1
            if run.end == nextSequence { runs.removeFirst() } else { runs[0].start = nextSequence }
            append(slot.payload[...])
        }
        if runs.isEmpty {
            unreported = nil
            if slots.count > 1_024 { slots = [] }
        }
    }

    /// Forgets the packets that wait.
    mutating func discardWaiting() {
        runs = []
        slots = []
        waitingByteCount = 0
        unreported = nil
    }

    private mutating func reserve(_ count: Int) {
        guard count > slots.count else { return }
        var capacity = max(64, slots.count)
        while capacity < count { capacity *= 2 }
        var grown = [Slot](repeating: Slot(), count: capacity)
        for run in runs {
            var sequence = run.start
            while sequence != run.end {
                swap(&grown[Int(sequence) & (capacity - 1)], &slots[Int(sequence) & (slots.count - 1)])
                sequence &+= 1
            }
        }
        slots = grown
    }

    private mutating func noteArrival(of sequence: UInt32) {
        // Most arrivals extend the last run; the search only matters after heavy reordering.
        var index = runs.count
        if let last = runs.last, sequence.precedes(last.start) { index = firstRun(after: sequence) }
        // Every run before `index` begins at or before the number.
        let joinsPrevious = index > 0 && runs[index - 1].end == sequence
        let joinsNext = index < runs.count && runs[index].start == sequence &+ 1
        switch (joinsPrevious, joinsNext) {
        case (true, true):
            runs[index - 1].end = runs[index].end
            runs.remove(at: index)
        case (true, false):
            runs[index - 1].end = sequence &+ 1
        case (false, true):
            runs[index].start = sequence
        case (false, false):
            runs.insert(SACKBlock(start: sequence, end: sequence &+ 1), at: index)
        }
    }
}
