public import DWebBase
import DWebLogCore
import DWebPorts

extension DDatabase {
    /// Fills the beginning of this log that its manifest fixes with the blocks of another log that begins likewise.
    ///
    /// User data is copied as well. Blocks are copied as they are stored; one that is encrypted can be read in the copy
    /// only by its ``BlockEncryption/blockKey(_:)``.
    ///
    /// - Throws: ``DDatabaseError`` with code `conflict` (the other log begins differently), `outOfBounds` (nothing is
    ///   fixed, or it is there already), `blockNotAvailable` (the other log lacks blocks), `storage` or `closed`.
    public func copyPrologue(from other: DDatabase) async throws(DDatabaseError) {
        try checkOpen()
        try checkWritable()
        try await other.checkOpen()
        guard let length = await engine.manifest?.prologue?.length, self.length < length else {
            throw DDatabaseError(.outOfBounds, "The log \(key) has no fixed beginning that is still missing")
        }
        var blocks: [[UInt8]] = []
        while UInt64(blocks.count) < length {
            let start = UInt64(blocks.count)
            blocks += try await other.engine.blocks(
                at: start..<min(length, start + 1_024), .localOnly, for: other.hold.session)
        }
        var userData: [(name: String, value: [UInt8]?)] = []
        for (name, value) in try await other.engine.allUserData() { userData.append((name, value)) }
        try await engine.fillPrologue(blocks, userData)
    }

    /// The tree hash of the log at this length, which a manifest's prologue names.
    ///
    /// - Throws: ``DDatabaseError`` with code `outOfBounds`, `storage` or `closed`.
    public func treeHash(at length: UInt64) async throws(DDatabaseError) -> Bytes32 {
        try checkOpen()
        return try await engine.treeHash(at: length)
    }
}

extension LogEngine {
    fileprivate func fillPrologue(
        _ blocks: [[UInt8]], _ userData: [(name: String, value: [UInt8]?)]
    ) async throws(DDatabaseError) {
        await enterMutation()
        defer { mutations.leave() }
        try checkChangeable()
        guard let prologue = verifier?.prologue, tree.length < prologue.length,
            prologue.length <= UInt64(blocks.count)
        else { throw DDatabaseError(.outOfBounds, "The fixed beginning of the log \(key) is there already") }
        var change = LogChange(of: tree)
        _ = change.append(Array(blocks[Int(tree.length)..<Int(prologue.length)]), cipher: nil)
        guard change.tree.hash == prologue.hash else {
            throw DDatabaseError(.conflict, "The other log does not begin as the manifest of the log \(key) says")
        }
        change.userData = userData
        var batch = WriteBatch()
        let write = put(change, signature: nil, into: &batch)
        try await apply(batch)
        adopt(change, write)
    }

    fileprivate func treeHash(at length: UInt64) async throws(DDatabaseError) -> Bytes32 {
        try checkAlive()
        guard length <= tree.length else {
            throw DDatabaseError(.outOfBounds, "The log has \(tree.length) blocks, fewer than \(length)")
        }
        return try await repeatingLoads { [tree, nodes] () throws(ProofError) in
            try tree.truncated(to: length, fork: tree.fork, source: nodes).hash
        }
    }

    /// Everything that is kept by name beside the log.
    fileprivate func allUserData() async throws(DDatabaseError) -> [(String, [UInt8])] {
        try checkAlive()
        let span = keys.userData
        do throws(PortError) {
            return try await storage.entries(from: span.start, to: span.end, limit: .max, isReversed: false)
                .compactMap { entry in (try? keys.userDataName(ofKey: entry.key)).map { ($0, entry.value) } }
        } catch {
            throw DDatabaseError(storage: error)
        }
    }
}
