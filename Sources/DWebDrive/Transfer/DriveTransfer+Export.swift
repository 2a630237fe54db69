import DWebDatabase
import Synchronization

extension DriveTransfer {
    /// What an export works with.
    private struct Export: Sendable {
        /// The version that is exported.
        let drive: DDrive
        let folder: LocalFolder
        let prefix: DrivePath
        let options: MirrorOptions
        let worker: FileWorker
        let read: ReadOptions
    }

    /// Writes the drive to a local folder; see ``DDrive/mirror(toFolder:_:)``.
    func exportFolder(_ path: String, _ options: MirrorOptions) async throws(DDriveError) {
        let prefix = try DDrive.folderPath(options.prefix)
        enter(.listing)
        let worker = FileWorker()
        let read = ReadOptions.wait(upTo: options.stallTimeout ?? .seconds(86_400 * 365))
        let isDryRun = options.isDryRun
        let folder: LocalFolder?
        do throws(DDriveError) {
            folder = try await worker.run { () throws(LocalFault) in try LocalFolder(path, creating: !isDryRun) }
        } catch {
            guard isDryRun else { throw error }
            folder = nil
        }
        let drive = try await drive.settled(read)
        try await countDrive(drive, prefix, options, read)
        enter(.transferring)
        guard let folder else {
            try await reportAll(drive, prefix, options, read)
            return
        }
        let export = Export(
            drive: drive, folder: folder, prefix: prefix, options: options, worker: worker, read: read)
        if options.prunes { try await pruneFolder(export) }
        try await exportFiles(export)
    }

    private func countDrive(
        _ drive: DDrive, _ prefix: DrivePath, _ options: MirrorOptions, _ read: ReadOptions
    ) async throws(DDriveError) {
        var (files, bytes) = (0, UInt64(0))
        var iterator = drive.entries(in: prefix.text, read).makeAsyncIterator()
        while let entry = try await iterator.next() {
            guard let path = DriveTransfer.localPath(entry.path, prefix),
                !options.ignore.ignores(path.text, isFolder: false)
            else { continue }
            files += 1
            bytes &+= entry.byteCount
            activity &+= 1
        }
        current.totalFileCount = files
        current.totalByteCount = bytes
    }

    /// A dry run against a folder that does not exist: everything is new.
    private func reportAll(
        _ drive: DDrive, _ prefix: DrivePath, _ options: MirrorOptions, _ read: ReadOptions
    ) async throws(DDriveError) {
        var iterator = drive.entries(in: prefix.text, read).makeAsyncIterator()
        while let entry = try await iterator.next() {
            guard let path = DriveTransfer.localPath(entry.path, prefix),
                !options.ignore.ignores(path.text, isFolder: false), entry.kind != .bare
            else { continue }
            summary.addedCount += 1
            await report(.add, entry.path, entry.byteCount, 0, options)
            countFile()
        }
    }

    private func pruneFolder(_ export: Export) async throws(DDriveError) {
        let (drive, folder, options) = (export.drive, export.folder, export.options)
        let walk = FolderWalk(folder, rules: options.ignore, ignoreFileNames: [])
        // Listed before anything is removed: removing changes what a walk sees.
        var doomed: [(path: DrivePath, target: String, byteCount: UInt64)] = []
        while true {
            let items = try await export.worker.run { () throws(LocalFault) in try walk.next(limit: 1_024) }
            if items.isEmpty { break }
            for item in items {
                guard let target = try? export.prefix.resolving(String(item.path.text.dropFirst())),
                    try await drive.entry(at: target.text, export.read) == nil
                else { continue }
                var byteCount: UInt64 = 0
                if case .file(let count, _) = item.kind { byteCount = count }
                doomed.append((item.path, target.text, byteCount))
            }
        }
        for (path, target, byteCount) in doomed {
            try checkCancellation()
            summary.removedCount += 1
            await report(.remove, target, 0, byteCount, options)
            guard !options.isDryRun else { continue }
            try await export.worker.run { () throws(LocalFault) in try folder.remove(path) }
        }
    }

    private func exportFiles(_ export: Export) async throws(DDriveError) {
        var folded: Set<String> = []
        let loop = loop
        let options = export.options
        let problems = Problems()
        var iterator = export.drive.entries(in: export.prefix.text, export.read) { problems.note($0) }
            .makeAsyncIterator()
        var failure: DDriveError?
        // Links come last, so that no file ever has to be written below a name that is a link by then.
        var links: [(entry: DDrive.Entry, path: DrivePath)] = []
        failure = await withTaskGroup(of: DDriveError?.self, returning: DDriveError?.self) { group in
            var running = 0
            do throws(DDriveError) {
                while let entry = try await iterator.next() {
                    try checkCancellation()
                    guard let path = DriveTransfer.localPath(entry.path, export.prefix),
                        !options.ignore.ignores(path.text, isFolder: false)
                    else { continue }
                    if options.refusesCollidingNames, !folded.insert(path.text.lowercased()).inserted {
                        await refuse(entry.path, "Another path differs only in ways that file systems ignore", options)
                        countFile()
                        continue
                    }
                    switch entry.kind {
                    case .bare: countFile()
                    case .link: links.append((entry, path))
                    case .file:
                        if running >= DriveLimits.parallelFileCount {
                            running -= 1
                            if let error = await group.next(), let error { throw error }
                        }
                        running += 1
                        group.addTask(executorPreference: loop) {
                            do throws(DDriveError) {
                                try await self.exportFile(entry, path, export)
                                return nil
                            } catch {
                                return error
                            }
                        }
                    }
                }
                while let error = await group.next() { if let error { throw error } }
                return nil
            } catch {
                group.cancelAll()
                return error
            }
        }
        if let failure { throw failure }
        for problem in problems.all { await refuse(export.prefix.text, problem.detail, options) }
        for (entry, path) in links {
            try checkCancellation()
            try await exportLink(entry, path, export)
            countFile()
        }
    }

