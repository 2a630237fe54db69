import DWebBase
import DWebDatabase
import DWebPorts

extension DTree {
    /// The name of the extension of the log by which peers help each other with lookups.
    package static let hintExtensionName = TreeHint.extensionName

    /// Helps peers with their lookups, and takes their help, until the task is cancelled or the log's session is
    /// closed; spec 50 section 7.
    ///
    /// A reader whose lookup has to wait for a peer tells its peers what it looks for. A peer that has the tree answers
    /// with the blocks on the way, so that they come at once instead of one after the other. It is a help and never
    /// needed. One question is answered after the other, from what is stored here.
    ///
    /// - Throws: ``DTreeError`` with code `closed`.
    public nonisolated func exchangeHints() async throws(DTreeError) {
        let channel: MessageExtension<[UInt8]>
        do throws(DDatabaseError) {
            channel = try database.messageExtension(DTree.hintExtensionName, as: .bytes)
        } catch {
            throw DTreeError(error)
        }
        let (database, engine) = (database, engine)
        let messages = channel.messages(bufferingNewest: TreeLimits.hintQueueCount)
        await withDiscardingTaskGroup { group in
            for await received in messages {
                for answer in await answers(to: received.message) {
                    // A peer that is gone gets nothing.
                    try? await channel.send(answer, to: received.peer)
                }
                let wanted = await blocksToFetch(for: received.message)
                guard !wanted.isEmpty, await engine.takeHint(wanted.count) else { continue }
                group.addTask(executorPreference: engine.loop) {
                    for run in TreeEngine.runs(of: wanted) { try? await database.download(run) }
                    await engine.endHint(wanted.count)
                }
            }
            group.cancelAll()
        }
    }

    /// The messages that answer a peer's question about which blocks a lookup or scan needs; none for anything else.
    ///
    /// Answers come from what is stored here, and from a bounded number of blocks.
    package func answers(to message: [UInt8]) async -> [[UInt8]] {
        guard let hint = try? TreeHint(decoding: message), hint.get != nil || hint.scan != nil else { return [] }
        return await engine.answers(to: hint).map(\.encoded)
    }

    /// The blocks that a peer's message names and that should be fetched: missing here, and part of the log.
    package func blocksToFetch(for message: [UInt8]) async -> [UInt64] {
        guard let cache = (try? TreeHint(decoding: message))?.cache else { return [] }
        var result: [UInt64] = []
        for block in cache.blocks where block < database.length {
            if (try? await database.has(block)) == false { result.append(block) }
        }
        return result
    }
}

extension TreeEngine {
    /// Asks peers which blocks a lookup or scan needs.
    func ask(_ hint: TreeHint) async {
        guard options.asksForHints, database.peerCount > 0 else { return }
        lastQuestion = loop.now
        // A help that fails is no failure: the blocks are asked for in any case.
        let channel = try? database.messageExtension(DTree.hintExtensionName, as: .bytes)
        try? await channel?.broadcast(hint.encoded)
    }

    /// Whether blocks that a peer named may be fetched: only after a question, and a bounded number at a time.
    package func takeHint(_ count: Int) -> Bool {
        guard let lastQuestion, loop.now - lastQuestion < TreeLimits.hintAnswerTime,
            hintedCount + count <= TreeLimits.hintOutstandingCount
        else { return false }
        hintedCount += count
        return true
    }

    /// Blocks that a peer named have come or were given up.
    package func endHint(_ count: Int) { hintedCount -= count }
}
