import DWebBase
import DWebCrypto
import DWebLogCore

let proofTargets: [FuzzTarget] = [
    // Whatever bytes come as an answer, what is accepted is true.
    FuzzTarget("proofs", seeds: { SampleLog.answers.flatMap { answer in (0..<3).map { [$0] + encoded(answer) } } }) {
        input in
        guard let kind = input.first, let message = data(Array(input.dropFirst())) else { return }
        let known: (tree: MerkleTree, table: NodeTable)
        switch kind % 3 {
        case 0: known = (MerkleTree(), NodeTable())
        case 1: known = SampleLog.reader
        default: known = (SampleLog.tree, NodeTable(SampleLog.tree.roots))
        }
        let verifier = ProofVerifier(
            key: SampleLog.rules.key, signatureVerifier: kind % 2 == 0 ? SampleLog.rules : nil)
        guard let proof = try? verifier.verify(message, against: known.tree, source: known.table) else { return }
        checkTrue(proof, from: known.tree)
    },
    FuzzTarget("fork-proofs", seeds: { SampleLog.forkAnswers.indices.map { forkScript(from: $0) } }) { input in
        var script = InputScript(input)
        let verifier = ProofVerifier(key: SampleLog.rules.key, signatureVerifier: SampleLog.rules)
        var search: ReorgSearch?
        while !script.isEmpty {
            guard let message = data(script.piece()) else { continue }
            if var running = search {
                if (try? running.handle(message, source: SampleLog.table)) == true { search = running }
            } else {
                search = try? ReorgSearch(
                    message, against: SampleLog.tree, verifier: verifier, source: SampleLog.table)
            }
            guard let search else { continue }
            check(search.signed.tree == SampleLog.forked.signed.tree, "a history that nobody signed")
            check(search.ancestors <= 6 || !search.isFinished, "a common beginning that is too long")
            for node in search.nodes {
                check(SampleLog.forked.table.nodes[node.index]?.hash == node.hash, "a wrong node")
            }
        }
    },
    FuzzTarget("conflict-proofs", seeds: { (SampleLog.answers + SampleLog.forkAnswers).map { encoded($0) } }) { input in
        guard let message = data(input) else { return }
        let verifier = ProofVerifier(key: SampleLog.rules.key, signatureVerifier: nil)
        guard let result = try? verifier.verifyStandalone(message) else { return }
        check(
            result.signed.tree == SampleLog.tree || result.signed.tree == SampleLog.forked.signed.tree,
            "a history that nobody signed")
    },
    FuzzTarget(
        "requests",
        seeds: {
            SampleLog.requests.map { request in
                LogMessage.request(RequestMessage(id: 1, fork: 0, proof: request, manifest: true)).encoded
            }
        }
    ) { input in
        var reader = ByteReader(input)
        guard let request = try? RequestMessage(from: &reader) else { return }
        let producer = ProofProducer(signed: SampleLog.signed, prologue: nil, source: SampleLog.table)
        let index = request.proof.block?.index ?? 0
        let value = index < 11 ? SampleLog.blocks[Int(index)] : []
        guard let answer = try? producer.answer(to: request, blockValue: value, manifest: SampleLog.manifest) else {
            return
        }
        check(encoded(answer).count < 8_192, "an answer that is larger than any proof")
        _ = try? SampleLog.tree.seek(bytes: request.proof.seek?.bytes ?? 0, padding: 0, source: SampleLog.table)
    },
    FuzzTarget("replication", seeds: { [replicationScript(isReader: true), replicationScript(isReader: false)] }) {
        replicate($0)
    },
]

private func encoded(_ message: DataMessage) -> [UInt8] { LogMessage.data(message).encoded }

private func data(_ bytes: [UInt8]) -> DataMessage? {
    var reader = ByteReader(bytes)
    return try? DataMessage(from: &reader)
}

private func forkScript(from first: Int) -> [UInt8] {
    ([SampleLog.forkAnswers[0]] + SampleLog.forkAnswers[first...]).flatMap { InputScript.piece(encoded($0)) }
}

/// Every part of an accepted proof is what the log really has.
private func checkTrue(_ proof: VerifiedProof, from base: MerkleTree) {
    if let upgrade = proof.upgrade {
        check(upgrade.tree == SampleLog.tree || upgrade.tree == base, "a tree that nobody signed")
    }
    if let block = proof.block {
        check(block.index < 11 && SampleLog.blocks[Int(block.index)] == block.value, "a block that nobody wrote")
    }
    for node in proof.nodes {
        // Sizes that only a sum covers are not proven; see spec 30 H.12.
        check(SampleLog.table.nodes[node.index]?.hash == node.hash, "a node that nobody made")
    }
    if let manifest = proof.manifest { check(manifest == SampleLog.manifest, "another log's manifest") }
}

