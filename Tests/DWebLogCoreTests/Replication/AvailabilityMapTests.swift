import DWebBase
import DWebCrypto
import DWebLogCore
import Testing

/// The map against a plain set of numbers.
@Suite struct AvailabilityMapTests {
    @Test(arguments: 0..<12) func behavesLikeASet(seed: UInt8) {
        var random = SecureRandom(seed: Bytes32(repeating: seed))
        var map = AvailabilityMap()
        var model = Set<UInt64>()
        // Around page and word borders, at the start and behind the array of pages.
        let bases: [UInt64] = [
            0, AvailabilityMap.pageBitCount - 70, 3 * AvailabilityMap.pageBitCount, 1 << 31, 1 << 40,
        ]
        func index() -> UInt64 { bases.randomElement(using: &random)! + UInt64.random(in: 0..<140, using: &random) }
        func range() -> Range<UInt64> {
            let start = index()
            return start..<start + UInt64.random(in: 0..<200, using: &random)
        }
        for _ in 0..<300 {
            switch Int.random(in: 0..<6, using: &random) {
            case 0, 1:
                let index = index()
                let isNew = map.insert(index)
                #expect(isNew == model.insert(index).inserted)
            case 2:
                let index = index()
                let wasPresent = map.remove(index)
                #expect(wasPresent == (model.remove(index) != nil))
            case 3:
                let range = range()
                let isPresent = Bool.random(using: &random)
                map.set(range, present: isPresent)
                if isPresent { model.formUnion(range) } else { model.subtract(range) }
            case 4:
                let half = index() / 32
                let bits = UInt32(truncatingIfNeeded: random.next())
                map.setHalfWord(half, bits)
                for bit: UInt64 in 0..<32 {
                    if bits & (1 << UInt32(bit)) != 0 {
                        model.insert(half * 32 + bit)
                    } else {
                        model.remove(half * 32 + bit)
                    }
                }
            default:
                let range = range()
                let present = range.first { model.contains($0) }
                let absent = range.first { !model.contains($0) }
                #expect(map.firstPresent(in: range) == present)
                #expect(map.firstAbsent(in: range) == absent)
            }
            let probe = index()
            #expect(map.contains(probe) == model.contains(probe))
            #expect(map.isEmpty == model.isEmpty)
        }
        #expect(map.firstPresent(in: 0..<1 << 50) == model.min())
        map.removeAll()
        #expect(map.isEmpty)
    }

    @Test func wholePagesTakeNoMemory() {
        var map = AvailabilityMap(pageLimit: 2)
        let size = AvailabilityMap.pageBitCount
        map.set(5..<20 * size + 9, present: true)
        #expect(map.allocatedPageCount == 2)
        #expect(map.firstAbsent(in: 5..<30 * size) == 20 * size + 9)
        // A full page that cannot be split any more is forgotten rather than claimed.
        map.remove(7 * size + 1)
        #expect(!map.contains(7 * size + 1) && !map.contains(7 * size) && map.contains(8 * size))
        map.set(0..<40 * size, present: true, pageCountLimit: 3)
        #expect(map.contains(2 * size) && map.contains(0) && !map.contains(25 * size))
        #expect(map.firstOccupiedPage(from: 9) == 9)
        map.set(0..<1 << 53, present: false)
        #expect(map.isEmpty && map.firstOccupiedPage(from: 0) == nil)
    }
}
