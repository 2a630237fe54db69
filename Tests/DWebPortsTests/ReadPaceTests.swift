import Testing

@testable import DWebRocks

/// When reads of a store on disk are made at once, and when on another thread.
@Suite struct ReadPaceTests {
    /// A pace that saw enough quick reads.
    private func quickPace() -> ReadPace {
        var pace = ReadPace()
        pace.note(1_000, .milliseconds(10), isLarge: false)
        return pace
    }

    @Test func readsAreQuickOnceEnoughWere() {
        var pace = ReadPace()
        var count = 0
        while !pace.isQuick, count < 1_000 {
            pace.note(1, .microseconds(20), isLarge: false)
            count += 1
        }
        #expect(pace.isQuick)
        #expect(count > 64)
    }

    @Test func oneSlowReadAmongQuickOnesChangesNothing() {
        var pace = quickPace()
        for _ in 0..<100 {
            pace.note(1, .microseconds(500), isLarge: false)
            #expect(pace.isQuick)
            pace.note(60, .microseconds(600), isLarge: false)
        }
    }

    @Test func aSlowMediumIsSeenAtItsFirstRead() {
        var pace = quickPace()
        pace.note(1, .milliseconds(5), isLarge: false)
        #expect(!pace.isQuick)
    }

    @Test func readsThatTakeTooLongOnTheAverageAreNotQuick() {
        var pace = quickPace()
        for _ in 0..<200 { pace.note(1, .microseconds(60), isLarge: false) }
        #expect(!pace.isQuick)
    }

    @Test func aLargeValueEndsIt() {
        var pace = quickPace()
        pace.note(1, .microseconds(10), isLarge: true)
        #expect(!pace.isQuick)
    }

    @Test func aScanIsGivenWhatAFewReadsAre() {
        var pace = quickPace()
        for _ in 0..<200 { pace.note(scanOf: 256, ReadPace.quickTime * 10, isLarge: false) }
        #expect(pace.isQuick)
        for _ in 0..<200 { pace.note(scanOf: 256, ReadPace.quickTime * 11, isLarge: false) }
        #expect(!pace.isQuick)
        pace = quickPace()
        pace.note(scanOf: 256, .zero, isLarge: true)
        #expect(!pace.isQuick)
    }
}