    /// What was wrong with entries that a listing left out.
    private final class Problems: Sendable {
        private let errors = Mutex<[DDriveError]>([])

        var all: [DDriveError] { errors.withLock { $0 } }

        func note(_ error: DDriveError) {
            errors.withLock { errors in
                if errors.count < DriveLimits.refusalCount { errors.append(error) }
            }
        }
    }

    private func exportLink(_ entry: DDrive.Entry, _ path: DrivePath, _ export: Export) async throws(DDriveError) {
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
        let item = try await export.worker.run { () throws(LocalFault) in try folder.item(at: path) }
        if case .link(let present) = item?.kind, present == target {
            summary.equalCount += 1
            if options.reportsEqual { await report(.equal, entry.path, 0, 0, options) }
            return
        }
        if item == nil { summary.addedCount += 1 } else { summary.changedCount += 1 }
        await report(item == nil ? .add : .change, entry.path, 0, 0, options)
        guard !options.isDryRun else { return }
        try await refusing(entry, isNew: item == nil, export) { () throws(LocalFault) in
            try folder.link(path, to: target)
        }
    }

    /// A target that is absolute in the drive, as it is in the part that is mirrored.
    private static func localTarget(_ target: String, _ prefix: DrivePath) -> String {
        guard !prefix.isRoot, target.hasPrefix("/"), let path = try? DrivePath(target) else { return target }
        return localPath(path.text, prefix)?.text ?? (path == prefix ? "/" : "../" + target)
    }

    private func exportFile(_ entry: DDrive.Entry, _ path: DrivePath, _ export: Export) async throws(DDriveError) {
        let (drive, folder, options, worker) = (export.drive, export.folder, export.options, export.worker)
        guard let blob = entry.blob else { return }
        let item = try await worker.run { () throws(LocalFault) in try folder.item(at: path) }
        let byteCount = try await drive.byteCount(of: entry, export.read)
        var removedByteCount: UInt64 = 0
        if case .file(let present, let isExecutable) = item?.kind {
            removedByteCount = present
            if present == byteCount,
                try await hasEqualContent(entry, path, drive, folder, worker, windowLimit: 1)
            {
                count(bytes: blob.byteLength)
                countFile()
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
        if item == nil { summary.addedCount += 1 } else { summary.changedCount += 1 }
        await report(item == nil ? .add : .change, entry.path, byteCount, removedByteCount, options)
        if !options.isDryRun { try await write(entry, blob, path, isNew: item == nil, export) }
        countFile()
    }

    /// Writes a file, small ones with one visit to the disk.
    private func write(
        _ entry: DDrive.Entry, _ blob: BlobID, _ path: DrivePath, isNew: Bool, _ export: Export
    ) async throws(DDriveError) {
        let (drive, folder, worker) = (export.drive, export.folder, export.worker)
        let log = try await drive.engine.content(export.read)
        var reader = try await BlobReader(blob, range: nil, path: entry.path, log: log, export.read)
        let isExecutable = entry.isExecutable
        if reader.remainingByteCount <= UInt64(DriveLimits.contentBlockByteCount) {
            var pieces: [[UInt8]] = []
            while reader.remainingByteCount > 0 { pieces += try await reader.next(export.read) }
            let content = pieces
            let isWritten: Void? = try await refusing(entry, isNew: isNew, export) { () throws(LocalFault) in
                let file = try LocalFileWriter(path, isExecutable: isExecutable, in: folder)
                for piece in content { try file.write(piece) }
                try file.commit()
            }
            if isWritten != nil { summary.byteCount += blob.byteLength }
            count(bytes: blob.byteLength)
            return
        }
        let file = try await refusing(entry, isNew: isNew, export) { () throws(LocalFault) in
            try LocalFileWriter(path, isExecutable: isExecutable, in: folder)
        }
        guard let file else {
            count(bytes: blob.byteLength)
            return
        }
        let isStored = try await drive.isStored(entry)
        // What is missing is fetched ahead while it is written, one block at a time.
        if !isStored { reader.windowLimit = 1 }
        let loop = loop
        let failure = await withTaskGroup(of: Void.self, returning: DDriveError?.self) { group in
            if !isStored, !blob.isMapped {
                group.addTask(executorPreference: loop) {
                    do throws(DDatabaseError) { try await log.download(blob.blocks) } catch {
                        // The copy below meets the same failure where it matters.
                    }
                }
            }
            defer { group.cancelAll() }
            do throws(DDriveError) {
                while reader.remainingByteCount > 0 {
                    try checkCancellation()
                    let pieces = try await reader.next(export.read)
                    try await worker.run { () throws(LocalFault) in for piece in pieces { try file.write(piece) } }
                    let byteCount = pieces.reduce(0) { $0 + UInt64($1.count) }
                    summary.byteCount += byteCount
                    count(bytes: byteCount)
                }
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw failure }
        _ = try await refusing(entry, isNew: isNew, export) { () throws(LocalFault) in try file.commit() }
    }

    /// Does something to the folder. What one path makes impossible is refused, and the rest goes on; what concerns the
    /// whole disk ends the transfer.
    @discardableResult
    private func refusing<Value: Sendable>(
        _ entry: DDrive.Entry, isNew: Bool, _ export: Export,
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
