public import DWebPorts

/// Stores on disk, one directory each, in the layout of the living network: spec 40 sections 12 to 16.
public struct RocksStorage: StorageProvider {
    /// The provider; it has no state.
    public init() {}

    /// Opens the store in the directory `path`.
    ///
    /// The directory holds the marker file `CORESTORE`, which is locked while the store is open, and the database
    /// under `db`. Opening reads the disk and runs on a thread that may wait.
    ///
    /// - Throws: ``PortError`` with code `locked` (the detail names the holder), `unsupportedFormat`, `corrupted`,
    ///   `permissionDenied`, `noSpace`, `notFound` or `failed`.
    public func open(_ path: String, options: StorageOptions) async throws(PortError) -> any KeyValueStore {
        let worker = DiskWorker(label: "dweb.store.open")
        return try await worker.run { () throws(PortError) -> RocksStore in
            let marker = try StoreMarker.open(directory: path, options: options)
            do throws(PortError) {
                let database = try RocksDatabase(path: path + "/db", options: options)
                return RocksStore(database: database, marker: marker)
            } catch {
                marker?.release()
                throw error
            }
        }
    }
}
