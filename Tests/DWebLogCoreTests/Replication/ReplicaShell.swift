import DWebBase
import DWebCrypto
import DWebLogCore
import Testing

/// A log in memory that replicates: what the owner of a ``LogReplicator`` is in the product, without waiting.
///
/// Proofs are made and verified for real. Work can be held back, so that tests decide when results arrive.
final class ReplicaShell {
    let name: String
    let key: PublicKey
    let keyPair: KeyPair?
    let machine: LogReplicator
    var tree = MerkleTree()
    var table = NodeTable()
    var blocks: [UInt64: [UInt8]] = [:]
    var signature: [UInt8]?
    var rules: SignatureVerifier?
    var now = MonotonicTime.zero

    var outcomes: [ReplicationTicket: TicketOutcome] = [:]
    var seekResults: [ReplicationTicket: BlockPosition] = [:]
    var events: [ReplicationEvent] = []
    var faults: [PeerFault] = []
    var extensions: [(peer: ReplicationPeerID, name: String, payload: [UInt8])] = []
    var closedChannels: [ReplicationPeerID] = []
    var reopened: [ReplicationPeerID] = []
    var rejections: [ProofError] = []
    var verifiedProofCount = 0
    var verifiedNodeCount = 0
    /// The tree whose roots are to be given back.
    var lostTree: MerkleTree?
    var repairs: [[TreeNode]] = []

    /// Called with every message for a peer.
    var sendMessage: ((ReplicationPeerID, LogMessage) -> Void)?
    /// Changes answers on their way out, to play a bad peer.
    var corrupt: ((DataMessage) -> DataMessage)?
    /// Whether serving and verifying waits for ``work(limit:)``.
    var holdsWork = false
    var heldWork: [ReplicationOutput] = []
    private var searches: [UInt64: ReorgSearch] = [:]
    private var openSeeks: [ReplicationTicket: UInt64] = [:]
    private var nextTicket: UInt64 = 1

    struct BlockPosition: Equatable {
        var block: UInt64
        var offset: UInt64
    }

    init(
        name: String, key: PublicKey, keyPair: KeyPair? = nil, rules: SignatureVerifier? = nil, blocks: [[UInt8]] = [],
        options: ReplicationOptions = ReplicationOptions(), seed: UInt8 = 7
    ) {
        self.name = name
        self.key = key
        self.keyPair = keyPair
        self.rules = rules
        var tree = MerkleTree()
        var nodes: [TreeNode] = []
        tree.append(blocks: blocks, collecting: &nodes)
        machine = LogReplicator(
            local: LocalLogState(
                head: LogHead(fork: 0, length: tree.length), contiguousLength: tree.length,
                knowsManifest: rules != nil, offersManifest: rules.map { !$0.isCompatible } ?? false),
            options: options, random: SecureRandom(seed: Bytes32(repeating: seed)))
        self.tree = tree
        table.insert(nodes)
        for (index, block) in blocks.enumerated() { self.blocks[UInt64(index)] = block }
        if tree.length > 0 { sign() }
    }

    /// A writer and the key of its log.
    static func writer(
        blocks: [[UInt8]] = [], options: ReplicationOptions = ReplicationOptions(), seed: UInt8 = 1
    ) -> ReplicaShell {
        let pair = KeyPair(seed: Bytes32(repeating: seed))
        let manifest = Manifest(signer: pair.publicKey)
        return ReplicaShell(
            name: "writer", key: manifest.key, keyPair: pair,
            rules: SignatureVerifier(key: manifest.key, manifest: manifest), blocks: blocks, options: options)
    }

    /// A reader of the same log that knows nothing but its key.
    func reader(
        _ name: String = "reader", options: ReplicationOptions = ReplicationOptions(), seed: UInt8 = 9
    ) -> ReplicaShell {
        ReplicaShell(name: name, key: key, options: options, seed: seed)
    }

    var stored: Set<UInt64> { Set(blocks.keys) }

    private func sign() {
        guard let rules, let keyPair else { return }
        signature = try! rules.sign(tree, with: keyPair)
    }

    // MARK: Writing

    func append(_ newBlocks: [[UInt8]], signature given: [UInt8]? = nil) {
        var nodes: [TreeNode] = []
        for (offset, block) in newBlocks.enumerated() { blocks[tree.length + UInt64(offset)] = block }
        tree.append(blocks: newBlocks, collecting: &nodes)
        table.insert(nodes)
        if let given { signature = given } else { sign() }
        machine.localAppended(LogHead(fork: tree.fork, length: tree.length), now: now)
    }

    func clear(_ range: Range<UInt64>) {
        for index in range { blocks[index] = nil }
        machine.localBlocks(range, stored: false, now: now)
    }

