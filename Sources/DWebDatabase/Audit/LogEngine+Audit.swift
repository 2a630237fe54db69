import DWebBase
import DWebLogCore
import DWebPorts

extension LogEngine {
    /// Checks, and if asked repairs, everything that is stored of the log; see ``DDatabase/audit(repairing:)``.
    func audit(repairing: Bool) async throws(DDatabaseError) -> DDatabase.AuditReport {
        await enterMutation()
        defer { mutations.leave() }
        try checkAlive()
        try checkTree()
        var auditor = LogAuditor(keys: keys, storage: storage, tree: tree, present: present)
        do throws(PortError) { try await auditor.run() } catch { throw DDatabaseError(storage: error) }
        if tree.length > 0, let verifier, !verifier.isValid(SignedTree(tree: tree, signature: signature)) {
            auditor.note(.invalidSignature)
        }
        let firstAbsent = present.firstAbsent(in: 0..<tree.length) ?? tree.length
        if hints.contiguousLength > firstAbsent { auditor.note(.wrongContiguousLength) }
        var report = auditor.report
        guard repairing, !report.isSound else { return report }
        try await apply(auditor.repair)
        report.droppedBlockCount = UInt64(auditor.repair.droppedBlocks.count + auditor.repair.missingBlocks.count)
        report.rebuiltNodeCount = UInt64(auditor.repair.nodes.count)
        return report
    }

    /// Writes what puts the log right as one batch, and takes it over.
    private func apply(_ repair: LogAuditor.Repair) async throws(DDatabaseError) {
        var batch = WriteBatch()
        for node in repair.brokenNodes {
            let span = keys.nodes(FlatTree.leftSpan(node.index)..<FlatTree.rightSpan(node.index) + 1)
            batch.deleteRange(span.start, span.end)
        }
        if let stray = repair.strayNodes {
            let span = keys.nodes(stray)
            batch.deleteRange(span.start, span.end)
        }
        batch.put(repair.brokenNodes + repair.nodes, keys)
        for index in repair.droppedBlocks + repair.strayBlocks { batch.delete(keys.block(index)) }
        var map = present
        for index in repair.droppedBlocks + repair.missingBlocks { map.remove(index) }
        for index in repair.unmarkedBlocks { map.insert(index) }
        var pages: [UInt64] = []
        for index in repair.droppedBlocks + repair.missingBlocks + repair.unmarkedBlocks {
            pages.append(index / AvailabilityMap.pageBitCount)
        }
        for page in Set(pages).sorted() { batch.put(page: page, of: map, keys) }
        var newHints = hints
        newHints.contiguousLength = map.firstAbsent(in: 0..<tree.length) ?? tree.length
        if newHints != hints { batch.put(keys.hints, newHints.encoded) }
        guard !batch.isEmpty else { return }
        try await apply(batch)
        hints = newHints
        writtenHints = newHints
        present = map
        nodes.removeAll()
        publishHead()
        for index in repair.droppedBlocks + repair.missingBlocks { replicationDidClear(index..<index + 1) }
        for index in repair.unmarkedBlocks { replicationDidStore(index..<index + 1) }
    }
}
