import DWebBase
import DWebCrypto
import DWebLogCore
import Testing

@Suite struct BitfieldTests {
    /// The same as a set of indices; slow and obviously right.
    struct Model {
        var bits: Set<UInt64> = []

        func firstSet(in range: Range<UInt64>) -> UInt64? { bits.filter { range.contains($0) }.min() }
        func lastSet(before end: UInt64) -> UInt64? { bits.filter { $0 < end }.max() }
        func firstUnset(from start: UInt64) -> UInt64 {
            var index = start
            while bits.contains(index) { index += 1 }
            return index
        }
        func count(in range: Range<UInt64>) -> UInt64 { UInt64(bits.count { range.contains($0) }) }
    }

    @Test func behavesLikeASet() {
        var random = SecureRandom(seed: Bytes32(repeating: 1))
        for round in 0..<20 {
            var field = Bitfield()
            var model = Model()
            var dirty: Set<UInt64> = []
            // Indices around page boundaries, in few pages, some far away.
            func index() -> UInt64 {
                let page = [0, 1, 2, 64, 1 << 33].randomElement(using: &random) ?? 0
                let bit = [0, 1, 31, 32, 63, 64, 32766, 32767].randomElement(using: &random) ?? 0
                return UInt64(page) * Bitfield.bitsPerPage + UInt64(bit)
            }
            for _ in 0..<150 {
                let value = Bool.random(using: &random)
                let start = index()
                if round % 2 == 0 || Bool.random(using: &random) {
                    let changed = field.set(start, to: value)
                    #expect(changed == (model.bits.contains(start) != value))
                    if value { model.bits.insert(start) } else { model.bits.remove(start) }
                    if changed { dirty.insert(start / Bitfield.bitsPerPage) }
                } else {
                    let end = start + UInt64.random(in: 0...300, using: &random)
                    let before = model.bits
                    for bit in start..<end {
                        if value { model.bits.insert(bit) } else { model.bits.remove(bit) }
                    }
                    let difference = before.symmetricDifference(model.bits)
                    #expect(field.setRange(start..<end, to: value) == UInt64(difference.count))
                    for bit in difference { dirty.insert(bit / Bitfield.bitsPerPage) }
                }
                let from = index()
                #expect(field[from] == model.bits.contains(from))
                #expect(field.firstUnset(from: from) == model.firstUnset(from: from))
                let range = from..<max(from, index() + 5)
                #expect(field.firstSet(in: range) == model.firstSet(in: range))
                #expect(field.lastSet(before: from) == model.lastSet(before: from))
                #expect(field.count(in: range) == model.count(in: range))
                #expect(field.setCount == UInt64(model.bits.count))
            }
            #expect(field.takeDirtyPages() == dirty.sorted())
            #expect(field.takeDirtyPages().isEmpty)
            // What storage holds gives the same field again.
            var loaded = Bitfield()
            for page in dirty { loaded.loadPage(field.pageBytes(at: page), at: page) }
            #expect(loaded == field)
            #expect(loaded.setCount == field.setCount && loaded.takeDirtyPages().isEmpty)
            field.setRange(0..<UInt64.max, to: false)
            #expect(field == Bitfield() && field.pageCount == 0 && field.mixedPageCount == 0 && field.setCount == 0)
        }
    }

    @Test func pagesHaveTheStoredLayout() {
        var field = Bitfield()
        field.set(0, to: true)
        field.set(1, to: true)
        field.set(32768, to: true)
        field.set(32768 + 4095 * 8 + 7, to: true)
        #expect(field.pageBytes(at: 0).count == 4096)
        #expect(field.pageBytes(at: 0)[0] == 3)
        #expect(field.pageBytes(at: 1)[0] == 1 && field.pageBytes(at: 1)[4095] == 0x80)
        #expect(field.pageBytes(at: 2) == [UInt8](repeating: 0, count: 4096))
    }

    @Test func wholePagesTakeNoMemory() {
        var field = Bitfield()
        #expect(field.setRange(5..<(1 << 31), to: true) == (1 << 31) - 5)
        #expect(field.pageCount == 1 << 16)
        #expect(field.mixedPageCount == 1)
        #expect(field.firstUnset(from: 5) == 1 << 31)
        #expect(field.firstUnset(in: 5..<100) == nil && field.containsAll(in: 5..<1 << 31))
        #expect(field.setRange(32768..<(1 << 30), to: false) == (1 << 30) - 32768)
        #expect(field.firstUnset(from: 5) == 32768)
        #expect(field.firstSet(from: 32768) == 1 << 30)
        field.set(1 << 30, to: false)
        #expect(field.mixedPageCount == 2)
        field.set(1 << 30, to: true)
        #expect(field.mixedPageCount == 1)
    }

