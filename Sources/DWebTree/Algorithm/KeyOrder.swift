/// The order of keys: unsigned bytes, the shorter first on a tie; spec 50 section 1.3.
package enum KeyOrder {
    /// Below zero, zero or above zero as `left` comes before, equals or follows `right`.
    package static func compare(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
        let count = min(left.count, right.count)
        var index = 0
        // Eight bytes at a time: read as big-endian numbers they compare as the bytes do.
        while index + 8 <= count {
            let leftWord = UInt64(bigEndian: left.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            let rightWord = UInt64(bigEndian: right.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            if leftWord != rightWord { return leftWord < rightWord ? -1 : 1 }
            index += 8
        }
        while index < count {
            if left[index] != right[index] { return left[index] < right[index] ? -1 : 1 }
            index += 1
        }
        return left.count - right.count
    }

    /// Below zero, zero or above zero as `left` comes before, equals or follows `right`.
    package static func compare(_ left: [UInt8], _ right: [UInt8]) -> Int {
        left.withUnsafeBytes { left in right.withUnsafeBytes { right in compare(left, right) } }
    }

    /// The smallest key that is greater than every key with this prefix; nil if there is none.
    package static func successor(ofPrefix prefix: [UInt8]) -> [UInt8]? {
        var result = prefix
        while let last = result.last {
            if last < 0xff {
                result[result.count - 1] = last + 1
                return result
            }
            result.removeLast()
        }
        return nil
    }
}
