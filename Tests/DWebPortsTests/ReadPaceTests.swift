import Testing

@testable import DWebRocks

/// When a store on disk reads on its caller's thread, and when on one of its own.
@Suite("Pace of reads") struct ReadPaceTests {
    private func quick() -> ReadPace {
        var pace = ReadPace()
        pace.note(64, ReadPace.quickTime, isLarge: false)
        return pace
    }

    @Test("a store is not known to be quick before 64 quick reads")
    func warmsUp() {
        var pace = ReadPace()
        for _ in 0..<63 { pace.note(1, .microseconds(5), isLarge: false) }
        #expect(!pace.isQuick)
        pace.note(1, .microseconds(5), isLarge: false)
        #expect(pace.isQuick)
    }

    @Test("reads that were made together count by their average")
    func averages() {
        #expect(quick().isQuick)
        var pace = ReadPace()
        pace.note(64, ReadPace.quickTime * 64, isLarge: false)
        #expect(pace.isQuick)
        pace = ReadPace()
        pace.note(64, ReadPace.quickTime * 64 + .nanoseconds(1), isLarge: false)
        #expect(!pace.isQuick)
    }

    @Test("one slow read ends it, and 64 quick ones bring it back")
    func slowReadEndsIt() {
        var pace = quick()
        pace.note(1, ReadPace.quickTime + .nanoseconds(1), isLarge: false)
        #expect(!pace.isQuick)
        pace.note(63, .zero, isLarge: false)
        #expect(!pace.isQuick)
        pace.note(1, .zero, isLarge: false)
        #expect(pace.isQuick)
    }

    @Test("a large value ends it, however quick")
    func largeValueEndsIt() {
        var pace = quick()
        pace.note(1, .zero, isLarge: true)
        #expect(!pace.isQuick)
    }

    @Test("a scan is quick if some dozens of its entries took no longer than a read")
    func scans() {
        var pace = ReadPace()
        pace.note(scanOf: 256, ReadPace.quickTime * 10, isLarge: false)
        #expect(pace.isQuick)
        pace.note(scanOf: 256, ReadPace.quickTime * 10 + .nanoseconds(1), isLarge: false)
        #expect(!pace.isQuick)
        pace = quick()
        pace.note(scanOf: 256, .zero, isLarge: true)
        #expect(!pace.isQuick)
    }
}
