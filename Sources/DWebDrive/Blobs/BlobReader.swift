import DWebBase
import DWebDatabase
import DWebPorts

/// Reads the content of one file, or a part of it, in order and a window at a time; spec 50 section 8.4.
struct BlobReader: Sendable {
    private enum Layout: Sendable {
        /// Blocks that follow each other.
        case run(next: UInt64, end: UInt64)
        /// Blocks anywhere in the log.
        case pieces([BlobMap.Piece], next: Int)
    }

    private let log: DDatabase
    private let path: String
    private var layout: Layout
    /// The bytes at the start of the next block that lie before the range.
    private var skippedByteCount: UInt64
    /// The bytes that are still to be given.
    private(set) var remainingByteCount: UInt64
    /// The size of the content's blocks as far as it is known, for the next window.
    private var typicalByteCount: UInt64
    private var windowBlockCount: UInt64 = 1
    /// The most blocks that are asked for at once.
    var windowLimit = DriveLimits.windowBlockCount
    private let readsToEnd: Bool

    /// Prepares to read `range` of a blob; the range is cut to the content.
    init(
        _ blob: BlobID, range: Range<UInt64>?, path: String, log: DDatabase, _ options: ReadOptions
    ) async throws(DDriveError) {
        self.log = log
        self.path = path
        if blob.isMapped, blob.blockLength > 0 {
            let map = try await BlobReader.map(blob, path: path, log: log, options)
            let total = map.byteCount ?? 0
            let part = BlobReader.clamp(range, total)
            remainingByteCount = UInt64(part.count)
            readsToEnd = part.upperBound == total
            typicalByteCount = total / UInt64(max(1, map.pieces.count))
            var index = 0
            var offset: UInt64 = 0
            while index < map.pieces.count, offset + map.pieces[index].byteCount <= part.lowerBound {
                offset += map.pieces[index].byteCount
                index += 1
            }
            skippedByteCount = part.lowerBound - offset
            layout = .pieces(map.pieces, next: index)
            return
        }
        let part = BlobReader.clamp(range, blob.byteLength)
        remainingByteCount = UInt64(part.count)
        readsToEnd = part.upperBound == blob.byteLength
        typicalByteCount = blob.byteLength / max(1, blob.blockLength)
        skippedByteCount = 0
        layout = .run(next: blob.blockOffset, end: blob.blocks.upperBound)
        if part.lowerBound > 0, !part.isEmpty {
            let position: BytePosition
            do throws(DDatabaseError) {
                if log.length < blob.blocks.upperBound {
                    // Nothing can be located in a log of unknown length. The block that files of the usual block size
                    // have at this place is needed in any case, and brings the length along.
                    let even = UInt64(DriveLimits.contentBlockByteCount)
                    let isEven = blob.blockLength == (blob.byteLength - 1) / even + 1
                    let likely = part.lowerBound / (isEven ? even : max(1, blob.byteLength / blob.blockLength))
                    _ = try await log.block(at: blob.blockOffset + min(likely, blob.blockLength - 1), options)
                }
                position = try await log.seek(toByte: blob.byteOffset + part.lowerBound, options)
            } catch {
                throw error.code == .outOfBounds ? DDriveError(fault: .impossibleBlob, in: path) : DDriveError(error)
            }
            guard blob.blocks.contains(position.blockIndex) else { throw DDriveError(fault: .impossibleBlob, in: path) }
            layout = .run(next: position.blockIndex, end: blob.blocks.upperBound)
            skippedByteCount = position.byteOffset
        }
    }

    private static func clamp(_ range: Range<UInt64>?, _ total: UInt64) -> Range<UInt64> {
        guard let range else { return 0..<total }
        let start = min(range.lowerBound, total)
        return start..<max(start, min(range.upperBound, total))
    }

    /// The map of a mapped blob.
    static func map(
        _ blob: BlobID, path: String, log: DDatabase, _ options: ReadOptions
    ) async throws(DDriveError) -> BlobMap {
        guard blob.blockLength <= DriveLimits.mapBlockCount else { throw DDriveError(fault: .impossibleBlob, in: path) }
        let blocks: [[UInt8]]
        do throws(DDatabaseError) {
            blocks = try await log.blocks(at: blob.blocks, options)
        } catch {
            throw DDriveError(error)
        }
        do throws(DriveFault) {
            return try BlobMap(decoding: blocks, length: log.length)
        } catch {
            throw DDriveError(fault: error, in: path)
        }
    }

    /// The next pieces of the content; none at the end.
    mutating func next(_ options: ReadOptions) async throws(DDriveError) -> [[UInt8]] {
        guard remainingByteCount > 0 else { return [] }
        let fitting = max(1, DriveLimits.windowByteCount / max(1, typicalByteCount))
        windowBlockCount = min(windowBlockCount, fitting, windowLimit)
        let blocks: [[UInt8]]
        switch layout {
        case .run(let next, let end):
            let stop = min(end, next + windowBlockCount)
            guard next < stop else { throw DDriveError(fault: .impossibleBlob, in: path) }
            do throws(DDatabaseError) {
                blocks =
                    stop - next == 1
                    ? [try await log.block(at: next, options)] : try await log.blocks(at: next..<stop, options)
            } catch {
                throw DDriveError(error)
            }
            layout = .run(next: stop, end: end)
        case .pieces(let pieces, let next):
            let stop = min(pieces.count, next + Int(windowBlockCount))
            guard next < stop else { throw DDriveError(fault: .malformedMap, in: path) }
            blocks = try await read(pieces[next..<stop], options)
            layout = .pieces(pieces, next: stop)
        }
        windowBlockCount *= 8
        return try cut(blocks)
    }

    /// Reads blocks that lie anywhere.
    private func read(_ pieces: ArraySlice<BlobMap.Piece>, _ options: ReadOptions) async throws(DDriveError)
        -> [[UInt8]]
    {
        var blocks: [[UInt8]] = []
        for piece in pieces {
            do throws(DDatabaseError) {
                blocks.append(try await log.block(at: piece.block, options))
            } catch {
                throw DDriveError(error)
            }
            guard UInt64(blocks[blocks.count - 1].count) == piece.byteCount else {
                throw DDriveError(fault: .malformedMap, in: path)
            }
        }
        return blocks
    }

    /// Cuts what was read to the range, and makes sure that the sizes add up.
    private mutating func cut(_ blocks: [[UInt8]]) throws(DDriveError) -> [[UInt8]] {
        var result: [[UInt8]] = []
        result.reserveCapacity(blocks.count)
        for block in blocks where remainingByteCount > 0 {
            typicalByteCount = max(typicalByteCount, UInt64(block.count))
            guard UInt64(block.count) >= skippedByteCount else { throw DDriveError(fault: .impossibleBlob, in: path) }
            let start = Int(skippedByteCount)
            let count = min(UInt64(block.count) - skippedByteCount, remainingByteCount)
            // A whole read must end where the last block ends.
            if readsToEnd, count < UInt64(block.count - start) { throw DDriveError(fault: .impossibleBlob, in: path) }
            result.append(start == 0 && Int(count) == block.count ? block : Array(block[start..<start + Int(count)]))
            remainingByteCount -= count
            skippedByteCount = 0
        }
        if remainingByteCount > 0 {
            guard case .run(let next, let end) = layout, next >= end else { return result }
            throw DDriveError(fault: .impossibleBlob, in: path)
        }
        return result
    }
}
