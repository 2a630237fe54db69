public import DWebPorts

/// Stores on disk, one directory each, in the layout of the living network: spec 40 sections 12 to 16.
public struct RocksStorage: StorageProvider {
    // The C library takes them from the system and gives them back (`ProcessMemory`); from smaller ones it kept 12 MiB that
    // nothing used. Pages take memory when they are written.
    /// Bytes of the pieces by which the write buffers of a store grow. Each is one C++ array; a program may keep some for
    /// the next buffer.
    public static let writeBufferPieceByteCount = 1 << 20

    /// The provider; it has no state.
    public init() {}

    /// Opens the store in the directory `path`.
    ///
    /// The directory holds the marker file `CORESTORE`, which is locked while the store is open, and the database
    /// under `db`. Opening reads the disk and runs on a thread that may wait.
    ///
    /// - Throws: ``PortError`` with code `locked` (the detail names the holder), `unsupportedFormat`, `corrupted`,
    ///   `permissionDenied`, `noSpace`, `notFound` or `failed`. After `corrupted` because the newest writes cannot be
    ///   read, the next call opens the store without them, and it says so (``KeyValueStore/hasLostWrites``).
    public func open(_ path: String, options: StorageOptions) async throws(PortError) -> any KeyValueStore {
        let worker = DiskWorker(label: "dweb.store.open")
        return try await worker.run { () throws(PortError) -> RocksStore in
            let marker = try StoreMarker.open(directory: path, options: options)
            let directory = path + "/db"
            do throws(PortError) {
                let database = try RocksDatabase(path: directory, options: options)
                return RocksStore(
                    database: database, marker: marker,
                    lossDirectory: WriteLoss.isMarked(in: directory) ? directory : nil)
            } catch {
                defer { marker?.release() }
                guard !options.isReadOnly, WriteLoss.isRemedy(for: error) else { throw error }
                try WriteLoss.giveUpNewestWrites(in: directory)
                throw PortError(
                    .corrupted,
                    "The newest writes in \(path) cannot be read and were given up; open the store again to go on "
                        + "without them (\(error.detail))")
            }
        }
    }
}
