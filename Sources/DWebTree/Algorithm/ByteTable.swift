/// Short byte strings by number, those that were used most recently, in bounded memory.
///
/// Two generations: when the young one is full it becomes the old one, and the old one is forgotten. What is asked for
/// moves to the young generation.
struct ByteTable {
    private var young = ByteMap()
    private var old = ByteMap()
    private let generationByteCount: Int

    init(generationByteCount: Int) {
        precondition(generationByteCount < ByteMap.startLimit, "a place has room for the start of every string")
        self.generationByteCount = generationByteCount
    }

    /// Gives `body` the bytes of `number`, or returns nil if they are not here.
    mutating func withBytes<Result>(_ number: UInt64, _ body: (UnsafeRawBufferPointer) -> Result) -> Result? {
        if let result = young.withBytes(number, body) { return result }
        let source = old
        return source.withBytes(number) { bytes in
            insert(bytes, for: number)
            return body(bytes)
        }
    }

    func contains(_ number: UInt64) -> Bool { young.contains(number) || old.contains(number) }

    /// Adds bytes, unless the number has some already. Numbers start at 1.
    mutating func insert(_ bytes: UnsafeRawBufferPointer, for number: UInt64) {
        young.insert(bytes, for: number, capacity: generationByteCount)
        guard young.byteCount > generationByteCount else { return }
        old = young
        young = ByteMap()
    }

    mutating func removeAll() {
        young = ByteMap()
        old = ByteMap()
    }
}
