import DWebBase
import DWebCrypto
import DWebLogCore
import DWebPorts

extension LogEngine {
    func signature(
        appending blocks: [[UInt8]], cipher: BlockCipher?
    ) async throws(DDatabaseError) -> SignaturePart {
        await enterMutation()
        defer { mutations.leave() }
        try checkChangeable()
        try check(blocks, isEncrypted: cipher != nil, after: tree)
        var change = LogChange(of: tree)
        _ = change.append(blocks, cipher: cipher)
        return try await part(for: change.tree)
    }

    func signature(truncatingTo length: UInt64) async throws(DDatabaseError) -> SignaturePart {
        await enterMutation()
        defer { mutations.leave() }
        try checkChangeable()
        return try await part(for: try await truncation(to: length).tree)
    }

    private func part(for tree: MerkleTree) async throws(DDatabaseError) -> SignaturePart {
        guard let verifier else { throw notWritable() }
        let (position, signature) = try await bareSignature(of: tree, verifier)
        return SignaturePart(
            key: key, signer: position, length: tree.length, fork: tree.fork, signature: signature)
    }

    private func truncation(to length: UInt64) async throws(DDatabaseError) -> LogChange {
        try check(truncationOf: tree, to: length)
        return try await repeatingLoads { [tree, nodes] () throws(ProofError) in
            var change = LogChange(of: tree)
            try change.truncate(to: length, source: nodes)
            return change
        }
    }

    func append(
        _ blocks: [[UInt8]], signedBy parts: [SignaturePart], cipher: BlockCipher?
    ) async throws(DDatabaseError) -> Range<UInt64> {
        await enterMutation()
        defer { mutations.leave() }
        try checkChangeable()
        guard let verifier else { throw notWritable() }
        try check(blocks, isEncrypted: cipher != nil, after: tree)
        var longest = LogChange(of: tree)
        _ = longest.append(blocks, cipher: cipher)
        let agreed = try agreement(of: parts, on: longest, verifier)
        var change = LogChange(of: tree)
        let range = change.append(Array(blocks.prefix(Int(agreed.length - tree.length))), cipher: cipher)
        try checkPrologue(change.tree, change.created.values)
        try await write(change, agreed.parts, verifier)
        return range
    }

    func truncate(to length: UInt64, signedBy parts: [SignaturePart]) async throws(DDatabaseError) {
        await enterMutation()
        defer { mutations.leave() }
        try checkAlive()
        guard let verifier else { throw notWritable() }
        let change = try await truncation(to: length)
        let agreed = try agreement(of: parts, on: change, verifier)
        guard agreed.length == length else { throw LogEngine.tooFew }
        try await write(change, agreed.parts, verifier)
    }

    private static let tooFew = DDatabaseError(.signer, "Too few of the log's signers agree to this")

    private func write(
        _ change: LogChange, _ parts: [PartialSignature], _ verifier: SignatureVerifier
    ) async throws(DDatabaseError) {
        let signature = verifier.assemble(parts)
        guard verifier.isValid(SignedTree(tree: change.tree, signature: signature)) else { throw LogEngine.tooFew }
        var batch = WriteBatch()
        let write = put(change, signature: signature, into: &batch)
        try await apply(batch)
        adopt(change, write)
    }

    /// The length that enough signers agree to, and their parts in the form that is joined.
    ///
    /// - Parameter longest: The log with everything that anybody signed.
    private func agreement(
        of parts: [SignaturePart], on longest: LogChange, _ verifier: SignatureVerifier
    ) throws(DDatabaseError) -> (length: UInt64, parts: [PartialSignature]) {
        let manifest = verifier.manifest
        var newest: [Int: SignaturePart] = [:]
        for part in parts {
            guard part.key == key, part.fork == longest.tree.fork, part.signer < manifest.signers.count,
                part.length >= longest.sharedLength, part.length <= longest.tree.length,
                let signed = tree(at: part.length, of: longest),
                Ed25519.verify(
                    part.signature, of: verifier.signable(of: signed, bySigner: part.signer),
                    by: manifest.signers[part.signer].publicKey)
            else { throw DDatabaseError(.signer, "A part of the signature belongs to another state of the log") }
            if newest[part.signer].map({ $0.length < part.length }) ?? true { newest[part.signer] = part }
        }
        let quorum = Int(clamping: manifest.quorum)
        let candidates = newest.values.sorted { ($0.length, $1.signer) > ($1.length, $0.signer) }
        let length: UInt64
        if manifest.allowPatch {
            length = PartialSignature.commonLength(of: candidates.map(\.length), quorum: quorum)
        } else {
            // Without patches only equal lengths go together.
            length =
                candidates.map(\.length).first { length in
                    candidates.count { $0.length == length } >= max(quorum, 1)
                } ?? 0
        }
        guard quorum > 0, length > 0 || longest.tree.length == 0, candidates.count >= quorum else {
            throw LogEngine.tooFew
        }
        let joined = candidates.filter { manifest.allowPatch ? $0.length >= length : $0.length == length }
            .prefix(quorum).map { part in
                PartialSignature(
                    signer: UInt64(part.signer), signature: part.signature, patch: part.length - length,
                    nodes: FlatTree.connection(from: length, to: part.length).compactMap { longest.created[$0] })
            }
        guard joined.count == quorum else { throw LogEngine.tooFew }
        return (length, joined)
    }

    /// The tree of a change as it is at one of its lengths.
    private func tree(at length: UInt64, of change: LogChange) -> MerkleTree? {
        if length == change.tree.length { return change.tree }
        let created = change.created
        let overlay = NodeLookup { [nodes] (index) throws(ProofError) in
            if let node = created[index] { return node }
            return try nodes.node(at: index)
        }
        return try? change.tree.truncated(to: length, fork: change.tree.fork, source: overlay)
    }
}
