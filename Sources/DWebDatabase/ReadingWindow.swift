/// What was read ahead for a reader that takes one small block after the other, by calls of its own.
struct ReadingWindow {
    /// The most bytes of blocks that are read together; one larger block may come with them.
    static let byteCount = 16 << 10
    /// Blocks that are larger on the average are read one by one: a scan of few costs no less.
    static let blockByteCount: UInt64 = 1 << 10
    /// So many reads in a row show that a reader reads on.
    private static let readCount = 4
    private static let firstBlockCount = 8
    private static let blockCount = 128

    private var blocks = BlockWindow()
    /// How many blocks were read together the last time.
    private var lastBlockCount = 0
    private var next: UInt64 = 0
    private var runCount = 0

    /// The bytes of a block, if it was read ahead and the log was not cut since.
    mutating func block(_ index: UInt64, cutCount: UInt64) -> [UInt8]? {
        guard let bytes = blocks.block(index, cutCount: cutCount) else { return nil }
        // Nobody comes back for them as a rule, and many logs may be open.
        if blocks.isNext(index + 1, cutCount: cutCount) { blocks.letGo() }
        return bytes
    }

    /// How many blocks are worth reading from `index` on, which is read now: 1 unless the last reads came in a row. Each
    /// time that all of them were taken it is twice as many, so that two readers who get in each other's way lose little.
    mutating func blockCount(from index: UInt64, cutCount: UInt64) -> Int {
        if blocks.isNext(index, cutCount: cutCount) {
            lastBlockCount = min(ReadingWindow.blockCount, 2 * lastBlockCount)
            return lastBlockCount
        }
        runCount = index == next ? runCount + 1 : 0
        next = index + 1
        guard runCount >= ReadingWindow.readCount else { return 1 }
        runCount = 0
        lastBlockCount = ReadingWindow.firstBlockCount
        return lastBlockCount
    }

    /// Holds `blocks`, the first of which is the one at `start`, instead of earlier ones.
    mutating func fill(_ blocks: [[UInt8]], from start: UInt64, cutCount: UInt64) {
        self.blocks.fill(blocks, from: start, cutCount: cutCount)
    }
}