    @Test func words() {
        var field = Bitfield()
        let words: [UInt32] = [1, 0x8000_0000, 0xffff_ffff, 0, 5]
        field.overwrite(from: 32768 - 64, with: words)
        #expect(field[32768 - 64] && field[32767] && field[32768] && field[32768 + 31] && !field[32768 + 32])
        #expect(field.words(from: 32768 - 64, count: 5) == words)
        #expect(field.words(from: 32768 - 96, count: 7) == [0] + words + [0])
        field.overwrite(from: 32768, with: [0])
        #expect(field.words(from: 32768 - 64, count: 3) == [1, 0x8000_0000, 0])
        field.overwrite(from: 1 << 40, with: [0, 0])
        #expect(field.pageCount == 2)
    }

    @Test func messagesAreCutAtSegments() {
        let segment = Bitfield.bitsPerSegment
        var field = Bitfield()
        field.setRange(40..<100, to: true)
        field.setRange(3 * segment..<(3 * segment + 3), to: true)
        let messages = field.messages(covering: 35..<(3 * segment + 33))
        #expect(messages.map(\.start) == [32, 3 * segment])
        #expect(messages[0].words.count == Int(segment / 32) - 1)
        #expect(messages[0].words[0] == 0xffff_ff00 && messages[0].words[2] == 0xf)
        #expect(messages[1].words == [7, 0])
        #expect(field.messages(covering: 0..<0).isEmpty)
    }
}

@Suite struct RemoteBitfieldTests {
    let limit: UInt64 = 1 << 30

    @Test func announcements() {
        var remote = RemoteBitfield()
        remote.handle(RangeMessage(start: 0, length: 100), lengthLimit: limit)
        #expect(remote.contiguousLength == 100 && remote.pageCount == 0)
        #expect(remote[99] && !remote[100])
        remote.handle(RangeMessage(start: 0, length: 50), lengthLimit: limit)
        #expect(remote.contiguousLength == 100)
        remote.handle(RangeMessage(start: 200, length: 1), lengthLimit: limit)
        #expect(remote[200] && remote.firstSet(in: 100..<300) == 200 && remote.firstUnset(from: 3) == 100)
        #expect(remote.count(in: 90..<201) == 11)
        #expect(remote.words(from: 96, count: 4) == [0xf, 0, 0, 0x100])
        // A drop takes exactly what it names.
        remote.handle(RangeMessage(drop: true, start: 60, length: 10), lengthLimit: limit)
        #expect(remote.contiguousLength == 60)
        #expect(!remote[60] && !remote[69] && remote[70] && remote[99] && remote[59])
        remote.handle(BitfieldMessage(start: 32, words: [1, 0x8000_0000]), lengthLimit: limit)
        #expect(remote.contiguousLength == 32 && remote[32] && !remote[33] && remote[95] && remote[96])
        // One that does not start at a word is ignored.
        remote.handle(BitfieldMessage(start: 33, words: [0, 0]), lengthLimit: limit)
        #expect(remote[95])
        remote.truncate(to: 96)
        #expect(remote[95] && !remote[96] && !remote[200])
    }

    @Test func announcementsAreClamped() {
        var remote = RemoteBitfield()
        let end = ByteReader.integerLimit
        remote.handle(RangeMessage(start: 0, length: end), lengthLimit: 10)
        #expect(remote.contiguousLength == 10)
        remote.handle(RangeMessage(start: end, length: end), lengthLimit: 10)
        remote.handle(RangeMessage(start: 5, length: end), lengthLimit: 20)
        #expect(remote[19] && !remote[20])
        remote.handle(RangeMessage(start: .max, length: .max), lengthLimit: .max)
        remote.handle(RangeMessage(drop: true, start: 3, length: end), lengthLimit: 10)
        #expect(remote.contiguousLength == 3 && !remote[4] && remote.pageCount == 0)
        remote.handle(BitfieldMessage(start: 0, words: [.max, .max]), lengthLimit: 20)
        #expect(remote[31] && !remote[32])
        remote.handle(BitfieldMessage(start: end & ~31, words: [.max]), lengthLimit: 20)
        #expect(remote.pageCount == 1)
    }

    @Test func memoryIsBounded() {
        var remote = RemoteBitfield()
        for page in 0..<UInt64(LogLimits.remoteMixedPageCount + 100) {
            remote.handle(
                RangeMessage(start: 1 + page * Bitfield.bitsPerPage, length: 1), lengthLimit: ByteReader.integerLimit)
        }
        #expect(remote.pageCount <= LogLimits.remoteMixedPageCount)
        for segment in 0..<200 as Range<UInt64> {
            remote.handle(
                BitfieldMessage(
                    start: segment * Bitfield.bitsPerSegment,
                    words: [UInt32](repeating: 5, count: LogLimits.bitfieldWordCount)),
                lengthLimit: ByteReader.integerLimit)
        }
        #expect(remote.pageCount <= LogLimits.remoteMixedPageCount)
        var wide = RemoteBitfield()
        wide.handle(RangeMessage(start: 1, length: ByteReader.integerLimit - 1), lengthLimit: ByteReader.integerLimit)
        #expect(wide.pageCount <= LogLimits.remotePageCount && wide[1] && wide[1 << 30])
        wide.handle(RangeMessage(start: 1 << 40, length: 1 << 40), lengthLimit: ByteReader.integerLimit)
        #expect(wide.pageCount <= LogLimits.remotePageCount)
    }
}
