public import DWebBase
import DWebCrypto
import DWebLogCore

/// Something that signs a log without giving away its secret key: a hardware token, a key store of the system, a
/// service.
///
/// A log asks for one signature per append or truncation, and waits for it. A signer that does not answer holds up the
/// changes of that log, and nothing else.
public protocol LogSigner: Sendable {
    /// The key that the signatures belong to: one of the signers in the log's manifest.
    var publicKey: PublicKey { get }

    /// The Ed25519 signature of `message`, 64 bytes.
    ///
    /// Whatever is thrown becomes an error with code `signer`; the change does not happen then.
    func sign(_ message: [UInt8]) async throws -> [UInt8]
}

extension LogEngine {
    /// The signature of `tree` that belongs into the log's head; nil where the manifest's prologue makes one needless.
    ///
    /// - Throws: ``DDatabaseError`` with code `notWritable`, `signer`, or `outOfBounds` where the prologue forbids it.
    func sign(_ tree: MerkleTree) async throws(DDatabaseError) -> [UInt8]? {
        if try isFixed(tree) { return nil }
        guard let manifest, let verifier, LogEngine.canSign(signerKey, manifest) else { throw notWritable() }
        let (position, bare) = try await bareSignature(of: tree, verifier)
        return verifier.assemble(bare, bySigner: position)
    }

    /// Whether a tree of this length needs no signature, because the manifest fixes it.
    ///
    /// - Throws: ``DDatabaseError`` with code `outOfBounds` for a tree that the manifest forbids.
    private func isFixed(_ tree: MerkleTree) throws(DDatabaseError) -> Bool {
        guard let prologue = verifier?.prologue, tree.length <= prologue.length else { return false }
        guard tree.length == prologue.length, tree.hash == prologue.hash else {
            throw DDatabaseError(
                .outOfBounds, "The first \(prologue.length) blocks of the log are fixed by its manifest")
        }
        return true
    }

    /// Refuses a tree that grew past the fixed beginning of the log with other blocks than those.
    func checkPrologue(_ newTree: MerkleTree, _ created: some Sequence<TreeNode>) throws(DDatabaseError) {
        guard let prologue = verifier?.prologue, tree.length < prologue.length, newTree.length > prologue.length else {
            return
        }
        let table = NodeTable(created)
        let overlay = NodeLookup { [nodes] (index) throws(ProofError) in
            if let node = table.nodes[index] { return node }
            return try nodes.node(at: index)
        }
        let fixed = try? newTree.truncated(to: prologue.length, fork: newTree.fork, source: overlay)
        guard fixed?.hash == prologue.hash else {
            throw DDatabaseError(
                .outOfBounds, "The first \(prologue.length) blocks of the log are fixed by its manifest")
        }
    }

    /// The local signer's own signature of `tree`, and its position in the manifest.
    func bareSignature(
        of tree: MerkleTree, _ verifier: SignatureVerifier
    ) async throws(DDatabaseError) -> (position: Int, signature: [UInt8]) {
        guard let signerKey, let position = verifier.manifest.signers.firstIndex(where: { $0.publicKey == signerKey })
        else { throw notWritable() }
        let message = verifier.signable(of: tree, bySigner: position)
        if let signer { return (position, signer.sign(message)) }
        guard let externalSigner else { throw notWritable() }
        let signature: [UInt8]
        do {
            signature = try await externalSigner.sign(message)
        } catch {
            throw DDatabaseError(.signer, "The signer refused: \(error)")
        }
        guard Ed25519.verify(signature, of: message, by: signerKey) else {
            throw DDatabaseError(.signer, "The signer gave a signature that does not belong to its key")
        }
        return (position, signature)
    }

    /// The public key of the local signer.
    var signerKey: PublicKey? { signer?.publicKey ?? externalSigner?.publicKey }

    func notWritable() -> DDatabaseError {
        if isReadOnly { return DDatabaseError(.notWritable, "The store was opened read-only") }
        if let manifest, signerKey != nil, manifest.quorum > 1 {
            return DDatabaseError(.notWritable, "The log \(key) needs the signatures of several signers")
        }
        if let manifest, let signerKey, !manifest.signers.contains(where: { $0.publicKey == signerKey }) {
            return DDatabaseError(.notWritable, "The local key pair is none of the signers of the log \(key)")
        }
        return DDatabaseError(.notWritable, "The log \(key) cannot be written here: its secret key is not known")
    }

    /// Whether `signer` alone can sign for `manifest`.
    static func canSign(_ signer: PublicKey?, _ manifest: Manifest?) -> Bool {
        guard let signer, let manifest, manifest.quorum == 1 || manifest.isCompatible(with: signer) else {
            return false
        }
        return manifest.signers.contains { $0.publicKey == signer }
    }

    /// Whether the log takes appends: it can be signed here, or its manifest fixes blocks that are still missing.
    func isAppendable() -> Bool {
        if isReadOnly { return false }
        if LogEngine.canSign(signerKey, manifest) { return true }
        guard let prologue = verifier?.prologue else { return false }
        return tree.length < prologue.length
    }

    /// Lets the log be signed by `signer` from now on.
    package func setSigner(_ signer: any LogSigner) {
        externalSigner = signer
        published.setWritable(isAppendable())
    }
}
