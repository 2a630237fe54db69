import DWebLogCore
import Testing

/// A page that fills up bit by bit or part by part must stay full: its slot is given back at that moment.
@Suite struct AvailabilityMapFillTests {
    @Test(arguments: [1, 7, 1_000, 32_767]) func aPageThatFillsInStepsStaysFull(_ step: UInt64) {
        var map = AvailabilityMap()
        let end = AvailabilityMap.pageBitCount * 2 + 100
        var index: UInt64 = 0
        while index < end {
            let next = min(end, index + step)
            map.set(index..<next, present: true)
            index = next
        }
        #expect(map.firstAbsent(in: 0..<end + 1) == end)
        #expect(map.contains(0) && map.contains(AvailabilityMap.pageBitCount - 1) && map.contains(end - 1))
        #expect(map.state(ofPage: 0) == .full && map.state(ofPage: 1) == .full)
        #expect(map.allocatedPageCount == 1)
    }

    @Test func insertingEveryIndexFillsAndRemovingEveryIndexEmpties() {
        var map = AvailabilityMap()
        let inserted = (0..<AvailabilityMap.pageBitCount).count { map.insert($0) }
        #expect(inserted == Int(AvailabilityMap.pageBitCount))
        #expect(map.state(ofPage: 0) == .full && map.allocatedPageCount == 0)
        let removed = (0..<AvailabilityMap.pageBitCount).count { map.remove($0) }
        #expect(removed == Int(AvailabilityMap.pageBitCount))
        #expect(map.isEmpty && map.firstPresent(in: 0..<AvailabilityMap.pageBitCount) == nil)
    }
}
