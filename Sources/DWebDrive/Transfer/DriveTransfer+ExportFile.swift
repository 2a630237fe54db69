import DWebDatabase

extension DriveTransfer {
    func exportLink(_ entry: DDrive.Entry, _ path: DrivePath, _ export: DriveExport) async throws(DDriveError) {
        let (folder, options) = (export.folder, export.options)
        let written = entry.linkTarget ?? ""
        let target: String?
        switch options.links {
        case .inside: target = LinkTarget.exported(DriveTransfer.localTarget(written, export.prefix), at: path)
        case .all: target = LinkTarget.exported(DriveTransfer.localTarget(written, export.prefix), at: path) ?? written
        case .none: target = nil
        }
        guard let target else {
            await refuse(entry.path, "The link to \(written) may lead out of the folder", options)
            return
        }
        current.path = entry.path
        let item = try await export.worker.run { () throws(LocalFault) in try folder.item(at: path) }
        let record = FolderLedger.Record(sequence: entry.sequence, kind: .link(target: target))
        if case .link(let present) = item?.kind, present == target {
            try await note(record, path, export)
            summary.equalCount += 1
            if options.reportsEqual { await report(.equal, entry.path, 0, 0, options) }
            return
        }
        guard try await mayReplace(item, entry, path, export) else { return }
        if item == nil { summary.addedCount += 1 } else { summary.changedCount += 1 }
        await report(item == nil ? .add : .change, entry.path, 0, 0, options)
        guard !options.isDryRun else { return }
        try await note(record, path, export)
        try await refusing(entry, isNew: item == nil, export) { () throws(LocalFault) in
            try folder.link(path, to: target)
        }
    }

    /// A target that is absolute in the drive, as it is in the part that is mirrored.
    private static func localTarget(_ target: String, _ prefix: DrivePath) -> String {
        guard !prefix.isRoot, target.hasPrefix("/"), let path = try? DrivePath(target) else { return target }
        return localPath(path.text, prefix)?.text ?? (path == prefix ? "/" : "../" + target)
    }

    /// Notes in the ledger, if there is one, what a path gets.
    private func note(
        _ record: FolderLedger.Record, _ path: DrivePath, _ export: DriveExport
    ) async throws(DDriveError) {
        guard let ledger = export.ledger, !export.options.isDryRun, try await ledger.record(path) != record else {
            return
        }
        try await ledger.set(record, at: path)
    }

    /// Whether what is at a path may go; tells if not.
    private func mayReplace(
        _ item: LocalItem?, _ entry: DDrive.Entry, _ path: DrivePath, _ export: DriveExport
    ) async throws(DDriveError) -> Bool {
        guard let item, let ledger = export.ledger else { return true }
        if let record = try await ledger.record(path), record.describes(item) { return true }
        await refuse(entry.path, "Something that this drive did not write is there", export.options)
        return false
    }

    func exportFile(_ entry: DDrive.Entry, _ path: DrivePath, _ export: DriveExport) async throws(DDriveError) {
        let (drive, folder, options, worker) = (export.drive, export.folder, export.options, export.worker)
        guard let blob = entry.blob else { return }
        current.path = entry.path
        let item = try await worker.run { () throws(LocalFault) in try folder.item(at: path) }
        let byteCount = try await drive.byteCount(of: entry, export.read)
        var removedByteCount: UInt64 = 0
        if let item, case .file(let present, let isExecutable) = item.kind {
            removedByteCount = present
            let known = try await export.ledger?.record(path)
            let isKnown = known?.sequence == entry.sequence && known?.describes(item) == true && !options.comparesAll
            let isEqual =
                if isKnown {
                    true
                } else if present == byteCount {
                    try await hasEqualContent(entry, path, drive, folder, worker, windowLimit: 1)
                } else {
                    false
                }
            if isEqual {
                count(bytes: blob.byteLength)
                countFile()
                if !isKnown { try await note(record(entry, item.mark), path, export) }
                if isExecutable == entry.isExecutable {
                    summary.equalCount += 1
                    if options.reportsEqual { await report(.equal, entry.path, 0, 0, options) }
                    return
                }
                summary.changedCount += 1
                await report(.change, entry.path, 0, 0, options)
                guard !options.isDryRun else { return }
                try await refusing(entry, isNew: false, export) { () throws(LocalFault) in
                    try folder.setExecutable(path, entry.isExecutable)
                }
                return
            }
        }
        guard try await mayReplace(item, entry, path, export) else {
            count(bytes: blob.byteLength)
            countFile()
            return
        }
        if item == nil { summary.addedCount += 1 } else { summary.changedCount += 1 }
        await report(item == nil ? .add : .change, entry.path, byteCount, removedByteCount, options)
        if !options.isDryRun { try await write(entry, blob, path, isNew: item == nil, export) }
        countFile()
    }