    func truncate(to length: UInt64) {
        table.remove(TreeTruncation(from: tree.length, to: length))
        for index in length..<tree.length { blocks[index] = nil }
        // The roots of the shorter tree are nodes of the longer one.
        tree = try! tree.truncated(to: length, fork: tree.fork + 1, source: table)
        sign()
        machine.localTruncated(to: LogHead(fork: tree.fork, length: tree.length), now: now)
    }

    // MARK: Wanting

    func ticket() -> ReplicationTicket {
        defer { nextTicket += 1 }
        return ReplicationTicket(nextTicket)
    }

    func get(_ index: UInt64) -> ReplicationTicket {
        let ticket = ticket()
        machine.wantBlock(index, ticket: ticket, now: now)
        return ticket
    }

    func download(_ start: UInt64, _ end: UInt64? = nil, isLinear: Bool = false) -> ReplicationTicket {
        let ticket = ticket()
        machine.wantRange(start: start, end: end, isLinear: isLinear, ticket: ticket, now: now)
        return ticket
    }

    func update() -> ReplicationTicket {
        let ticket = ticket()
        machine.wantUpdate(ticket: ticket, now: now)
        return ticket
    }

    func seek(_ bytes: UInt64) -> ReplicationTicket {
        let ticket = ticket()
        openSeeks[ticket] = bytes
        if let window = seekWindow(ticket) {
            machine.wantSeek(bytes: bytes, padding: 0, window: window, ticket: ticket, now: now)
        }
        return ticket
    }

    /// The blocks in which a byte may be; nil once it is found.
    private func seekWindow(_ ticket: ReplicationTicket) -> Range<UInt64>? {
        guard let bytes = openSeeks[ticket] else { return nil }
        var remainder = bytes
        for root in tree.roots {
            guard remainder >= root.size else { return descend(from: root, remainder: remainder, ticket) }
            remainder -= root.size
        }
        if remainder == 0, tree.length > 0 { return found(ticket, tree.length, 0) }
        return tree.length..<tree.length + 1
    }

    private func descend(
        from root: TreeNode, remainder: UInt64, _ ticket: ReplicationTicket
    ) -> Range<UInt64>? {
        var current = root.index
        var remainder = remainder
        while let left = FlatTree.leftChild(current), let right = FlatTree.rightChild(current) {
            guard let node = table.nodes[left] else { return FlatTree.blocks(below: current) }
            if remainder < node.size {
                current = left
            } else {
                remainder -= node.size
                current = right
            }
        }
        return found(ticket, current / 2, remainder)
    }

    private func found(_ ticket: ReplicationTicket, _ block: UInt64, _ offset: UInt64) -> Range<UInt64>? {
        seekResults[ticket] = BlockPosition(block: block, offset: offset)
        openSeeks[ticket] = nil
        return nil
    }

    // MARK: Outputs

    /// Does everything the machine wants now.
    func pump() {
        while let output = machine.pollOutput() {
            if holdsWork, ReplicaShell.isWork(output) { heldWork.append(output) } else { perform(output) }
        }
    }

    private static func isWork(_ output: ReplicationOutput) -> Bool {
        switch output {
        case .serve, .verify, .applyReorganisation: true
        case .send, .cancelServe, .resolve, .seekProgress, .discardReorganisation, .closeChannel, .reopenChannel,
            .destroyStream, .extensionMessage, .event:
            false
        }
    }

    /// Does held work, the oldest first, or in the order that `pick` chooses positions.
    func work(limit: Int = .max, pick: (Int) -> Int = { _ in 0 }) {
        var done = 0
        while done < limit, !heldWork.isEmpty {
            perform(heldWork.remove(at: pick(heldWork.count)))
            done += 1
        }
        pump()
    }

    func perform(_ output: ReplicationOutput) {
        switch output {
        case .send(let peer, let message): sendMessage?(peer, message)
        case .serve(let token, from: _, let request, let kind): machine.served(token, serve(request, kind), now: now)
        case .cancelServe(let token):
            heldWork.removeAll { if case .serve(token, from: _, request: _, kind: _) = $0 { true } else { false } }
        case .verify(let token, from: _, let data, let purpose):
            machine.verified(token, verify(data, purpose), now: now)
        case .resolve(let ticket, let outcome):
            #expect(outcomes[ticket] == nil, "a ticket is settled once")
            outcomes[ticket] = outcome
        case .seekProgress(let ticket):
            if let window = seekWindow(ticket) {
                machine.narrowSeek(ticket, window: window, now: now)
            } else {
                machine.cancel(ticket, now: now)
            }
        case .applyReorganisation(let fork): reorganise(fork)
        case .discardReorganisation(let fork): searches[fork] = nil
        case .closeChannel(let peer): closedChannels.append(peer)
        case .reopenChannel(let peer): reopened.append(peer)
        case .destroyStream(let peer, let fault):
            faults.append(fault)
            closedChannels.append(peer)
        case .extensionMessage(let peer, let name, let payload): extensions.append((peer, name, payload))
        case .event(let event): events.append(event)
        }
    }

