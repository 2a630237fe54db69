import DWebCrypto
import DWebLogCore
import DWebPorts

extension LogEngine {
    /// Appends blocks if the log does not become longer than `maximumLength`; see
    /// ``DDatabase/append(_:maximumLength:)``.
    func append(
        _ blocks: [[UInt8]], maximumLength: UInt64, cipher: BlockCipher?
    ) async throws(DDatabaseError) -> Range<UInt64> {
        await enterMutation()
        defer { mutations.leave() }
        try checkChangeable()
        guard isAppendable() else { throw notWritable() }
        try check(blocks, isEncrypted: cipher != nil, after: tree)
        guard tree.length + UInt64(blocks.count) <= maximumLength else {
            throw DDatabaseError(
                .outOfBounds,
                "The log has \(tree.length) blocks, \(blocks.count) more would be above the limit of \(maximumLength)")
        }
        if blocks.isEmpty { return tree.length..<tree.length }
        var change = LogChange(of: tree)
        let range = change.append(blocks, cipher: cipher)
        try checkPrologue(change.tree, change.created.values)
        var batch = WriteBatch()
        let write = put(change, signature: try await sign(change.tree), into: &batch)
        try await apply(batch)
        adopt(change, write)
        return range
    }
}
