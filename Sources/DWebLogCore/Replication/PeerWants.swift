/// Which blocks a peer asked to be told about; spec 30 E.3.
///
/// What cannot be remembered within the limits turns into wanting everything: the peer hears more than it asked for,
/// and costs no more memory.
package struct PeerWants {
    /// Whether the peer is told of every block.
    package private(set) var wantsEverything = false
    // The aligned windows of each length, by the length. Few lengths, so that looking up a block is a few look-ups.
    private var windows: [(length: UInt64, starts: Set<UInt64>)] = []
    private var windowCount = 0
    private var anyWants: [Range<UInt64>] = []

    /// A peer that wants to know nothing.
    package init() {}

    /// Whether the peer is to be told of the block at `index`.
    package func contains(_ index: UInt64) -> Bool {
        if wantsEverything { return true }
        for (length, starts) in windows where starts.contains(index & ~(length - 1)) { return true }
        return anyWants.contains { $0.contains(index) }
    }

    /// Whether the peer is to be told of some block of `range`.
    package func overlaps(_ range: Range<UInt64>) -> Bool {
        if wantsEverything { return true }
        for (length, starts) in windows {
            let first = range.lowerBound & ~(length - 1)
            let count = (range.upperBound - 1 - first) / length
            if count > UInt64(starts.count) {
                if starts.contains(where: { $0 < range.upperBound && $0 + length > range.lowerBound }) { return true }
            } else {
                for step in 0...count where starts.contains(first + step * length) { return true }
            }
        }
        return anyWants.contains { $0.overlaps(range) }
    }

    /// Remembers a window; false where it is to be ignored, also for an answer.
    package mutating func insert(_ message: WantMessage) -> Bool {
        guard message.length > 0 else { return false }
        if message.any {
            let (end, overflow) = message.start.addingReportingOverflow(message.length)
            guard !overflow else { return false }
            if wantsEverything || anyWants.contains(message.start..<end) { return true }
            if anyWants.count < ReplicationLimits.anyWantsPerPeer {
                anyWants.append(message.start..<end)
            } else {
                wantEverything()
            }
            return true
        }
        guard message.length <= ReplicationLimits.wantWindowBlockCount else { return false }
        if wantsEverything { return true }
        let isValid =
            message.length.nonzeroBitCount == 1 && message.length >= ReplicationLimits.wantWindowLeastBlockCount
            && message.start % message.length == 0
        guard isValid, windowCount < ReplicationLimits.wantWindowsPerPeer else {
            wantEverything()
            return true
        }
        if let position = windows.firstIndex(where: { $0.length == message.length }) {
            if windows[position].starts.insert(message.start).inserted { windowCount += 1 }
        } else if windows.count < ReplicationLimits.wantSizesPerPeer {
            windows.append((message.length, [message.start]))
            windowCount += 1
        } else {
            wantEverything()
        }
        return true
    }

    /// Forgets a window. Nothing happens where everything is wanted: which windows that stood for is not known.
    package mutating func remove(_ message: WantMessage) {
        if message.any {
            anyWants.removeAll { $0.lowerBound == message.start && $0.upperBound - $0.lowerBound == message.length }
        } else if let position = windows.firstIndex(where: { $0.length == message.length }),
            windows[position].starts.remove(message.start) != nil
        {
            windowCount -= 1
            if windows[position].starts.isEmpty { windows.remove(at: position) }
        }
    }

    private mutating func wantEverything() {
        wantsEverything = true
        windows = []
        anyWants = []
        windowCount = 0
    }
}
