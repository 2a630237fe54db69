package import DWebBase
package import DWebCrypto

/// Decides whether a tree is signed as its log's manifest demands, and signs; spec 40 section 5.
package struct SignatureVerifier: Sendable, Hashable {
    /// The log's key.
    package let key: PublicKey
    /// The manifest, which belongs to the key.
    package let manifest: Manifest
    /// Whether the key is the signer's public key instead of the manifest's hash.
    package let isCompatible: Bool
    /// Whether signatures without any prefix are meant, which only very old compatible logs have.
    package let isLegacy: Bool

    /// The rules of the log with `key`. The manifest must belong to it (``Manifest/belongs(to:)``).
    package init(key: PublicKey, manifest: Manifest, isLegacy: Bool = false) {
        self.key = key
        self.manifest = manifest
        self.isLegacy = isLegacy
        isCompatible = manifest.isCompatible(with: key)
    }

    /// The fixed beginning of the log, if its manifest has one.
    package var prologue: Manifest.Prologue? { isCompatible ? nil : manifest.prologue }

    private var version: UInt64 { isCompatible ? 0 : manifest.version }
    private var quorum: UInt64 { isCompatible ? 1 : manifest.quorum }
    private var allowPatch: Bool { !isCompatible && manifest.allowPatch }

    /// Whether the tree is signed sufficiently. Undecodable signatures are bad ones.
    package func isValid(_ signed: SignedTree) -> Bool {
        isValid(signed.signature, of: Summary(signed.tree), extending: signed.tree)
    }

    /// The same for a tree of which only the hash is known, as in a stored head. Signatures that need the tree
    /// itself, because a signer has signed a longer one, are not found valid.
    package func isValid(_ signature: [UInt8]?, treeHash: Bytes32, length: UInt64, fork: UInt64) -> Bool {
        isValid(signature, of: Summary(hash: treeHash, length: length, fork: fork), extending: nil)
    }

    private func isValid(_ signature: [UInt8]?, of summary: Summary, extending tree: MerkleTree?) -> Bool {
        if version > 0, let prologue, summary.length <= prologue.length {
            return summary.length == prologue.length && summary.hash == prologue.hash
        }
        guard let signature else { return false }
        if version == 0, isCompatible || (!allowPatch && manifest.signers.count == 1) {
            return verify(signature, of: summary, bySigner: 0)
        }
        return isValidMultiSignature(signature, of: summary, extending: tree)
    }

    /// What of a tree is signed.
    private struct Summary {
        var hash: Bytes32
        var length: UInt64
        var fork: UInt64

        init(hash: Bytes32, length: UInt64, fork: UInt64) {
            self.hash = hash
            self.length = length
            self.fork = fork
        }

        init(_ tree: MerkleTree) { self.init(hash: tree.hash, length: tree.length, fork: tree.fork) }
    }

    /// The bytes that the signer at this position in the manifest signs.
    package func signable(of tree: MerkleTree, bySigner position: Int) -> [UInt8] {
        signable(of: Summary(tree), bySigner: position)
    }

    private func signable(of summary: Summary, bySigner position: Int) -> [UInt8] {
        let form: TreeSignable
        if isCompatible {
            form = isLegacy ? .legacy : .compat
        } else {
            form = .current(context: version == 0 ? manifest.signers[position].namespace : key.bytes32)
        }
        return form.bytes(treeHash: summary.hash, length: summary.length, fork: summary.fork)
    }

    private func verify(_ signature: [UInt8], of summary: Summary, bySigner position: Int) -> Bool {
        Ed25519.verify(
            signature, of: signable(of: summary, bySigner: position), by: manifest.signers[position].publicKey)
    }

    private func isValidMultiSignature(
        _ signature: [UInt8], of summary: Summary, extending tree: MerkleTree?
    ) -> Bool {
        let decoded: MultiSignature
        do throws(CodecError) {
            decoded =
                version == 0
                ? try MultiSignature(decodingLegacy: signature) : try MultiSignature(decoding: signature)
        } catch {
            return false
        }
        guard quorum > 0, UInt64(decoded.proofs.count) >= quorum, quorum <= UInt64(manifest.signers.count) else {
            return false
        }
        // Exactly the first `quorum` proofs are looked at, so that all peers come to the same answer.
        var used: Set<Int> = []
        let patchNodes = Dictionary(
            decoded.patchNodes.map { ($0.index, $0) }, uniquingKeysWith: { _, later in later })
        for proof in decoded.proofs.prefix(Int(quorum)) {
            guard let position = Int(exactly: proof.signer), position < manifest.signers.count,
                used.insert(position).inserted
            else { return false }
            var signedSummary = summary
            if proof.patch > 0, allowPatch {
                guard let tree, let longer = extend(tree, by: proof.patch, nodes: patchNodes) else {
                    return false
                }
                signedSummary = Summary(longer)
            }
            guard verify(proof.signature, of: signedSummary, bySigner: position) else { return false }
        }
        return true
    }

    private func extend(_ tree: MerkleTree, by blockCount: UInt64, nodes: [UInt64: TreeNode]) -> MerkleTree? {
        guard blockCount <= LogLimits.length - tree.length else { return nil }
        var path: [TreeNode] = []
        for index in FlatTree.connection(from: tree.length, to: tree.length + blockCount) {
            guard let node = nodes[index] else { return nil }
            path.append(node)
        }
        var extended = tree
        var created: [TreeNode] = []
        do throws(ProofError) {
            for node in path { try extended.append(root: node, collecting: &created) }
        } catch {
            return nil
        }
        return extended
    }

    /// Signs the tree as one of the manifest's signers.
    ///
    /// - Returns: What goes into the log's head if one signer suffices by the manifest (a bare signature for version
    ///   0, an assembled one otherwise); with several signers a bare signature, to be joined by ``assemble(_:)``.
    /// - Throws: ``SigningError`` if the key pair is none of the signers'.
    package func sign(_ tree: MerkleTree, with keyPair: KeyPair) throws(SigningError) -> [UInt8] {
        guard let position = manifest.signers.firstIndex(where: { $0.publicKey == keyPair.publicKey }) else {
            throw .notASigner
        }
        let signature = keyPair.sign(signable(of: tree, bySigner: position))
        if version == 0 || manifest.signers.count != 1 { return signature }
        return assemble([PartialSignature(signer: 0, signature: signature)])
    }

    /// One signer's bare signature in the form that belongs into the log's head, if one signer suffices.
    package func assemble(_ signature: [UInt8], bySigner position: Int) -> [UInt8] {
        if version == 0, isCompatible || (!allowPatch && manifest.signers.count == 1) { return signature }
        return assemble([PartialSignature(signer: UInt64(position), signature: signature)])
    }

    /// Joins several signers' parts in the form of the manifest's version.
    package func assemble(_ parts: [PartialSignature]) -> [UInt8] {
        version == 0 ? MultiSignature.assembleLegacy(parts) : MultiSignature.assemble(parts)
    }
}

/// Why a tree cannot be signed.
package enum SigningError: Error, Equatable, Sendable {
    /// The key pair does not belong to any signer of the manifest.
    case notASigner
}
