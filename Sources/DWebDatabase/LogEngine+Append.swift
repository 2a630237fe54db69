import DWebBase
import DWebCrypto
import DWebLogCore
import DWebPorts

/// Blocks that a caller wants appended, and what became of them.
final class PendingAppend {
    /// The blocks; encrypted, where they are to be, only when their indices are known.
    private(set) var blocks: [[UInt8]]
    /// The bytes of the blocks as stored.
    let byteCount: Int
    private let cipher: BlockCipher?
    var result: Result<Range<UInt64>, DDatabaseError>?

    init(blocks: [[UInt8]], cipher: BlockCipher?) {
        self.blocks = blocks
        self.cipher = cipher
        let padding = cipher == nil ? 0 : BlockCipher.paddingByteCount
        byteCount = blocks.reduce(0) { $0 + $1.count + padding }
    }

    /// Gives the blocks the form in which they are stored as the log's blocks from `start` on.
    func seal(from start: UInt64, fork: UInt64) {
        guard let cipher else { return }
        for offset in blocks.indices {
            blocks[offset] = cipher.seal(blocks[offset], index: start + UInt64(offset), fork: fork)
        }
    }
}

extension LogEngine {
    /// How much of what waits to be appended goes into one write.
    private static let groupBlockLimit = 8_192
    private static let groupByteLimit = 8 << 20

    /// Appends blocks; see ``DDatabase/append(_:)-([[UInt8]])``.
    ///
    /// Callers that wait for their turn at the same time are served by one signature and one write.
    func append(_ blocks: [[UInt8]], cipher: BlockCipher? = nil) async throws(DDatabaseError) -> Range<UInt64> {
        try checkAlive()
        guard signer != nil else {
            throw DDatabaseError(.notWritable, "The log \(key) cannot be written here: its secret key is not known")
        }
        let mostByteCount = LogLimits.blockByteCount - (cipher == nil ? 0 : BlockCipher.paddingByteCount)
        for block in blocks where block.count > mostByteCount {
            throw DDatabaseError(
                .blockTooLarge, "A block has at most \(mostByteCount) bytes, this one has \(block.count)")
        }
        if blocks.isEmpty { return tree.length..<tree.length }
        let append = PendingAppend(blocks: blocks, cipher: cipher)
        pendingAppends.append(append)
        await enterMutation()
        if append.result == nil { await commitAppends() }
        mutations.leave()
        guard let result = append.result else { preconditionFailure("an append in the queue is settled in its turn") }
        return try result.get()
    }

    /// Writes what waits to be appended, from the oldest on, as one batch.
    private func commitAppends() async {
        var group: [PendingAppend] = []
        var blockCount = 0
        var byteCount = 0
        for append in pendingAppends {
            if !group.isEmpty,
                blockCount + append.blocks.count > LogEngine.groupBlockLimit
                    || byteCount + append.byteCount > LogEngine.groupByteLimit
            {
                break
            }
            group.append(append)
            blockCount += append.blocks.count
            byteCount += append.byteCount
        }
        pendingAppends.removeFirst(group.count)
        do throws(DDatabaseError) {
            var start = try await commit(group, blockCount: blockCount)
            for append in group {
                let end = start + UInt64(append.blocks.count)
                append.result = .success(start..<end)
                start = end
            }
        } catch {
            for append in group { append.result = .failure(error) }
        }
    }

