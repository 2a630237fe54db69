public import DWebDatabase
public import DWebLogCore

extension Basestore {
    /// Opens the log with this manifest and lets `signer` sign it: a hardware token, or a key store of the system.
    ///
    /// The log is created if there is none. The signer's secret is not stored: it must be given again when the log was
    /// closed in between.
    ///
    /// - Throws: ``BasestoreError`` with code `closed`, `storage`, `unsupportedVersion` or `cancelled`.
    public func database(
        manifest: Manifest, signer: any LogSigner, encryption: BlockEncryption? = nil
    ) async throws(BasestoreError) -> DDatabase {
        let database = try await database(manifest: manifest, encryption: encryption)
        await database.engine.setSigner(signer)
        return database
    }

    /// Opens the log whose only signer is `signer`, in the manifest that the network's tools use by default.
    ///
    /// - Throws: As ``database(manifest:signer:encryption:)-(_,LogSigner,_)``.
    public func database(
        signer: any LogSigner, encryption: BlockEncryption? = nil
    ) async throws(BasestoreError) -> DDatabase {
        try await database(manifest: Manifest(signer: signer.publicKey), signer: signer, encryption: encryption)
    }

    /// Opens a copy of `source` as it is now that nobody can ever change: its key stands for exactly these blocks.
    ///
    /// Every block must be stored here. Whoever has the same blocks gets the same key.
    ///
    /// - Throws: ``DDatabaseError`` with code `blockNotAvailable`, `conflict`, `storage` or `closed`.
    public func staticDatabase(copying source: DDatabase) async throws(DDatabaseError) -> DDatabase {
        let length = source.length
        let hash = try await source.treeHash(at: length)
        do {
            let manifest = try Manifest(quorum: 0, prologue: Manifest.Prologue(hash: hash, length: length))
            let copy = try await database(manifest: manifest)
            if copy.length < length { try await copy.copyPrologue(from: source) }
            return copy
        } catch let error as DDatabaseError {
            throw error
        } catch let error as BasestoreError {
            throw DDatabaseError(error.code == .closed ? .closed : .storage, error.detail)
        } catch {
            throw DDatabaseError(.invalidValue, "The log cannot be fixed: \(error)")
        }
    }
}