// MARK: The machine

private func replicationScript(isReader: Bool) -> [UInt8] {
    var script: [UInt8] = [isReader ? 0 : 1, 0]
    for message in SampleLog.messages { script += [1, UInt8(message.type)] + InputScript.piece(message.encoded) }
    return script
}

/// Plays peers, callers and an owner to a replication machine, as the input says.
private func replicate(_ input: [UInt8]) {
    var script = InputScript(input)
    let isReader = script.byte() % 2 == 0
    let length: UInt64 = isReader ? 3 : 11
    var options = ReplicationOptions()
    let choice = script.byte()
    options.allowsPush = choice & 1 != 0
    options.isPushOnly = choice & 3 == 3
    let machine = LogReplicator(
        local: LocalLogState(
            head: LogHead(fork: 0, length: length), contiguousLength: isReader ? 0 : length,
            knowsManifest: !isReader, offersManifest: !isReader),
        options: options, random: SecureRandom(seed: Bytes32(repeating: choice)))
    var now = MonotonicTime.zero
    var peerCount: UInt64 = 0
    var ticketCount: UInt64 = 0
    var verifications: [(VerificationToken, VerificationPurpose)] = []
    var serves: [ServingToken] = []
    var forks: [UInt64] = []
    func connect() {
        peerCount += 1
        machine.addPeer(ReplicationPeerID(peerCount), transport: PeerTransport(isUDX: true), now: now)
        machine.peerOpened(ReplicationPeerID(peerCount), supportsSeeks: true, now: now)
    }
    func ticket() -> ReplicationTicket {
        ticketCount += 1
        return ReplicationTicket(ticketCount)
    }
    func drain() {
        while let output = machine.pollOutput() {
            switch output {
            case .verify(let token, from: _, data: _, let purpose): verifications.append((token, purpose))
            case .serve(let token, from: _, request: _, kind: _): serves.append(token)
            case .cancelServe(let token): serves.removeAll { $0 == token }
            case .applyReorganisation(let fork): forks.append(fork)
            case .send, .resolve, .seekProgress, .discardReorganisation, .closeChannel, .reopenChannel, .destroyStream,
                .extensionMessage, .event:
                break
            }
        }
    }
    connect()
    drain()
    for _ in 0..<512 where !script.isEmpty {
        now = now + .milliseconds(7)
        let peer = ReplicationPeerID(1 + UInt64(script.byte() >> 4) % max(1, peerCount))
        switch script.number(below: 16) {
        case 0...8:
            let type = UInt64(script.number(below: 11))
            var reader = ByteReader(script.piece())
            guard let message = try? LogMessage.decode(type: type, from: &reader) else { continue }
            machine.handle(message, from: peer, now: now)
        case 9 where peerCount < 6: connect()
        case 10: machine.removePeer(peer, now: now)
        case 11: machine.wantBlock(UInt64(script.byte()), ticket: ticket(), now: now)
        case 12:
            let start = UInt64(script.byte())
            machine.wantRange(
                start: start, end: start + UInt64(script.byte()), isLinear: start % 2 == 0, ticket: ticket(), now: now)
        case 13 where !serves.isEmpty:
            let outcomes: [ServingOutcome] = [.unavailable, .invalidRequest, .data(SampleLog.answers[0])]
            machine.served(serves.removeFirst(), outcomes[script.number(below: 3)], now: now)
        case 14 where !verifications.isEmpty:
            let (token, purpose) = verifications.removeFirst()
            machine.verified(token, outcome(purpose, machine.head, script.byte()), now: now)
        case 15 where !forks.isEmpty:
            machine.reorganisationFailed(fork: forks.removeFirst(), now: now)
        default:
            now = now + .milliseconds(Int64(script.byte()) * 40)
            machine.wake(now: now)
        }
        drain()
    }
}

private func outcome(_ purpose: VerificationPurpose, _ head: LogHead, _ choice: UInt8) -> VerificationOutcome {
    let failures: [VerificationFailure] = [.invalidOperation, .invalidChecksum, .invalidProof, .invalidSignature]
    switch (purpose, choice % 4) {
    case (_, 0): return .rejected(failures[Int(choice >> 2) % 4])
    case (_, 1): return .stale
    case (.answer, _), (.push, _):
        var head = head
        if choice % 4 == 2 { head.length += UInt64(choice >> 4) }
        return .applied(head, knowsManifest: true, offersManifest: true)
    case (.reorganisation, 2): return .searching(window: 0..<3, levelCount: 2)
    case (.reorganisation, _): return .reorganisationReady
    case (.conflict, _), (.repair, _): return .sameHistory
    }
}
