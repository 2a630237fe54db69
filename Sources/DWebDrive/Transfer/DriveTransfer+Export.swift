import DWebDatabase
import Synchronization

/// What an export works with.
struct DriveExport: Sendable {
    /// The version that is exported.
    let drive: DDrive
    let folder: LocalFolder
    let prefix: DrivePath
    let options: MirrorOptions
    let worker: FileWorker
    let read: ReadOptions
    /// What earlier mirrors wrote to the folder, where that matters.
    let ledger: FolderLedger?
}

extension DriveTransfer {
    /// Writes the drive to a local folder; see ``DDrive/mirror(toFolder:_:)``.
    func exportFolder(_ path: String, _ options: MirrorOptions) async throws(DDriveError) {
        let prefix = try DDrive.folderPath(options.prefix)
        try await withExport(path, prefix, options) { export, drive, read throws(DDriveError) in
            let missing = try await self.countDrive(drive, prefix, options, read)
            self.enter(.transferring)
            guard let export else {
                try await self.reportAll(drive, prefix, options, read)
                return
            }
            if options.prunes, options.since == nil { try await self.pruneFolder(export) }
            try await self.fetchingAhead(missing, options) { () throws(DDriveError) in
                try await self.exportFiles(export)
            }
        }
    }

    /// Writes one file of the drive to a local file; see ``DDrive/mirror(toFile:from:_:)``.
    func exportFile(_ path: String, to file: String, _ options: MirrorOptions) async throws(DDriveError) {
        let (parent, name) = try DriveTransfer.split(file)
        try await withExport(parent, .root, options) { export, drive, read throws(DDriveError) in
            guard let entry = try await drive.entry(at: path, links: .follow, read), entry.kind == .file else {
                throw DDriveError(.notFound, "There is no file at \(path)")
            }
            self.current.totalFileCount = 1
            self.current.totalByteCount = try await drive.byteCount(of: entry, read)
            self.enter(.transferring)
            if let export {
                try await self.exportFile(entry, name, export)
            } else {
                self.summary.addedCount += 1
                await self.report(.add, entry.path, entry.byteCount, 0, options)
            }
        }
    }

    /// Opens a local folder and runs `body` with it; without one in a dry run against a folder that does not exist.
    private func withExport(
        _ path: String, _ prefix: DrivePath, _ options: MirrorOptions,
        _ body: (DriveExport?, DDrive, ReadOptions) async throws(DDriveError) -> Void
    ) async throws(DDriveError) {
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
        summary.version = drive.version
        guard let folder else {
            try await body(nil, drive, read)
            return
        }
        try await body(
            DriveExport(
                drive: drive, folder: folder, prefix: prefix, options: options, worker: worker, read: read,
                ledger: options.keepsForeignFiles ? FolderLedger(drive.database, folder: folder.root) : nil),
            drive, read)
    }

    // MARK: Listing

    /// The paths that an export looks at: all, or those that changed since a version.
    private struct Steps {
        private var entries: DDrive.Entries.AsyncIterator?
        private var differences: DDrive.Differences.AsyncIterator?
        private let prefix: DrivePath
        private let options: MirrorOptions

        init(
            _ drive: DDrive, _ prefix: DrivePath, _ options: MirrorOptions, _ read: ReadOptions,
            reportingTo report: (@Sendable (DDriveError) -> Void)? = nil
        ) {
            self.prefix = prefix
            self.options = options
            if let since = options.since {
                differences = drive.differences(from: since, in: prefix.text, read).makeAsyncIterator()
            } else {
                entries = drive.entries(in: prefix.text, read, reportingTo: report).makeAsyncIterator()
            }
        }

        /// The next path in the folder, what the drive has there and what it had; nil at the end.
        mutating func next() async throws(DDriveError) -> (path: DrivePath, now: DDrive.Entry?, then: DDrive.Entry?)? {
            while true {
                let step: (path: String, now: DDrive.Entry?, then: DDrive.Entry?)
                if let difference = try await differences?.next() {
                    step = (difference.path, difference.left, difference.right)
                } else if let entry = try await entries?.next() {
                    step = (entry.path, entry, nil)
                } else {
                    return nil
                }
                guard let path = DriveTransfer.localPath(step.path, prefix),
                    !options.ignore.ignores(path.text, isFolder: false)
                else { continue }
                return (path, step.now, step.then)
            }
        }
    }

