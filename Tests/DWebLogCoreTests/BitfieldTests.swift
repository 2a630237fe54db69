import DWebBase
import DWebCrypto
import DWebLogCore
import Testing

/// Presence of blocks as it is stored.
@Suite struct BitfieldTests {
    @Test func pagesHaveTheStoredLayout() {
        var field = AvailabilityMap()
        for index: UInt64 in [0, 1, 32_768, 32_768 + 4_095 * 8 + 7] { field.insert(index) }
        #expect(field.pageBytes(0).count == 4_096)
        #expect(field.pageBytes(0)[0] == 3)
        #expect(field.pageBytes(1)[0] == 1 && field.pageBytes(1)[4_095] == 0x80)
        #expect(field.pageBytes(2) == [UInt8](repeating: 0, count: 4_096))
        #expect(field.pageBytes(1 << 40) == [UInt8](repeating: 0, count: 4_096))
    }

    @Test func pagesAreWrittenAsTheyWillBe() {
        var field = AvailabilityMap()
        field.set(0..<40, present: true)
        let bytes = field.pageBytes(0, adding: 30..<36, removing: 10..<40)
        #expect(bytes.prefix(6) == [0xff, 0x03, 0, 0xc0, 0x0f, 0])
        #expect(field.pageBytes(1, adding: 30..<36, removing: 0..<0) == [UInt8](repeating: 0, count: 4_096))
        #expect(field.contains(39) && field.pageBytes(0)[4] == 0xff, "the map itself is unchanged")
        let across = field.pageBytes(0, adding: 32_700..<32_900)
        #expect(across[4_095] == 0xff && across[4_087] == 0xf0)
        #expect(field.pageBytes(1, adding: 32_700..<32_900)[16] == 0x0f)
    }

    /// Whatever was stored comes back, except for what lies behind the log's end.
    @Test func pagesComeBack() {
        var random = SecureRandom(seed: Bytes32(repeating: 3))
        for _ in 0..<20 {
            var field = AvailabilityMap()
            let length = UInt64.random(in: 1...100_000, using: &random)
            for _ in 0..<30 {
                let start = UInt64.random(in: 0..<100_000, using: &random)
                let end = start + UInt64.random(in: 1..<9_000, using: &random)
                field.set(start..<end, present: Bool.random(using: &random))
            }
            var known = AvailabilityMap()
            let knownEnd = field.firstAbsent(in: 0..<length) ?? length
            known.set(0..<min(knownEnd, UInt64.random(in: 0...length, using: &random)), present: true)
            for page in 0..<4 as Range<UInt64> { known.insertPage(page, field.pageBytes(page), length: length) }
            for wordIndex in 0..<2_048 as Range<UInt64> {
                let end = min(length, wordIndex * 64 + 64)
                let mask = end > wordIndex * 64 ? UInt64.max >> (64 - (end - wordIndex * 64)) : 0
                #expect(known.word(wordIndex) == field.word(wordIndex) & mask)
            }
        }
    }

    @Test func damagedPagesAreIgnored() {
        var field = AvailabilityMap()
        field.insertPage(0, [UInt8](repeating: 0xff, count: 4_095), length: 100)
        field.insertPage(0, [], length: 100)
        field.insertPage(5, [UInt8](repeating: 0xff, count: 4_096), length: 100)
        field.insertPage(.max, [UInt8](repeating: 0xff, count: 4_096), length: .max)
        #expect(field.isEmpty)
        field.insertPage(0, [UInt8](repeating: 0xff, count: 4_096), length: 100)
        #expect(field.firstAbsent(in: 0..<200) == 100)
    }
}

/// What a peer says it has: learnt as far as it is plausible, and never at the price of memory.
@Suite struct RemoteBitfieldTests {
    private let peer = ReplicationPeerID(1)

    private func machine(_ length: UInt64) -> LogReplicator {
        let machine = LogReplicator(
            local: LocalLogState(
                head: LogHead(fork: 0, length: 0), contiguousLength: 0, knowsManifest: true, offersManifest: false),
            random: SecureRandom(seed: Bytes32(repeating: 1)))
        machine.addPeer(peer, transport: PeerTransport(isUDX: true), now: .zero)
        machine.peerOpened(peer, supportsSeeks: true, now: .zero)
        say(
            machine,
            .sync(
                SyncMessage(
                    fork: 0, length: length, remoteLength: 0, canUpgrade: false, uploading: true, downloading: true,
                    hasManifest: false, allowPush: false)))
        return machine
    }

    private func say(_ machine: LogReplicator, _ messages: LogMessage...) {
        for message in messages { machine.handle(message, from: peer, now: .zero) }
        while machine.pollOutput() != nil {}
    }

