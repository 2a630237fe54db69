import DWebDatabase

extension DriveTransfer {
    /// The path in the local folder of a path of the drive; nil outside of the mirrored part.
    static func localPath(_ path: String, _ prefix: DrivePath) -> DrivePath? {
        guard path.utf8.starts(with: prefix.folderPrefix.utf8) else { return nil }
        return try? DrivePath("/" + path.dropFirst(prefix.folderPrefix.count))
    }

    /// Whether a local file of the right size has the content of an entry, byte by byte.
    func hasEqualContent(
        _ entry: DDrive.Entry, _ path: DrivePath, _ drive: DDrive, _ folder: LocalFolder, _ worker: FileWorker,
        windowLimit: UInt64?
    ) async throws(DDriveError) -> Bool {
        guard let blob = entry.blob else { return false }
        guard
            let file = try? await worker.run({ () throws(LocalFault) in try LocalFileReader(path, in: folder) })
        else { return false }
        let options = ReadOptions()
        let log = try await drive.engine.content(options)
        var reader = try await BlobReader(blob, range: nil, path: entry.path, log: log, options)
        reader.windowLimit = windowLimit ?? reader.windowLimit
        while reader.remainingByteCount > 0 {
            try checkCancellation()
            let pieces = try await reader.next(options)
            let isEqual = try await worker.run { () throws(LocalFault) in
                for piece in pieces where try file.read(upTo: piece.count) != piece { return false }
                return true
            }
            guard isEqual else { return false }
        }
        return try await worker.run { () throws(LocalFault) in try file.read(upTo: 1).isEmpty }
    }

    /// Tells whoever wants to know of a step.
    func report(
        _ operation: MirrorEvent.Operation, _ path: String, _ added: UInt64, _ removed: UInt64,
        _ options: MirrorOptions
    ) async {
        await options.report?(
            MirrorEvent(operation: operation, path: path, addedByteCount: added, removedByteCount: removed))
    }

    /// Leaves something out.
    func refuse(_ path: String, _ reason: String, _ options: MirrorOptions) async {
        refuse(path, reason)
        await report(.refuse(reason: reason), path, 0, 0, options)
    }

    func checkCancellation() throws(DDriveError) {
        if Task.isCancelled { throw DDriveError(.cancelled, "The task was cancelled") }
    }
}