    /// Counts what there is to do, and returns where content is that is not here.
    private func countDrive(
        _ drive: DDrive, _ prefix: DrivePath, _ options: MirrorOptions, _ read: ReadOptions
    ) async throws(DDriveError) -> BlockRanges {
        var (files, bytes) = (0, UInt64(0))
        var missing = BlockRanges(limit: DriveLimits.aheadRangeCount)
        var steps = Steps(drive, prefix, options, read)
        while let step = try await steps.next() {
            guard let entry = step.now else { continue }
            files += 1
            bytes &+= entry.byteCount
            activity &+= 1
            if let blob = entry.blob { missing.add(blob.blocks) }
        }
        current.totalFileCount = files
        current.totalByteCount = bytes
        return missing
    }

    /// A dry run against a folder that does not exist: everything is new.
    private func reportAll(
        _ drive: DDrive, _ prefix: DrivePath, _ options: MirrorOptions, _ read: ReadOptions
    ) async throws(DDriveError) {
        var steps = Steps(drive, prefix, options, read)
        while let step = try await steps.next() {
            guard let entry = step.now, entry.kind != .bare else { continue }
            summary.addedCount += 1
            await report(.add, entry.path, entry.byteCount, 0, options)
        }
    }

    // MARK: Removing

    private func pruneFolder(_ export: DriveExport) async throws(DDriveError) {
        let (drive, folder) = (export.drive, export.folder)
        let walk = FolderWalk(folder, rules: export.options.ignore, ignoreFileNames: [])
        // Listed before anything is removed: removing changes what a walk sees.
        var doomed: [(item: LocalItem, target: String)] = []
        while true {
            let items = try await export.worker.run { () throws(LocalFault) in try walk.next(limit: 1_024) }
            if items.isEmpty { break }
            for item in items {
                guard let target = try? export.prefix.resolving(String(item.path.text.dropFirst())),
                    try await drive.entry(at: target.text, export.read) == nil
                else { continue }
                doomed.append((item, target.text))
            }
        }
        for (item, target) in doomed { try await remove(item, target, export) }
    }

    private func remove(_ item: LocalItem, _ target: String, _ export: DriveExport) async throws(DDriveError) {
        try checkCancellation()
        let folder = export.folder
        if let ledger = export.ledger {
            guard let record = try await ledger.record(item.path), record.describes(item) else {
                await refuse(target, "It was not written here by this drive, or was changed since", export.options)
                return
            }
        }
        var byteCount: UInt64 = 0
        if case .file(let count, _) = item.kind { byteCount = count }
        summary.removedCount += 1
        await report(.remove, target, 0, byteCount, export.options)
        guard !export.options.isDryRun else { return }
        try await export.worker.run { () throws(LocalFault) in try folder.remove(item.path) }
        try await export.ledger?.set(nil, at: item.path)
    }

    /// Removes what the drive had at a path and has no more.
    private func removeOld(_ path: DrivePath, _ entry: DDrive.Entry?, _ export: DriveExport) async throws(DDriveError) {
        guard export.options.prunes, let entry else { return }
        let folder = export.folder
        let item = try await export.worker.run { () throws(LocalFault) in try folder.item(at: path) }
        switch item?.kind {
        case .file, .link: if let item { try await remove(item, entry.path, export) }
        case .folder, .other, nil: return
        }
    }

    // MARK: Writing

    private func exportFiles(_ export: DriveExport) async throws(DDriveError) {
        var folded: Set<String> = []
        let loop = loop
        let options = export.options
        let problems = Problems()
        var steps = Steps(export.drive, export.prefix, options, export.read) { problems.note($0) }
        // Links come last, so that no file ever has to be written below a name that is a link by then.
        var links: [(entry: DDrive.Entry, path: DrivePath)] = []
        let failure = await withTaskGroup(of: DDriveError?.self, returning: DDriveError?.self) { group in
            var running = 0
            do throws(DDriveError) {
                while let step = try await steps.next() {
                    try checkCancellation()
                    guard let entry = step.now else {
                        try await removeOld(step.path, step.then, export)
                        continue
                    }
                    let path = step.path
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
}