    /// Writes a group and returns the index of its first block.
    private func commit(_ group: [PendingAppend], blockCount: Int) async throws(DDatabaseError) -> UInt64 {
        try checkAlive()
        let start = tree.length
        let range = start..<start + UInt64(blockCount)
        let (byteLength, overflow) = group.reduce((tree.byteLength, false)) {
            let (sum, isOver) = $0.0.addingReportingOverflow(UInt64($1.byteCount))
            return (sum, $0.1 || isOver)
        }
        guard !overflow, byteLength <= LogLimits.treeByteLength, range.upperBound <= LogLimits.length else {
            throw DDatabaseError(.outOfBounds, "The log has reached the largest size that logs may have")
        }
        var newTree = tree
        var created: [TreeNode] = []
        created.reserveCapacity(2 * blockCount + 1)
        for append in group {
            append.seal(from: newTree.length, fork: newTree.fork)
            newTree.append(blocks: append.blocks, collecting: &created)
        }
        let newSignature = try sign(newTree)
        // Storage takes ascending keys several times faster than the order in which nodes come into being.
        created.sort { $0.index < $1.index }
        let isContiguous = hints.contiguousLength == start

        // Spec 40 section 14: nodes, head, pages, hints, blocks.
        var batch = WriteBatch()
        for node in created { batch.put(keys.node(node.index), StoredNodes.encode(node)) }
        batch.put(keys.head, headRecord(newTree, newSignature).encoded)
        for page in LogEngine.pages(of: range) { batch.put(keys.bitfieldPage(page), pageBytes(page, adding: range)) }
        var newHints = hints
        if isContiguous {
            newHints.contiguousLength = range.upperBound
            batch.put(keys.hints, newHints.encoded)
        }
        var index = start
        for append in group {
            for block in append.blocks {
                batch.put(keys.block(index), block)
                index += 1
            }
        }
        try await apply(batch)

        tree = newTree
        signature = newSignature
        hints = newHints
        if isContiguous { writtenHints = newHints }
        present.set(range, present: true)
        nodes.store(created)
        publishHead()
        replicationDidAppend(range)
        let fork = tree.fork
        waits.endAll(.fulfilled) { WaitList.isGrown($0, length: range.upperBound, fork: fork) }
        return start
    }

    /// Applies a batch; a refusal makes the log refuse all further changes.
    func apply(_ batch: WriteBatch) async throws(DDatabaseError) {
        do throws(PortError) {
            try await storage.apply(batch, durability: durability)
        } catch {
            throw poison(error)
        }
    }

    /// The head record for a state that is being written now.
    func headRecord(_ tree: MerkleTree, _ signature: [UInt8]?) -> HeadRecord {
        HeadRecord(
            fork: tree.fork, length: tree.length, treeHash: tree.hash, signature: signature,
            timestampMilliseconds: min(runtime.wallClockMilliseconds(), ByteReader.integerLimit))
    }

    /// The local signer's signature of `tree` in the form that the manifest demands.
    func sign(_ tree: MerkleTree) throws(DDatabaseError) -> [UInt8] {
        guard let signer, let manifest else {
            throw DDatabaseError(.notWritable, "The log \(key) cannot be written here: its secret key is not known")
        }
        let verifier = SignatureVerifier(key: key, manifest: manifest)
        do throws(SigningError) {
            let signature = try verifier.sign(tree, with: signer)
            if manifest.signers.count == 1 { return signature }
            // One of several signers may stand alone if the manifest asks for one signature only.
            if manifest.quorum == 1,
                let position = manifest.signers.firstIndex(where: { $0.publicKey == signer.publicKey })
            {
                return verifier.assemble([PartialSignature(signer: UInt64(position), signature: signature)])
            }
        } catch {
            throw DDatabaseError(.notWritable, "The local key pair is none of the signers of the log \(key)")
        }
        throw DDatabaseError(.notWritable, "The log \(key) needs the signatures of several signers")
    }

    /// Whether `signer` alone can sign for `manifest`.
    static func canSign(_ signer: KeyPair?, _ manifest: Manifest?) -> Bool {
        guard let signer, let manifest, manifest.quorum <= 1 else { return false }
        return manifest.signers.contains { $0.publicKey == signer.publicKey }
    }
}

extension WaitList {
    /// Whether a wait for growth is over at this length and fork.
    static func isGrown(_ reason: WaitReason, length: UInt64, fork: UInt64) -> Bool {
        switch reason {
        case .growth(let known, let knownFork): length > known || fork != knownFork
        case .block, .range, .update, .seek: false
        }
    }
}