    private func serve(_ request: RequestMessage, _ kind: ServingKind) -> ServingOutcome {
        if kind == .manifestOnly {
            return .data(DataMessage(request: request.id, fork: tree.fork, manifest: rules?.manifest))
        }
        var value: [UInt8] = []
        if let block = request.proof.block {
            guard let stored = blocks[block.index] else { return .unavailable }
            value = stored
        }
        let producer = ProofProducer(
            signed: SignedTree(tree: tree, signature: signature), prologue: rules?.prologue, source: table)
        do throws(ProofError) {
            let data = try producer.answer(to: request, blockValue: value, manifest: rules?.manifest)
            return .data(corrupt?(data) ?? data)
        } catch {
            if case .invalidOperation(.missingStoredNode) = error { return .unavailable }
            return .invalidRequest
        }
    }

    private func failure(_ error: ProofError) -> VerificationOutcome {
        rejections.append(error)
        switch error {
        case .notLoaded, .invalidOperation: return .rejected(.invalidOperation)
        case .invalidChecksum: return .rejected(.invalidChecksum)
        case .invalidProof, .invalidManifest: return .rejected(.invalidProof)
        case .invalidSignature: return .rejected(.invalidSignature)
        case .otherFork: return .stale
        }
    }

    private func verify(_ data: DataMessage, _ purpose: VerificationPurpose) -> VerificationOutcome {
        verifiedProofCount += 1
        verifiedNodeCount += data.block?.nodes.count ?? 0
        let verifier = ProofVerifier(key: key, signatureVerifier: rules)
        do throws(ProofError) {
            switch purpose {
            case .answer, .push:
                let proof = try verifier.verify(data, against: tree, source: table)
                apply(proof)
                return .applied(
                    LogHead(fork: tree.fork, length: tree.length), knowsManifest: rules != nil,
                    offersManifest: rules.map { !$0.isCompatible } ?? false)
            case .reorganisation(let fork):
                if searches[fork] == nil {
                    searches[fork] = try ReorgSearch(data, against: tree, verifier: verifier, source: table)
                } else {
                    _ = try searches[fork]!.handle(data, source: table)
                }
                guard let wanted = searches[fork]?.wanted else { return .reorganisationReady }
                return .searching(window: wanted.blocks, levelCount: wanted.levels)
            case .conflict:
                // The proof goes on to the peer's whole log; what is compared is the part that was asked for.
                let theirs = try verifier.verifyStandalone(data)
                guard let upgrade = data.upgrade, data.block == nil, data.hash == nil, data.seek == nil,
                    theirs.signed.tree.fork == tree.fork, upgrade.length <= tree.length
                else { return .stale }
                let ours = try tree.truncated(to: upgrade.length, fork: tree.fork, source: table)
                return ours.roots.map(\.hash) == upgrade.nodes.map(\.hash) ? .sameHistory : .conflict
            case .repair:
                let theirs = try verifier.verifyStandalone(data)
                guard let upgrade = data.upgrade, let lost = lostTree, upgrade.length == lost.length,
                    theirs.signed.tree.fork == lost.fork,
                    MerkleTree.hash(of: upgrade.nodes) == lost.hash
                else { return .stale }
                repairs.append(upgrade.nodes)
                return .sameHistory
            }
        } catch {
            return failure(error)
        }
    }

    private func apply(_ proof: VerifiedProof) {
        table.insert(proof.nodes)
        if let upgrade = proof.upgrade {
            tree = upgrade.tree
            signature = upgrade.signature
        }
        if let block = proof.block { blocks[block.index] = block.value }
        if let manifest = proof.manifest { rules = SignatureVerifier(key: key, manifest: manifest) }
    }

    private func reorganise(_ fork: UInt64) {
        guard let search = searches.removeValue(forKey: fork), search.isFinished, search.isApplicable(to: tree) else {
            machine.reorganisationFailed(fork: fork, now: now)
            return
        }
        table.remove(search.truncation)
        blocks = blocks.filter { !search.truncation.blocks.contains($0.key) }
        table.insert(search.nodes)
        tree = search.signed.tree
        signature = search.signed.signature
        if let manifest = search.manifest {
            rules = SignatureVerifier(key: key, manifest: manifest)
            machine.localManifest(
                isKnown: true, isOffered: rules.map { !$0.isCompatible } ?? false, now: now)
        }
        machine.reorganised(
            to: LogHead(fork: tree.fork, length: tree.length), ancestors: search.ancestors, now: now)
    }
}

/// `count` blocks of about `byteCount` bytes that differ from each other.
func replicaBlocks(_ count: Int, salt: Int = 0, byteCount: Int = 12) -> [[UInt8]] {
    (0..<count).map { index in
        (0..<byteCount + index % 5).map {
            UInt8(truncatingIfNeeded: index &* 31 &+ $0 &* 7 &+ salt &* 101 &+ index >> 8)
        }
    }
}