    private func blocks(_ machine: LogReplicator) -> AvailabilityMap { machine.announcedBlocks(of: peer)! }

    @Test func announcements() {
        let remote = machine(1_000)
        say(remote, .range(RangeMessage(start: 0, length: 100)))
        #expect(remote.peerState(peer)?.contiguousLength == 100 && blocks(remote).allocatedPageCount == 0)
        say(remote, .range(RangeMessage(start: 0, length: 50)))
        #expect(remote.peerState(peer)?.contiguousLength == 100, "smaller ones are ignored")
        say(remote, .range(RangeMessage(start: 200, length: 1)), .range(RangeMessage(start: 300, length: 50)))
        #expect(blocks(remote).contains(200) && blocks(remote).contains(349) && !blocks(remote).contains(350))
        say(remote, .range(RangeMessage(drop: true, start: 40, length: 20)))
        #expect(remote.peerState(peer)?.contiguousLength == 40)
        #expect(blocks(remote).contains(60) && !blocks(remote).contains(59))
        // A bitfield says what is there and what is not.
        say(remote, .bitfield(BitfieldMessage(start: 192, words: [1 << 3, 0, 0, 1])))
        #expect(blocks(remote).contains(195) && !blocks(remote).contains(200))
        #expect(blocks(remote).contains(288) && blocks(remote).contains(349))
        say(remote, .bitfield(BitfieldMessage(start: 1, words: [.max])))
        #expect(!blocks(remote).contains(50), "a bitfield starts at a word")
    }

    @Test func announcementsAreClamped() {
        let end = ByteReader.integerLimit
        let margin = LogLimits.availabilityMargin
        let remote = machine(10)
        say(remote, .range(RangeMessage(start: 0, length: end)))
        #expect(remote.peerState(peer)?.contiguousLength == 10 + margin)
        say(remote, .range(RangeMessage(start: end, length: end)), .range(RangeMessage(start: .max, length: .max)))
        #expect(blocks(remote).isEmpty)
        say(remote, .range(RangeMessage(drop: true, start: 3, length: end)))
        #expect(remote.peerState(peer)?.contiguousLength == 3 && !blocks(remote).contains(4))
        say(remote, .bitfield(BitfieldMessage(start: (10 + margin) & ~31, words: [.max, .max])))
        #expect(blocks(remote).contains(10 + margin - 1) && !blocks(remote).contains((10 + margin + 32) & ~31))
        say(remote, .bitfield(BitfieldMessage(start: end & ~31, words: [.max])))
        #expect(!blocks(remote).contains(end & ~31))
        // No claim reaches further than any peer could write.
        let endless = machine(end)
        say(endless, .range(RangeMessage(start: 0, length: .max)))
        #expect(endless.peerState(peer)?.contiguousLength == end)
    }

    @Test func memoryIsBounded() {
        let remote = machine(ByteReader.integerLimit)
        for page in 0..<UInt64(LogLimits.remoteMixedPageCount + 100) {
            say(remote, .range(RangeMessage(start: 1 + page * AvailabilityMap.pageBitCount, length: 1)))
        }
        #expect(blocks(remote).allocatedPageCount == LogLimits.remoteMixedPageCount)
        for segment in 0..<200 as Range<UInt64> {
            say(
                remote,
                .bitfield(
                    BitfieldMessage(
                        start: segment << 21, words: [UInt32](repeating: 5, count: LogLimits.bitfieldWordCount))))
        }
        #expect(blocks(remote).allocatedPageCount <= LogLimits.remoteMixedPageCount)
        let wide = machine(ByteReader.integerLimit)
        say(wide, .range(RangeMessage(start: 1, length: ByteReader.integerLimit - 1)))
        #expect(blocks(wide).contains(1) && blocks(wide).contains(1 << 26))
        #expect(!blocks(wide).contains(1 << 40), "one message touches so many pages and no more")
        for step in 0..<300 as Range<UInt64> {
            say(wide, .range(RangeMessage(start: (step + 1) << 40, length: 1 << 40)))
        }
        // Full pages take no memory of their own, but are counted where they lie far apart.
        #expect(blocks(wide).trackedPageCount <= LogLimits.remoteMixedPageCount + 65_536)
    }

    @Test func oneMessageTouchesSoManyPages() {
        let remote = machine(ByteReader.integerLimit)
        say(remote, .range(RangeMessage(start: 1, length: ByteReader.integerLimit - 1)))
        let last = ReplicationLimits.pagesPerMessage - 1
        #expect(blocks(remote).contains(last * AvailabilityMap.pageBitCount))
        #expect(!blocks(remote).contains((last + 1) * AvailabilityMap.pageBitCount))
    }
}
