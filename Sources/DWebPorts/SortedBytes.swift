/// An ordered map of byte strings: chunks of at most a few hundred sorted entries.
///
/// Inserting in order or at random costs a binary search and a short move; copying the whole map costs one reference
/// per chunk, which makes snapshots cheap.
struct SortedBytes: Sendable {
    // Large enough that the list of chunks stays short, small enough that a move within one is cheap.
    private static let chunkEntryLimit = 512
    private var chunks: [[KeyValueEntry]] = []
    // A batch writes runs of keys that follow each other: what lies behind the last one is tried before all is searched.
    private var recentChunk = 0
    private var recentIndex = 0

    /// The number of entries.
    private(set) var count = 0
    /// The number of chunks, which what an insertion moves grows with.
    var chunkCount: Int { chunks.count }

    /// The value of `key`; setting nil removes it.
    subscript(key: [UInt8]) -> [UInt8]? {
        get {
            guard let position = position(of: key), position.isPresent else { return nil }
            return chunks[position.chunk][position.index].value
        }
        set {
            if let newValue {
                put(key, newValue)
            } else {
                remove(key)
            }
        }
    }

    /// Removes every key with `start <= key < end`.
    mutating func removeRange(_ start: [UInt8], _ end: [UInt8]) {
        guard SortedBytes.isLess(start, end) else { return }
        var chunkIndex = max(0, chunkIndex(for: start))
        while chunkIndex < chunks.count {
            let lower = lowerBound(start, in: chunks[chunkIndex])
            let upper = lowerBound(end, in: chunks[chunkIndex])
            let isLast = upper < chunks[chunkIndex].count
            if lower < upper {
                chunks[chunkIndex].removeSubrange(lower..<upper)
                count -= upper - lower
            }
            if chunks[chunkIndex].isEmpty {
                chunks.remove(at: chunkIndex)
            } else {
                chunkIndex += 1
            }
            if isLast { return }
        }
    }

    /// Up to `limit` entries with `start <= key < end`, ascending or descending.
    func entries(from start: [UInt8], to end: [UInt8], limit: Int, isReversed: Bool) -> [KeyValueEntry] {
        var result: [KeyValueEntry] = []
        guard limit > 0, SortedBytes.isLess(start, end), !chunks.isEmpty else { return result }
        var chunkIndex = max(0, chunkIndex(for: isReversed ? end : start))
        while chunks.indices.contains(chunkIndex) {
            let chunk = chunks[chunkIndex]
            let lower = lowerBound(start, in: chunk)
            let range = lower..<max(lower, lowerBound(end, in: chunk))
            for index in isReversed ? Array(range.reversed()) : Array(range) {
                result.append(chunk[index])
                if result.count == limit { return result }
            }
            if isReversed {
                if range.lowerBound > 0 { return result }
                chunkIndex -= 1
            } else {
                if range.upperBound < chunk.count { return result }
                chunkIndex += 1
            }
        }
        return result
    }

    /// Whether `left` sorts before `right` as unsigned bytes.
    static func isLess(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.withUnsafeBytes { first in
            right.withUnsafeBytes { second in
                let shared = min(first.count, second.count)
                var index = 0
                // Keys of one log share their first dozen bytes or more: eight at a time.
                while index + 8 <= shared {
                    let one = UInt64(bigEndian: first.loadUnaligned(fromByteOffset: index, as: UInt64.self))
                    let other = UInt64(bigEndian: second.loadUnaligned(fromByteOffset: index, as: UInt64.self))
                    if one != other { return one < other }
                    index += 8
                }
                while index < shared {
                    if first[index] != second[index] { return first[index] < second[index] }
                    index += 1
                }
                return first.count < second.count
            }
        }
    }

    private mutating func put(_ key: [UInt8], _ value: [UInt8]) {
        let entry = KeyValueEntry(key: key, value: value)
        guard let position = position(of: key) else {
            chunks.append([entry])
            count = 1
            return
        }
        let isSequential = recentChunk == position.chunk && recentIndex + 1 == position.index
        recentChunk = position.chunk
        recentIndex = position.index
        if position.isPresent {
            chunks[position.chunk][position.index] = entry
            return
        }
        if position.index == chunks[position.chunk].count {
            chunks[position.chunk].append(entry)
        } else {
            chunks[position.chunk].insert(entry, at: position.index)
        }
        count += 1
        let entryCount = chunks[position.chunk].count
        guard entryCount > SortedBytes.chunkEntryLimit else { return }
        let split = SortedBytes.splitIndex(
            entryCount, inserted: position.index, isSequential: isSequential,
            isLastChunk: position.chunk == chunks.count - 1)
        let tail = Array(chunks[position.chunk][split...])
        chunks[position.chunk].removeSubrange(split...)
        chunks.insert(tail, at: position.chunk + 1)
        if recentIndex >= split {
            recentChunk += 1
            recentIndex -= split
        }
    }

    /// Where a chunk that has become too long is divided: in the middle, but behind a run that is being written, so that
    /// ordered input fills its chunks and moves nothing.
    private static func splitIndex(
        _ entryCount: Int, inserted: Int, isSequential: Bool, isLastChunk: Bool
    ) -> Int {
        // Not for any other chunk: keys that come from above would each begin a chunk of their own.
        if inserted == entryCount - 1, isSequential || isLastChunk { return inserted }
        // Neither side gets so short that runs of two or three would leave chunks of two or three.
        let fewest = entryCount / 8
        return isSequential && inserted > fewest && inserted < entryCount - fewest ? inserted + 1 : entryCount / 2
    }

    private mutating func remove(_ key: [UInt8]) {
        guard let position = position(of: key), position.isPresent else { return }
        chunks[position.chunk].remove(at: position.index)
        count -= 1
        if chunks[position.chunk].isEmpty { chunks.remove(at: position.chunk) }
    }

    private func position(of key: [UInt8]) -> (chunk: Int, index: Int, isPresent: Bool)? {
        guard !chunks.isEmpty else { return nil }
        let chunk = isInRecentChunk(key) ? recentChunk : max(0, chunkIndex(for: key))
        let index = indexBehindRecent(key, in: chunk) ?? lowerBound(key, in: chunks[chunk])
        return (chunk, index, index < chunks[chunk].count && chunks[chunk][index].key == key)
    }

    private func isInRecentChunk(_ key: [UInt8]) -> Bool {
        guard recentChunk < chunks.count, !SortedBytes.isLess(key, chunks[recentChunk][0].key) else { return false }
        return recentChunk + 1 == chunks.count || SortedBytes.isLess(key, chunks[recentChunk + 1][0].key)
    }

    private func indexBehindRecent(_ key: [UInt8], in chunk: Int) -> Int? {
        guard chunk == recentChunk, recentIndex < chunks[chunk].count else { return nil }
        guard SortedBytes.isLess(chunks[chunk][recentIndex].key, key) else { return nil }
        let next = recentIndex + 1
        return next == chunks[chunk].count || !SortedBytes.isLess(chunks[chunk][next].key, key) ? next : nil
    }

    /// The last chunk whose first key is not above `key`; -1 if there is none.
    private func chunkIndex(for key: [UInt8]) -> Int {
        var low = 0
        var high = chunks.count
        while low < high {
            let middle = (low + high) / 2
            if SortedBytes.isLess(key, chunks[middle][0].key) { high = middle } else { low = middle + 1 }
        }
        return low - 1
    }

    /// The index of the first key that is not below `key`.
    private func lowerBound(_ key: [UInt8], in entries: [KeyValueEntry]) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if SortedBytes.isLess(entries[middle].key, key) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
