#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// The order of keys: unsigned bytes, the shorter first on a tie; spec 50 section 1.3.
package enum KeyOrder {
    /// Below zero, zero or above zero as `left` comes before, equals or follows `right`.
    package static func compare(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
        let count = min(left.count, right.count)
        if count > 0, let leftBase = left.baseAddress, let rightBase = right.baseAddress {
            let order = memcmp(leftBase, rightBase, count)
            if order != 0 { return Int(order) }
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
