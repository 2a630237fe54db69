package import DWebCrypto
package import DWebLogCore

extension DDatabase {
    /// Who signs the log; nil until a first proof of a peer told.
    package func manifest() async -> Manifest? { await engine.manifest }

    /// The key pair that signs the log here; nil for a log that is only read.
    package func signer() async -> KeyPair? { await engine.signer }
}
