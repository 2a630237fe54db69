/// Small blocks in a row that were read together for a peer that asks for one after the other.
///
/// One scan of a medium costs a fraction of as many single reads. What a log was cut or repaired in between is not
/// handed out: the owner counts that (``StoredNodes/cutCount``) and gives the count along.
struct ServingWindow {
    /// The most blocks that are read together.
    static let blockCount: UInt64 = 256
    /// The most bytes of blocks that are held.
    static let byteCount: UInt64 = 64 << 10
    /// So many requests in a row show that a peer reads on.
    static let requestCount = 8

    private var start: UInt64 = 0
    private var blocks: [[UInt8]] = []
    private var cutCount: UInt64 = 0
    /// Blocks before this one are known to be too large to be read together.
    var resumption: UInt64 = 0

    /// Whether a block follows those that were read last: whoever asks for it reads on.
    func isNext(_ index: UInt64, cutCount: UInt64) -> Bool {
        cutCount == self.cutCount && !blocks.isEmpty && index == start + UInt64(blocks.count)
    }

    /// The bytes of a block, if it was read and the log was not cut since.
    func block(_ index: UInt64, cutCount: UInt64) -> [UInt8]? {
        guard cutCount == self.cutCount, index >= start, index - start < UInt64(blocks.count) else { return nil }
        return blocks[Int(index - start)]
    }

    /// Holds `blocks`, the first of which is the one at `start`, instead of earlier ones.
    mutating func fill(_ blocks: [[UInt8]], from start: UInt64, cutCount: UInt64) {
        self.start = start
        self.blocks = blocks
        self.cutCount = cutCount
    }
}
