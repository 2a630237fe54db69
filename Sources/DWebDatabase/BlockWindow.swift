/// Small blocks in a row that were read together.
///
/// One scan of a medium costs a fraction of as many single reads. What a log was cut or repaired in between is not
/// handed out: the owner counts that (``StoredNodes/cutCount``) and gives the count along.
struct BlockWindow {
    private var start: UInt64 = 0
    private var end: UInt64 = 0
    private var blocks: [[UInt8]] = []
    private var cutCount: UInt64 = 0

    /// Whether a block follows those that were read last: whoever asks for it reads on.
    func isNext(_ index: UInt64, cutCount: UInt64) -> Bool {
        cutCount == self.cutCount && end > start && index == end
    }

    /// The bytes of a block, if it was read and the log was not cut since.
    func block(_ index: UInt64, cutCount: UInt64) -> [UInt8]? {
        guard cutCount == self.cutCount, index >= start, index - start < UInt64(blocks.count) else { return nil }
        return blocks[Int(index - start)]
    }

    /// Holds `blocks`, the first of which is the one at `start`, instead of earlier ones.
    mutating func fill(_ blocks: [[UInt8]], from start: UInt64, cutCount: UInt64) {
        self.start = start
        end = start + UInt64(blocks.count)
        self.blocks = blocks
        self.cutCount = cutCount
    }

    /// Forgets the bytes, not where they ended.
    mutating func letGo() { blocks = [] }
}
