import DWebBase

/// The blocks that the content of a mapped blob consists of, in order; spec 50 section 8.6.
package struct BlobMap: Sendable, Equatable {
    /// One block of the content.
    package struct Piece: Sendable, Equatable {
        /// The block's index in the content log.
        package var block: UInt64
        /// The block's bytes.
        package var byteCount: UInt64

        /// A block.
        package init(block: UInt64, byteCount: UInt64) {
            self.block = block
            self.byteCount = byteCount
        }
    }

    /// The blocks.
    package var pieces: [Piece]

    /// A map.
    package init(pieces: [Piece]) { self.pieces = pieces }

    /// The number of bytes of the content; nil if the map claims more than there can be.
    package var byteCount: UInt64? {
        var sum: UInt64 = 0
        for piece in pieces {
            sum = sum.addingReportingOverflow(piece.byteCount).partialValue
            guard piece.byteCount <= DriveLimits.blockByteCount, sum < 1 << 53 else { return nil }
        }
        return sum
    }

    /// The map's blocks.
    package var encoded: [[UInt8]] {
        stride(from: 0, to: pieces.count, by: DriveLimits.mapEntriesPerBlock).map { start in
            let part = pieces[start..<min(pieces.count, start + DriveLimits.mapEntriesPerBlock)]
            var writer = ByteWriter(capacity: 8 + part.count * 6)
            writer.writeUInt(0 as UInt64)
            writer.writeUInt(part.count)
            for piece in part {
                writer.writeUInt(piece.block)
                writer.writeUInt(piece.byteCount)
            }
            return writer.bytes
        }
    }

    /// Reads the map's blocks; pieces must lie in a content log of `length` blocks.
    package init(decoding blocks: [[UInt8]], length: UInt64) throws(DriveFault) {
        guard blocks.count <= Int(DriveLimits.mapBlockCount) else { throw .malformedMap }
        pieces = []
        for block in blocks {
            var reader = ByteReader(block)
            do throws(CodecError) {
                let version = try reader.readUInt()
                guard version == 0 else { throw .unknownVersion(version) }
                let count = try reader.readArrayCount(minimumByteCount: 2)
                guard count <= DriveLimits.mapEntriesPerBlock else { throw .arrayTooLong }
                for _ in 0..<count {
                    let piece = Piece(block: try reader.readUInt(), byteCount: try reader.readUInt())
                    guard piece.block < length else { throw .invalidValue }
                    pieces.append(piece)
                }
                guard reader.isAtEnd else { throw .invalidValue }
            } catch {
                if case .unknownVersion(let version) = error { throw .unsupportedMap(version) }
                throw .malformedMap
            }
        }
        guard byteCount != nil else { throw .malformedMap }
    }
}
