import DWebDatabase

extension DriveTransfer {
    /// What an import works with.
    private struct Import: Sendable {
        let folder: LocalFolder
        let prefix: DrivePath
        let options: MirrorOptions
        let worker: FileWorker
        /// What was there at the start, which is what files are compared with; nil for an empty drive.
        let before: DDrive?
        let batch: DriveBatch?

        /// A new walk through the folder.
        var walk: FolderWalk { FolderWalk(folder, rules: options.ignore, ignoreFileNames: options.ignoreFileNames) }
    }

    /// A local file that has to be written to the drive.
    private struct Pending: Sendable {
        let source: DrivePath
        let target: DrivePath
        let byteCount: UInt64
        let mark: FileMark
        let attributes: DDrive.Attributes
        let isNew: Bool
    }

    /// Small files that are written together.
    private struct Group {
        var files: [Pending] = []
        var byteCount = 0

        var isFull: Bool {
            files.count >= DriveLimits.groupFileCount || byteCount >= DriveLimits.groupByteCount
        }
    }

    /// Writes a local folder to the drive; see ``DDrive/mirror(fromFolder:_:)``.
    func importFolder(_ path: String, _ options: MirrorOptions) async throws(DDriveError) {
        let prefix = try DDrive.folderPath(options.prefix)
        try await withImport(path, prefix, options) { imports throws(DDriveError) in
            try await self.countFolder(imports)
            self.enter(.transferring)
            if options.prunes { try await self.pruneDrive(imports) }
            try await self.importFiles(imports)
        }
    }

    /// Writes one local file to the drive; see ``DDrive/mirror(fromFile:to:_:)``.
    func importFile(_ file: String, to path: String, _ options: MirrorOptions) async throws(DDriveError) {
        let target = try DDrive.filePath(path)
        let (parent, name) = try DriveTransfer.split(file)
        try await withImport(parent, .root, options) { imports throws(DDriveError) in
            let item = try await imports.worker.run { [folder = imports.folder] () throws(LocalFault) in
                try folder.item(at: name)
            }
            guard let item, case .file(let byteCount, _) = item.kind else {
                throw DDriveError(.localFile, item == nil ? "There is no file \(file)" : "\(file) is no file")
            }
            self.current.totalFileCount = 1
            self.current.totalByteCount = byteCount
            self.enter(.transferring)
            var group = Group()
            try await self.importItem(item, to: target, imports, &group)
            try await self.importSmall(group, imports)
        }
    }

    /// The folder of a local path, and the name in it.
    static func split(_ file: String) throws(DDriveError) -> (parent: String, name: DrivePath) {
        let parts = file.split(separator: "/", omittingEmptySubsequences: true)
        guard let last = parts.last, last != ".", last != "..", !file.hasSuffix("/"),
            let name = try? DrivePath(stored: Array("/\(last)".utf8))
        else { throw DDriveError(.localFile, "\"\(file)\" names no file") }
        let parent = file.dropLast(last.count)
        return (parent.isEmpty ? "." : String(parent), name)
    }

    private func withImport(
        _ path: String, _ prefix: DrivePath, _ options: MirrorOptions,
        _ body: (Import) async throws(DDriveError) -> Void
    ) async throws(DDriveError) {
        try drive.checkWritable()
        enter(.listing)
        let worker = FileWorker()
        let folder = try await worker.run { () throws(LocalFault) in try LocalFolder(path, creating: false) }
        let batch = options.isAtomic && !options.isDryRun ? drive.batch() : nil
        let before = drive.snapshot()
        do throws(DDriveError) {
            try await body(
                Import(
                    folder: folder, prefix: prefix, options: options, worker: worker,
                    before: before.version <= 1 ? nil : before, batch: batch))
            try await batch?.flush()
        } catch {
            await batch?.close()
            throw error
        }
        summary.version = drive.version
    }

    private func countFolder(_ imports: Import) async throws(DDriveError) {
        let walk = imports.walk
        var (files, bytes) = (0, UInt64(0))
        while true {
            let items = try await imports.worker.run { () throws(LocalFault) in try walk.next(limit: 4_096) }
            if items.isEmpty { break }
            try checkCancellation()
            for item in items {
                files += 1
                if case .file(let byteCount, _) = item.kind { bytes += byteCount }
            }
        }
        current.totalFileCount = files
        current.totalByteCount = bytes
    }

