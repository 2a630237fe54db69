import DWebCrypto

/// Ids for streams: random, and with low bits that no other live stream has; spec 20 section 14.
struct StreamIDs {
    private var mask: UInt32 = 15
    private var used: Set<UInt32> = []
    private var ids: Set<UInt32> = []

    /// A fresh id, which is in use until ``release(_:)``.
    mutating func draw(random: inout SecureRandom) -> UInt32 {
        if ids.count >= Int(mask / 2) {
            mask = mask << 1 | 1
            used = Set(ids.map { $0 & mask })
        }
        while true {
            let id = UInt32(truncatingIfNeeded: random.next())
            guard used.insert(id & mask).inserted else { continue }
            ids.insert(id)
            return id
        }
    }

    /// Ends the use of an id.
    mutating func release(_ id: UInt32) {
        guard ids.remove(id) != nil else { return }
        used.remove(id & mask)
    }
}
