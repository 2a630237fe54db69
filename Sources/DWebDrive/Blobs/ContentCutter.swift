/// Cuts content where the content itself says so, so that bytes that moved within a file, or to another one, are cut in
/// the same places; spec 50 section 8.8.
///
/// A Rabin fingerprint of the last 64 bytes decides.
struct ContentCutter {
    // Spec 50 section 8.8 names all of these.
    private static let polynomial: UInt64 = 0x3D_A335_8B4D_C173
    private static let degree: UInt64 = 53
    private static let windowByteCount = 64
    private static let minimumByteCount = 524_288
    private static let maximumByteCount = 8_388_608
    private static let cutMask: UInt64 = 0xF_FFFF

    private var window = [UInt8](repeating: 0, count: ContentCutter.windowByteCount)
    private var position = 0
    private var digest: UInt64 = 0
    /// Bytes since the last cut.
    private var count = 0

    init() { slide(1) }

    /// Looks at what comes next up to the first cut, and returns the index before which it falls; nil if there is none.
    mutating func cut(_ bytes: ArraySlice<UInt8>) -> Int? {
        // Only the window decides, so bytes that have left it before the first possible cut need no look.
        let unseen = ContentCutter.minimumByteCount - ContentCutter.windowByteCount - count
        let skipped = max(0, min(unseen, bytes.count))
        count += skipped
        for index in bytes.indices.dropFirst(skipped) {
            slide(bytes[index])
            count += 1
            guard count >= ContentCutter.minimumByteCount else { continue }
            if digest & ContentCutter.cutMask == 0 || count >= ContentCutter.maximumByteCount {
                self = ContentCutter()
                return index + 1
            }
        }
        return nil
    }

    private mutating func slide(_ byte: UInt8) {
        digest ^= ContentCutter.leaving[Int(window[position])]
        window[position] = byte
        position = (position + 1) % ContentCutter.windowByteCount
        let top = Int(truncatingIfNeeded: digest >> (ContentCutter.degree - 8)) & 0xff
        digest = (digest << 8 | UInt64(byte)) ^ ContentCutter.entering[top]
    }

    /// What a byte that leaves the window has added to the fingerprint.
    private static let leaving: [UInt64] = (0..<256).map { byte in
        (1..<windowByteCount).reduce(UInt64(byte)) { digest, _ in remainder(digest << 8) }
    }

    /// What brings a fingerprint back below its degree after eight bits were moved in, by the bits moved out.
    private static let entering: [UInt64] = (0..<256).map { bits in
        let moved = UInt64(bits) << degree
        return remainder(moved) | moved
    }

    /// The remainder of a polynomial over bits.
    private static func remainder(_ value: UInt64) -> UInt64 {
        var value = value
        while value >> degree != 0 {
            let excess = UInt64(63 - value.leadingZeroBitCount) - degree
            value ^= polynomial << excess
        }
        return value
    }
}
