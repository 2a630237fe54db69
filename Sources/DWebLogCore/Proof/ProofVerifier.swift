package import DWebBase

/// Checks the proofs that peers send; spec 30 section D.3. Holds no state and changes none.
package struct ProofVerifier: Sendable {
    /// The log's key.
    package let key: PublicKey
    /// The rules of the log's manifest; nil while the manifest is not known, then a message must bring it.
    package let signatureVerifier: SignatureVerifier?

    /// A verifier for the log with `key`.
    package init(key: PublicKey, signatureVerifier: SignatureVerifier?) {
        self.key = key
        self.signatureVerifier = signatureVerifier
    }

    /// Checks a message against the local tree.
    ///
    /// - Parameters:
    ///   - message: What a peer sent.
    ///   - tree: The local tree.
    ///   - source: The stored nodes.
    /// - Returns: What to store. A message without anything new gives a proof without nodes.
    /// - Throws: `notLoaded` to be called again; otherwise the message is to be dropped as a whole.
    package func verify(
        _ message: DataMessage, against tree: MerkleTree, source: some NodeSource
    ) throws(ProofError) -> VerifiedProof {
        guard message.fork == tree.fork else { throw .otherFork }
        let local = LocalTree(tree: tree, source: source)
        var result = VerifiedProof(nodes: [], baseFork: tree.fork, baseLength: tree.length)
        let subTree = try SubTreeProof(message)
        if let subTree { result.nodes = subTree.nodes }

        var isConnected = false
        if let upgrade = message.upgrade {
            let rules = try rules(for: message)
            var grown = tree
            isConnected = try apply(
                upgrade, subTree: subTree?.root, prologue: rules.prologue, to: &grown, collecting: &result.nodes)
            if grown.length > tree.length {
                let signed = SignedTree(tree: grown, signature: upgrade.signature)
                guard rules.isValid(signed) else { throw .invalidSignature }
                result.upgrade = signed
                if signatureVerifier == nil { result.manifest = rules.manifest }
            }
        }
        if let subTree, !isConnected { try ProofVerifier.check(subTree, local) }
        if let subTree { try keepStoredSizes(of: subTree, in: &result.nodes, local) }
        if signatureVerifier == nil, result.manifest == nil, let manifest = message.manifest {
            guard manifest.belongs(to: key), manifest.key == key else { throw .invalidManifest }
            result.manifest = manifest
        }
        if let block = message.block { result.block = VerifiedProof.Block(index: block.index, value: block.value) }
        return result
    }

    /// Checks a message that has nothing but a block: nearly every one. The same as
    /// ``verify(_:against:source:)``, without what only other sections need.
    ///
    /// - Returns: The nodes to store with the block.
    package static func verifyBlock(
        _ message: DataMessage, against tree: MerkleTree, source: some NodeSource
    ) throws(ProofError) -> [TreeNode] {
        precondition(message.hasOnlyBlock, "other sections are not looked at")
        guard message.fork == tree.fork else { throw .otherFork }
        guard let subTree = try SubTreeProof(message) else { return [] }
        try check(subTree, LocalTree(tree: tree, source: source))
        return subTree.nodes
    }

    /// Checks a message on its own, as if nothing were stored: for conflicts, repairs and forks; spec 30 sections
    /// D.5, E.9.
    ///
    /// - Returns: The tree that is proven, with the peer's fork and its signature, and all nodes of the message.
    /// - Throws: `invalidOperation` if it has no upgrade from 0; `invalidProof` if its other sections do not belong to
    ///   that; everything that ``verify(_:against:source:)`` throws except `notLoaded`.
    package func verifyStandalone(_ message: DataMessage) throws(ProofError) -> StandaloneResult {
        guard let upgrade = message.upgrade else { throw .invalidOperation(.unexpectedMessage) }
        let subTree = try SubTreeProof(message)
        let rules = try rules(for: message)
        var nodes = subTree?.nodes ?? []
        var tree = MerkleTree(fork: message.fork)
        let isConnected = try apply(
            upgrade, subTree: subTree?.root, prologue: rules.prologue, to: &tree, collecting: &nodes)
        guard subTree == nil || isConnected else { throw .invalidProof }
        let signed = SignedTree(tree: tree, signature: upgrade.signature)
        guard tree.length > 0, rules.isValid(signed) else { throw .invalidSignature }
        return StandaloneResult(
            signed: signed, nodes: nodes, manifest: signatureVerifier == nil ? rules.manifest : nil,
            prologueLength: rules.prologue?.length ?? 0)
    }

    /// What ``verifyStandalone(_:)`` has found.
    package struct StandaloneResult: Sendable, Hashable {
        /// The proven tree.
        package var signed: SignedTree
        /// The nodes of the message, received and computed.
        package var nodes: [TreeNode]
        /// The manifest, if it was not known.
        package var manifest: Manifest?
        /// The number of blocks that the manifest fixes.
        package var prologueLength: UInt64
    }

    /// The rules by which the message's upgrade must be signed: known, brought along, or those of a log whose key is
    /// its signer's.
    private func rules(for message: DataMessage) throws(ProofError) -> SignatureVerifier {
        if let signatureVerifier { return signatureVerifier }
        let manifest = message.manifest ?? Manifest(signer: key)
        guard manifest.belongs(to: key) else { throw .invalidManifest }
        return SignatureVerifier(key: key, manifest: manifest)
    }

    private func apply(
        _ upgrade: DataMessage.Upgrade, subTree: TreeNode?, prologue: Manifest.Prologue?, to tree: inout MerkleTree,
        collecting nodes: inout [TreeNode]
    ) throws(ProofError) -> Bool {
        if let prologue, upgrade.start < prologue.length {
            guard upgrade.start == 0, upgrade.length >= prologue.length else { throw .invalidProof }
        }
        let isConnected = try tree.apply(upgrade, subTree: subTree, collecting: &nodes)
        if let prologue, tree.length == prologue.length {
            guard tree.hash == prologue.hash else { throw .invalidProof }
        }
        return isConnected
    }

    /// Compares a sub tree that no upgrade covers with the stored node at its root.
    private static func check(_ subTree: SubTreeProof, _ local: LocalTree<some NodeSource>) throws(ProofError) {
        let stored = try local.requiredNode(at: subTree.root.index)
        // A computed root whose hash is right has the right size, whatever is stored; a received one must match.
        guard stored.hash == subTree.root.hash, subTree.isRootComputed || stored.size == subTree.root.size else {
            throw .invalidChecksum(nodeIndex: subTree.root.index)
        }
    }

    /// Received sizes that no hash covers must not replace stored ones.
    private func keepStoredSizes(
        of subTree: SubTreeProof, in nodes: inout [TreeNode], _ local: LocalTree<some NodeSource>
    ) throws(ProofError) {
        guard !subTree.unprovenIndices.isEmpty else { return }
        for position in nodes.indices where subTree.unprovenIndices.contains(nodes[position].index) {
            if let stored = try local.node(at: nodes[position].index), stored.hash == nodes[position].hash {
                nodes[position].size = stored.size
            }
        }
    }
}
