package import DWebBase

/// Several signers' signatures in one: the form every log with a version 1 manifest or above uses, even for one signer;
/// spec 40 section 5.
package struct MultiSignature: Sendable, Hashable {
    /// One signer's part.
    package struct Proof: Sendable, Hashable {
        /// The position of the signer in the manifest.
        package var signer: UInt64
        /// The Ed25519 signature, 64 bytes.
        package var signature: [UInt8]
        /// How many blocks more than the tree at hand the signer has signed.
        package var patch: UInt64
    }

    /// The parts. Only the first `quorum` of them count.
    package var proofs: [Proof]
    /// The nodes that connect the tree at hand with the longer ones that were signed.
    package var patchNodes: [TreeNode]

    private static let signatureByteCount = 64
    private static let legacyHasPatch: UInt64 = 1

    /// Reads the encoding of version 1 and above.
    package init(decoding bytes: [UInt8]) throws(CodecError) {
        var reader = ByteReader(bytes)
        proofs = []
        for _ in 0..<(try reader.readArrayCount(minimumByteCount: 2 + MultiSignature.signatureByteCount)) {
            proofs.append(
                Proof(
                    signer: try reader.readUInt(), signature: try reader.readBytes(MultiSignature.signatureByteCount),
                    patch: try reader.readUInt()))
        }
        patchNodes = try [TreeNode](from: &reader, limit: LogLimits.patchNodeCount)
    }

    /// Reads the encoding of version 0, whose patches also list positions that verification does not need.
    package init(decodingLegacy bytes: [UInt8]) throws(CodecError) {
        var reader = ByteReader(bytes)
        proofs = []
        for _ in 0..<(try reader.readArrayCount(minimumByteCount: 2 + MultiSignature.signatureByteCount)) {
            let flags = try reader.readUInt()
            let signer = try reader.readUInt()
            let signature = try reader.readBytes(MultiSignature.signatureByteCount)
            var patch: UInt64 = 0
            if flags & MultiSignature.legacyHasPatch != 0 {
                _ = try reader.readUInt()
                patch = try reader.readUInt()
                for _ in 0..<(try reader.readArrayCount(minimumByteCount: 1)) { _ = try reader.readUInt() }
            }
            proofs.append(Proof(signer: signer, signature: signature, patch: patch))
        }
        patchNodes = try [TreeNode](from: &reader, limit: LogLimits.patchNodeCount)
    }

    /// Joins parts in the encoding of version 1 and above; nodes that several parts need are written once.
    package static func assemble(_ parts: [PartialSignature]) -> [UInt8] {
        var seen: Set<UInt64> = []
        let nodes = parts.flatMap(\.nodes).filter { seen.insert($0.index).inserted }
        var writer = ByteWriter(capacity: 8 + parts.count * 68 + nodes.count * 40)
        writer.writeUInt(parts.count)
        for part in parts {
            writer.writeUInt(part.signer)
            writer.writeBytes(part.signature)
            writer.writeUInt(part.patch)
        }
        nodes.encode(into: &writer)
        return writer.bytes
    }

    /// Joins parts in the encoding of version 0.
    package static func assembleLegacy(_ parts: [PartialSignature]) -> [UInt8] {
        var nodes: [TreeNode] = []
        var writer = ByteWriter(capacity: 8 + parts.count * 68)
        writer.writeUInt(parts.count)
        for part in parts {
            let last = part.patch > 0 ? part.nodes.last : nil
            writer.writeUInt(last == nil ? UInt64(0) : legacyHasPatch)
            writer.writeUInt(part.signer)
            writer.writeBytes(part.signature)
            guard let last else { continue }
            writer.writeUInt(FlatTree.rightSpan(last.index) / 2 + 1)
            writer.writeUInt(part.patch)
            writer.writeUInt(part.nodes.count)
            for node in part.nodes {
                let position = nodes.firstIndex(of: node) ?? nodes.count
                if position == nodes.count { nodes.append(node) }
                writer.writeUInt(position)
            }
        }
        nodes.encode(into: &writer)
        return writer.bytes
    }
}

/// One signer's contribution to a ``MultiSignature``.
package struct PartialSignature: Sendable, Hashable {
    /// The position of the signer in the manifest.
    package var signer: UInt64
    /// The Ed25519 signature, 64 bytes.
    package var signature: [UInt8]
    /// How many blocks more than the common tree the signer has signed.
    package var patch: UInt64
    /// The nodes of an upgrade from the common tree to the signed one; empty without a patch.
    package var nodes: [TreeNode]

    /// Puts a part together. The signature must have 64 bytes.
    package init(signer: UInt64, signature: [UInt8], patch: UInt64 = 0, nodes: [TreeNode] = []) {
        precondition(signature.count == 64, "an Ed25519 signature has 64 bytes")
        self.signer = signer
        self.signature = signature
        self.patch = patch
        self.nodes = nodes
    }

    /// The length that can be signed in common when `quorum` of signers with these signed lengths must agree: the
    /// `quorum`-th largest, 0 if there are fewer.
    package static func commonLength(of signedLengths: [UInt64], quorum: Int) -> UInt64 {
        let quorum = max(quorum, 1)
        return quorum > signedLengths.count ? 0 : signedLengths.sorted(by: >)[quorum - 1]
    }
}
