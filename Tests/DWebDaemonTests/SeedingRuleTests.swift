import DWeb
import DWebTree
import Testing

@testable import DWebDaemonKit

/// The pure parts of seeding: who has a place, what lists say, how records are kept.
@Suite struct SeedingRuleTests {
    private func key(_ number: UInt8) -> PublicKey { PublicKey(Bytes32(repeating: number)) }

    private func demand(
        _ number: UInt8, priority: UInt8 = 100, active: UInt64 = 0, bytes: UInt64 = 10, isOwn: Bool = false
    ) -> QuotaPlan.Demand {
        QuotaPlan.Demand(
            key: key(number), priority: priority, lastActiveMilliseconds: active, byteCount: bytes, isOwn: isOwn)
    }

    @Test func withoutALimitEverythingHasAPlace() {
        let plan = QuotaPlan([demand(1, bytes: .max), demand(2, bytes: .max)], byteLimit: 0)
        #expect(plan.admitted == [key(1), key(2)])
    }

    @Test func priorityGoesBeforeActivityAndActivityBeforeTheKey() {
        let plan = QuotaPlan(
            [demand(1, active: 5), demand(2, priority: 200), demand(3, active: 9), demand(4, active: 9)], byteLimit: 30)
        #expect(plan.admitted == [key(2), key(3), key(4)])
        #expect(plan.byteCount == 30)
    }

    @Test func whatIsTooLargeDoesNotKeepSmallerOnesOut() {
        let plan = QuotaPlan([demand(1, priority: 200, bytes: 100), demand(2)], byteLimit: 50)
        #expect(plan.admitted == [key(2)])
    }

    @Test func whatIsWrittenHereIsNeverGivenUp() {
        let plan = QuotaPlan([demand(1, bytes: 100, isOwn: true), demand(2, priority: 255)], byteLimit: 50)
        #expect(plan.admitted == [key(1)])
    }

    @Test func linesOfListsAreRead() throws {
        let text = key(5).text
        #expect(try SeedTarget(line: "") == nil)
        #expect(try SeedTarget(line: "  # only a note") == nil)
        #expect(try SeedTarget(line: text) == SeedTarget(key: key(5)))
        #expect(try SeedTarget(line: "core \(key(5).hex)") == SeedTarget(key: key(5), kind: .log))
        #expect(
            try SeedTarget(line: "drive \(text) priority=200 # the family's photos")
                == SeedTarget(key: key(5), kind: .drive, priority: 200, note: "the family's photos"))
        for wrong in ["nonsense", "\(text) \(text)", "\(text) priority=900", "drive"] {
            #expect(throws: DaemonError.self) { try SeedTarget(line: wrong) }
        }
    }

    @Test func entriesOfLiveListsThatNameNothingAreIgnored() {
        func target(_ key: [UInt8], _ value: [UInt8]?) -> SeedTarget? {
            LiveList.target(DTree.Entry(sequence: 1, key: key, value: value), defaultPriority: 50)
        }
        #expect(target(key(5).bytes, nil) == SeedTarget(key: key(5), priority: 50))
        #expect(target(Array(key(5).text.utf8), Array("no json".utf8)) == SeedTarget(key: key(5), priority: 50))
        #expect(target(Array("title".utf8), nil) == nil)
        #expect(target([0, 1] + key(5).bytes, nil) == nil)
        // A length that runs past the end of the value.
        #expect(target([0, 0] + key(5).bytes, [200, 1]) == SeedTarget(key: key(5), priority: 50))
    }

    @Test func recordsSurviveTheirEncoding() throws {
        let seed = SeedRecord(
            kind: .drive, priority: 7, addedMilliseconds: 1_700_000_000_000, lastActiveMilliseconds: 1_700_000_000_001,
            isDirect: true, lists: [key(1), key(2)], note: "n\u{f6}te")
        #expect(try StateCoding.decodeSeed(StateCoding.encode(seed)) == seed)
        var limits = SeedLimits()
        limits.storageByteCount = 1 << 40
        #expect(try StateCoding.decodeLimits(StateCoding.encode(limits)) == limits)
        let topic = TopicSetting(announce: false, lookup: true)
        #expect(try StateCoding.decodeTopic(StateCoding.encode(topic)) == topic)
    }

    @Test func recordsThatAreCutOrOfAnotherLayoutAreRefused() throws {
        let bytes = StateCoding.encode(
            SeedRecord(
                kind: .log, priority: 1, addedMilliseconds: 1, lastActiveMilliseconds: 1, isDirect: true,
                lists: [key(1)], note: "note"))
        for count in 0..<bytes.count {
            #expect(throws: CodecError.self) { try StateCoding.decodeSeed(Array(bytes.prefix(count))) }
        }
        #expect(throws: CodecError.self) { try StateCoding.decodeSeed([2] + bytes.dropFirst()) }
    }
}
