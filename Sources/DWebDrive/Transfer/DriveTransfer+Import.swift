import DWebDatabase

extension DriveTransfer {
    /// A local file that has to be written to the drive.
    private struct Pending: Sendable {
        let source: DrivePath
        let target: DrivePath
        let byteCount: UInt64
        let attributes: DDrive.Attributes
        let isNew: Bool
    }

    /// Writes a local folder to the drive; see ``DDrive/mirror(fromFolder:_:)``.
    func importFolder(_ path: String, _ options: MirrorOptions) async throws(DDriveError) {
        try drive.checkWritable()
        let prefix = try DDrive.folderPath(options.prefix)
        enter(.listing)
        let worker = FileWorker()
        let folder = try await worker.run { () throws(LocalFault) in try LocalFolder(path, creating: false) }
        try await countFolder(folder, options, worker)
        enter(.transferring)
        let batch = options.isAtomic && !options.isDryRun ? drive.batch() : nil
        do throws(DDriveError) {
            if options.prunes { try await pruneDrive(folder, prefix, options, worker, batch) }
            try await importFiles(folder, prefix, options, worker, batch)
            try await batch?.flush()
        } catch {
            await batch?.close()
            throw error
        }
    }

    private func countFolder(
        _ folder: LocalFolder, _ options: MirrorOptions, _ worker: FileWorker
    ) async throws(DDriveError) {
        let walk = FolderWalk(folder, rules: options.ignore, ignoreFileNames: options.ignoreFileNames)
        var (files, bytes) = (0, UInt64(0))
        while true {
            let items = try await worker.run { () throws(LocalFault) in try walk.next(limit: 4_096) }
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

    private func pruneDrive(
        _ folder: LocalFolder, _ prefix: DrivePath, _ options: MirrorOptions, _ worker: FileWorker,
        _ batch: DriveBatch?
    ) async throws(DDriveError) {
        var iterator = drive.snapshot().entries(in: prefix.text).makeAsyncIterator()
        while let entry = try await iterator.next() {
            guard let path = DriveTransfer.localPath(entry.path, prefix),
                !options.ignore.ignores(path.text, isFolder: false)
            else { continue }
            let item = try await worker.run { () throws(LocalFault) in try folder.item(at: path) }
            switch item?.kind {
            case .file, .link: continue
            case .folder, .other, nil: break
            }
            try checkCancellation()
            summary.removedCount += 1
            await report(.remove, entry.path, 0, entry.byteCount, options)
            guard !options.isDryRun else { continue }
            if let batch { try await batch.remove(entry.path) } else { try await drive.remove(entry.path) }
        }
    }

    private func importFiles(
        _ folder: LocalFolder, _ prefix: DrivePath, _ options: MirrorOptions, _ worker: FileWorker,
        _ batch: DriveBatch?
    ) async throws(DDriveError) {
        let walk = FolderWalk(folder, rules: options.ignore, ignoreFileNames: options.ignoreFileNames)
        // What was there at the start is what is compared with.
        let before = drive.snapshot()
        let isEmpty = before.version <= 1
        var group: [Pending] = []
        var groupByteCount = 0
        while true {
            let items = try await worker.run { () throws(LocalFault) in try walk.next(limit: 1_024) }
            if items.isEmpty { break }
            for item in items {
                try checkCancellation()
                guard let target = try? prefix.resolving(String(item.path.text.dropFirst())) else { continue }
                let entry = isEmpty ? nil : try await existing(target, before)
                switch item.kind {
                case .folder: continue
                case .other:
                    await refuse(target.text, "It is neither a file, a folder nor a link that can be read", options)
                    countFile()
                case .link(let text):
                    try await importLink(text, item, target, entry, folder, options, batch)
                    countFile()
                case .file(let byteCount, let isExecutable):
                    let attributes = DDrive.Attributes(isExecutable: isExecutable, metadata: entry?.metadata)
                    let pending = Pending(
                        source: item.path, target: target, byteCount: byteCount, attributes: attributes,
                        isNew: entry == nil)
                    if let entry, try await handleUnchanged(entry, pending, before, folder, options, worker, batch) {
                        continue
                    }
                    let operation: MirrorEvent.Operation = entry == nil ? .add : .change
                    if entry == nil { summary.addedCount += 1 } else { summary.changedCount += 1 }
                    await report(operation, target.text, byteCount, entry?.byteCount ?? 0, options)
                    if options.isDryRun {
                        count(bytes: byteCount)
                        countFile()
                    } else if byteCount > UInt64(DriveLimits.smallFileByteCount) {
                        try await importLarge(pending, folder, worker, batch)
                    } else {
                        group.append(pending)
                        groupByteCount += Int(byteCount)
                        if group.count >= DriveLimits.groupFileCount || groupByteCount >= DriveLimits.groupByteCount {
                            try await importSmall(group, folder, options, worker, batch)
                            group = []
                            groupByteCount = 0
                        }
                    }
                }
            }
        }
        if !group.isEmpty { try await importSmall(group, folder, options, worker, batch) }
        if walk.unreadableCount > 0 {
            await refuse("/", "\(walk.unreadableCount) names are not text that a drive can hold", options)
        }
    }

    private func existing(_ path: DrivePath, _ drive: DDrive) async throws(DDriveError) -> DDrive.Entry? {
        do throws(DDriveError) {
            return try await drive.entry(at: path.text)
        } catch {
            // An entry that cannot be read is replaced.
            if error.code == .damaged { return nil }
            throw error
        }
    }

    /// Deals with a file whose content is in the drive already; says no if it is not.
    private func handleUnchanged(
        _ entry: DDrive.Entry, _ file: Pending, _ before: DDrive, _ folder: LocalFolder, _ options: MirrorOptions,
        _ worker: FileWorker, _ batch: DriveBatch?
    ) async throws(DDriveError) -> Bool {
        guard entry.kind == .file, try await before.byteCount(of: entry) == file.byteCount,
            try await hasEqualContent(entry, file.source, before, folder, worker, windowLimit: nil)
        else { return false }
        count(bytes: file.byteCount)
        countFile()
        if entry.isExecutable == file.attributes.isExecutable {
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
        if let batch {
            try await batch.put(record, at: file.target)
        } else {
            _ = try await drive.put(record, at: file.target)
        }
        return true
    }

    private func importLink(
        _ text: String, _ item: LocalItem, _ target: DrivePath, _ entry: DDrive.Entry?, _ folder: LocalFolder,
        _ options: MirrorOptions, _ batch: DriveBatch?
    ) async throws(DDriveError) {
        guard let destination = LinkTarget.imported(text, at: item.path, root: folder.root),
            let prefix = try? DrivePath(options.prefix)
        else {
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
        if let batch {
            try await batch.link(target.text, to: linkTarget)
        } else {
            try await drive.link(target.text, to: linkTarget)
        }
    }

    /// Writes many small files with one append of content and one of paths.
    private func importSmall(
        _ group: [Pending], _ folder: LocalFolder, _ options: MirrorOptions, _ worker: FileWorker,
        _ batch: DriveBatch?
    ) async throws(DDriveError) {
        let sources = group.map(\.source)
        let contents = try await worker.run { () throws(LocalFault) -> [Result<[UInt8]?, LocalFault>] in
            sources.map { source in
                do throws(LocalFault) {
                    return .success(try folder.read(source, limit: 2 * DriveLimits.smallFileByteCount))
                } catch {
                    return .failure(error)
                }
            }
        }
        var files: [DriveBatch.File] = []
        var grown: [Pending] = []
        for (pending, content) in zip(group, contents) {
            switch content {
            case .success(let bytes?):
                files.append(
                    DriveBatch.File(path: pending.target.text, bytes: bytes, attributes: pending.attributes))
                summary.byteCount += UInt64(bytes.count)
                count(bytes: pending.byteCount)
                countFile()
            case .success(nil): grown.append(pending)
            case .failure(let fault):
                if pending.isNew { summary.addedCount -= 1 } else { summary.changedCount -= 1 }
                await refuse(pending.target.text, fault.reason, options)
                countFile()
            }
        }
        if let batch {
            try await batch.write(files)
        } else {
            let own = drive.batch()
            do throws(DDriveError) {
                try await own.write(files)
                try await own.flush()
            } catch {
                await own.close()
                throw error
            }
        }
        for pending in grown { try await importLarge(pending, folder, worker, batch) }
    }

    /// Writes a file piece by piece.
    private func importLarge(
        _ file: Pending, _ folder: LocalFolder, _ worker: FileWorker, _ batch: DriveBatch?
    ) async throws(DDriveError) {
        let reader = try await worker.run { () throws(LocalFault) in try LocalFileReader(file.source, in: folder) }
        let writer = try drive.writer(to: file.target.text, file.attributes)
        do throws(DDriveError) {
            while true {
                try checkCancellation()
                let bytes = try await worker.run { () throws(LocalFault) in
                    try reader.read(upTo: DriveLimits.appendByteCount)
                }
                if bytes.isEmpty { break }
                try await writer.write(bytes)
                summary.byteCount += UInt64(bytes.count)
                count(bytes: UInt64(bytes.count))
            }
            if let batch {
                try await batch.put(try await writer.finishContent(), at: file.target)
            } else {
                try await writer.finish()
            }
        } catch {
            await writer.abort()
            throw error
        }
        countFile()
    }
}