    private func pruneDrive(_ imports: Import) async throws(DDriveError) {
        guard let before = imports.before else { return }
        let (folder, options) = (imports.folder, imports.options)
        var iterator = before.entries(in: imports.prefix.text).makeAsyncIterator()
        while let entry = try await iterator.next() {
            guard let path = DriveTransfer.localPath(entry.path, imports.prefix),
                !options.ignore.ignores(path.text, isFolder: false)
            else { continue }
            let item = try await imports.worker.run { () throws(LocalFault) in try folder.item(at: path) }
            switch item?.kind {
            case .file, .link: continue
            case .folder, .other, nil: break
            }
            try checkCancellation()
            summary.removedCount += 1
            options.memory?.forget(path)
            await report(.remove, entry.path, 0, entry.byteCount, options)
            guard !options.isDryRun else { continue }
            if let batch = imports.batch {
                try await batch.remove(entry.path)
            } else {
                try await drive.remove(entry.path)
            }
        }
    }

    private func importFiles(_ imports: Import) async throws(DDriveError) {
        let walk = imports.walk
        var group = Group()
        while true {
            let items = try await imports.worker.run { () throws(LocalFault) in try walk.next(limit: 1_024) }
            if items.isEmpty { break }
            for item in items {
                try checkCancellation()
                guard let target = try? imports.prefix.resolving(String(item.path.text.dropFirst())) else { continue }
                try await importItem(item, to: target, imports, &group)
            }
        }
        try await importSmall(group, imports)
        if walk.unreadableCount > 0 {
            await refuse("/", "\(walk.unreadableCount) names are not text that a drive can hold", imports.options)
        }
    }

    private func importItem(
        _ item: LocalItem, to target: DrivePath, _ imports: Import, _ group: inout Group
    ) async throws(DDriveError) {
        let options = imports.options
        current.path = target.text
        let entry = try await existing(target, imports)
        switch item.kind {
        case .folder: return
        case .other:
            await refuse(target.text, "It is neither a file, a folder nor a link that can be read", options)
            countFile()
        case .link(let text):
            try await importLink(text, item, target, entry, imports)
            countFile()
        case .file(let byteCount, let isExecutable):
            let attributes = DDrive.Attributes(isExecutable: isExecutable, metadata: entry?.metadata)
            let pending = Pending(
                source: item.path, target: target, byteCount: byteCount, mark: item.mark, attributes: attributes,
                isNew: entry == nil)
            if let entry, try await handleUnchanged(entry, pending, imports) { return }
            if entry == nil { summary.addedCount += 1 } else { summary.changedCount += 1 }
            await report(entry == nil ? .add : .change, target.text, byteCount, entry?.byteCount ?? 0, options)
            if options.isDryRun {
                count(bytes: byteCount)
                countFile()
            } else if byteCount > UInt64(DriveLimits.smallFileByteCount) {
                try await importLarge(pending, imports)
            } else {
                group.files.append(pending)
                group.byteCount += Int(byteCount)
                if group.isFull {
                    try await importSmall(group, imports)
                    group = Group()
                }
            }
        }
    }

    private func existing(_ path: DrivePath, _ imports: Import) async throws(DDriveError) -> DDrive.Entry? {
        guard let before = imports.before else { return nil }
        do throws(DDriveError) {
            return try await before.entry(at: path.text)
        } catch {
            // An entry that cannot be read is replaced.
            if error.code == .damaged { return nil }
            throw error
        }
    }

    /// Deals with a file whose content is in the drive already; says no if it is not.
    private func handleUnchanged(
        _ entry: DDrive.Entry, _ file: Pending, _ imports: Import
    ) async throws(DDriveError) -> Bool {
        guard entry.kind == .file, let before = imports.before else { return false }
        let options = imports.options
        let isKnown =
            !options.comparesAll
            && options.memory?.holds(file.source, file.mark, sequence: entry.sequence) == true
        if !isKnown {
            guard try await before.byteCount(of: entry) == file.byteCount,
                try await hasEqualContent(
                    entry, file.source, before, imports.folder, imports.worker, windowLimit: nil)
            else { return false }
        }
        count(bytes: file.byteCount)
        countFile()
        if entry.isExecutable == file.attributes.isExecutable {
            options.memory?.note(file.source, file.mark, sequence: entry.sequence)
            summary.equalCount += 1
            if options.reportsEqual { await report(.equal, entry.path, 0, 0, options) }
            return true
        }
        summary.changedCount += 1
        await report(.change, entry.path, 0, 0, options)
        guard !options.isDryRun else { return true }
        // Only the record changes: the content stays where it is.
        var record = entry.record
        record.isExecutable = file.attributes.isExecutable
        if let batch = imports.batch {
            try await batch.put(record, at: file.target)
        } else {
            let changed = try await drive.put(record, at: file.target)
            options.memory?.note(file.source, file.mark, sequence: changed.sequence)
        }
        return true
    }