    private func record(_ entry: DDrive.Entry, _ mark: FileMark) -> FolderLedger.Record {
        FolderLedger.Record(
            sequence: entry.sequence,
            kind: .file(byteCount: mark.byteCount, modifiedNanoseconds: mark.modifiedNanoseconds))
    }

    /// Writes a file, small ones with one visit to the disk.
    private func write(
        _ entry: DDrive.Entry, _ blob: BlobID, _ path: DrivePath, isNew: Bool, _ export: DriveExport
    ) async throws(DDriveError) {
        let (drive, folder, worker) = (export.drive, export.folder, export.worker)
        let log = try await drive.engine.content(export.read)
        var reader = try await BlobReader(blob, range: nil, path: entry.path, log: log, export.read)
        let isExecutable = entry.isExecutable
        if reader.remainingByteCount <= UInt64(DriveLimits.contentBlockByteCount) {
            var pieces: [[UInt8]] = []
            while reader.remainingByteCount > 0 { pieces += try await reader.next(export.read) }
            let content = pieces
            let isNoted = export.ledger != nil
            let file = try await refusing(entry, isNew: isNew, export) { () throws(LocalFault) in
                let file = try LocalFileWriter(path, isExecutable: isExecutable, in: folder)
                for piece in content { try file.write(piece) }
                let mark = try file.seal()
                if !isNoted { try file.commit() }
                return (file, mark)
            }
            count(bytes: blob.byteLength)
            guard let (file, mark) = file else { return }
            summary.byteCount += blob.byteLength
            if isNoted { try await appear(file, mark, entry, path, isNew: isNew, export) }
            return
        }
        let file = try await refusing(entry, isNew: isNew, export) { () throws(LocalFault) in
            try LocalFileWriter(path, isExecutable: isExecutable, in: folder)
        }
        guard let file else {
            count(bytes: blob.byteLength)
            return
        }
        // What is missing is on its way and is written as it comes, one block at a time.
        if try await !drive.isStored(entry) { reader.windowLimit = 1 }
        while reader.remainingByteCount > 0 {
            try checkCancellation()
            let pieces = try await reader.next(export.read)
            try await worker.run { () throws(LocalFault) in for piece in pieces { try file.write(piece) } }
            let byteCount = pieces.reduce(0) { $0 + UInt64($1.count) }
            summary.byteCount += byteCount
            count(bytes: byteCount)
        }
        let mark = try await refusing(entry, isNew: isNew, export) { () throws(LocalFault) in try file.seal() }
        if let mark { try await appear(file, mark, entry, path, isNew: isNew, export) }
    }

    /// Makes a file that was written appear at its path. The ledger learns of it before, so that a program that is
    /// killed in between knows the file as its own.
    private func appear(
        _ file: LocalFileWriter, _ mark: FileMark, _ entry: DDrive.Entry, _ path: DrivePath, isNew: Bool,
        _ export: DriveExport
    ) async throws(DDriveError) {
        try await note(record(entry, mark), path, export)
        try await refusing(entry, isNew: isNew, export) { () throws(LocalFault) in try file.commit() }
    }

    /// Does something to the folder. What one path makes impossible is refused, and the rest goes on; what concerns the
    /// whole disk ends the transfer.
    @discardableResult
    private func refusing<Value: Sendable>(
        _ entry: DDrive.Entry, isNew: Bool, _ export: DriveExport,
        _ body: @escaping @Sendable () throws(LocalFault) -> Value
    ) async throws(DDriveError) -> Value? {
        let outcome = try await export.worker.run { () throws(LocalFault) -> Result<Value, LocalFault> in
            do throws(LocalFault) { return .success(try body()) } catch { return .failure(error) }
        }
        switch outcome {
        case .success(let value): return value
        case .failure(let fault):
            guard !fault.concernsTheWholeDisk else { throw DDriveError(.localFile, fault.description) }
            if isNew { summary.addedCount -= 1 } else { summary.changedCount -= 1 }
            await refuse(entry.path, fault.reason, export.options)
            return nil
        }
    }
}
