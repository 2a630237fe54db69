#if os(Linux)
    import CPieces
    import Testing

    /// The operators by which the program keeps the pieces of write buffers.
    @Suite(.serialized) struct PieceTests {
        // Nothing else in the tests makes arrays of this size.
        private static let byteCount = (3 << 20) + 12_345

        /// The test runner shares these operators with all that runs beside it; what is kept is of no use to it.
        private func keep(_ count: Int32, _ body: () throws -> Void) rethrows {
            dweb_keep_pieces(PieceTests.byteCount, count)
            defer { dweb_keep_pieces(0, 0) }
            try body()
        }

        private func make(_ byteCount: Int = byteCount) throws -> UnsafeMutableRawPointer {
            let array = try #require(dweb_new_array(byteCount))
            // Every page is there, whether it is new or was kept.
            for offset in stride(from: 0, to: byteCount, by: 4_096) {
                array.storeBytes(of: 1, toByteOffset: offset, as: UInt8.self)
            }
            return array
        }

        @Test func freedPiecesAreUsedAgainUpToTheLimit() throws {
            try keep(2) {
                let pieces = try (0..<3).map { _ in try make() }
                #expect(Set(pieces).count == 3)
                pieces.forEach { dweb_delete_array($0) }
                // The third went back to the system: only the first two can be told from new ones.
                let again = try (0..<2).map { _ in try make() }
                #expect(again == Array(pieces.prefix(2)))
                again.forEach { dweb_delete_array($0) }
            }
        }

        @Test func arraysOfOtherSizesAreNotKept() throws {
            try keep(1) {
                let piece = try make()
                for byteCount in [1, PieceTests.byteCount - 20_000, PieceTests.byteCount + 20_000] {
                    dweb_delete_array(try make(byteCount))
                }
                dweb_delete_array(piece)
                let other = try make(PieceTests.byteCount + 20_000)
                #expect(other != piece)
                let again = try make()
                #expect(again == piece)
                for array in [other, again] { dweb_delete_array(array) }
                dweb_delete_array(nil)
            }
        }
    }
#endif