    private func importLink(
        _ text: String, _ item: LocalItem, _ target: DrivePath, _ entry: DDrive.Entry?, _ imports: Import
    ) async throws(DDriveError) {
        let (options, prefix) = (imports.options, imports.prefix)
        guard let destination = LinkTarget.imported(text, at: item.path, root: imports.folder.root) else {
            await refuse(target.text, "The link leads to \(text), out of the folder", options)
            return
        }
        let linkTarget = prefix.isRoot ? destination : destination == "/" ? prefix.text : prefix.text + destination
        if let entry, let present = entry.linkTarget,
            present == linkTarget || (try? target.parent.resolving(present))?.text == linkTarget
        {
            summary.equalCount += 1
            if options.reportsEqual { await report(.equal, target.text, 0, 0, options) }
            return
        }
        if entry == nil { summary.addedCount += 1 } else { summary.changedCount += 1 }
        await report(entry == nil ? .add : .change, target.text, 0, entry?.byteCount ?? 0, options)
        guard !options.isDryRun else { return }
        if let batch = imports.batch {
            try await batch.link(target.text, to: linkTarget)
        } else {
            try await drive.link(target.text, to: linkTarget)
        }
    }

    /// Writes many small files with one append of content and one of paths.
    private func importSmall(_ group: Group, _ imports: Import) async throws(DDriveError) {
        guard !group.files.isEmpty else { return }
        let folder = imports.folder
        let sources = group.files.map(\.source)
        let contents = try await imports.worker.run { () throws(LocalFault) -> [Result<[UInt8]?, LocalFault>] in
            sources.map { source in
                do throws(LocalFault) {
                    return .success(try folder.read(source, limit: 2 * DriveLimits.smallFileByteCount))
                } catch {
                    return .failure(error)
                }
            }
        }
        var files: [DriveBatch.File] = []
        var written: [Pending] = []
        var grown: [Pending] = []
        for (pending, content) in zip(group.files, contents) {
            switch content {
            case .success(let bytes?):
                files.append(
                    DriveBatch.File(path: pending.target.text, bytes: bytes, attributes: pending.attributes))
                written.append(pending)
                summary.byteCount += UInt64(bytes.count)
                count(bytes: pending.byteCount)
                countFile()
            case .success(nil): grown.append(pending)
            case .failure(let fault):
                if pending.isNew { summary.addedCount -= 1 } else { summary.changedCount -= 1 }
                await refuse(pending.target.text, fault.reason, imports.options)
                countFile()
            }
        }
        if let batch = imports.batch {
            try await batch.write(files)
        } else {
            let own = drive.batch()
            do throws(DDriveError) {
                try await own.write(files)
                let blocks = try await own.flushBlocks()
                for (pending, sequence) in zip(written, blocks) {
                    imports.options.memory?.note(pending.source, pending.mark, sequence: sequence)
                }
            } catch {
                await own.close()
                throw error
            }
        }
        for pending in grown { try await importLarge(pending, imports) }
    }

    /// Writes a file piece by piece.
    private func importLarge(_ file: Pending, _ imports: Import) async throws(DDriveError) {
        let folder = imports.folder
        let reader: LocalFileReader
        do throws(DDriveError) {
            reader = try await imports.worker.run { () throws(LocalFault) in
                try LocalFileReader(file.source, in: folder)
            }
        } catch {
            if file.isNew { summary.addedCount -= 1 } else { summary.changedCount -= 1 }
            await refuse(file.target.text, error.detail, imports.options)
            countFile()
            return
        }
        let writer = try drive.writer(to: file.target.text, file.attributes)
        do throws(DDriveError) {
            while true {
                try checkCancellation()
                let bytes = try await imports.worker.run { () throws(LocalFault) in
                    try reader.read(upTo: DriveLimits.appendByteCount)
                }
                if bytes.isEmpty { break }
                try await writer.write(bytes)
                summary.byteCount += UInt64(bytes.count)
                count(bytes: UInt64(bytes.count))
            }
            if let batch = imports.batch {
                try await batch.put(try await writer.finishContent(), at: file.target)
            } else {
                let entry = try await writer.finish()
                imports.options.memory?.note(file.source, file.mark, sequence: entry.sequence)
            }
        } catch {
            await writer.abort()
            throw error
        }
        countFile()
    }
}
