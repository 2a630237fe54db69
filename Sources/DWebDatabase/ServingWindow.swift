/// What was read ahead for a peer that asks for one small block after the other.
struct ServingWindow {
    /// The most blocks that are read together.
    static let blockCount: UInt64 = 256
    /// The most bytes of blocks that are held.
    static let byteCount: UInt64 = 64 << 10
    /// So many requests in a row show that a peer reads on.
    static let requestCount = 8

    /// The blocks.
    var blocks = BlockWindow()
    /// Blocks before this one are known to be too large to be read together.
    var resumption: UInt64 = 0
}
