package import DWebBase
import DWebCrypto
package import DWebLogCore

/// The manifest of the content log, which follows from that of the drive's tree; spec 50 section 9.2.2.
package enum BlobsManifest {
    private static let blobs = Namespace.derive("hyperdrive", 0)

    /// The manifest of the content log of the drive with this key; nil where the form of the log has none.
    package static func derive(from manifest: Manifest, driveKey: PublicKey) -> Manifest? {
        guard manifest.version > 0, !manifest.isCompatible(with: driveKey) else { return nil }
        let signers = manifest.signers.map { signer in
            Manifest.Signer(
                publicKey: signer.publicKey,
                namespace: Blake2b.hash32(blobs.bytes, driveKey.bytes, signer.namespace.bytes))
        }
        return try? Manifest(
            version: manifest.version, allowPatch: manifest.allowPatch, quorum: manifest.quorum, signers: signers)
    }
}
