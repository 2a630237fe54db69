import Synchronization

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A local file that is read in order. All calls wait for the disk.
final class LocalFileReader: Sendable {
    private let path: DrivePath
    private let descriptor: Int32

    init(_ path: DrivePath, in folder: LocalFolder) throws(LocalFault) {
        self.path = path
        descriptor = try folder.withParent(of: path) { (parent, name) throws(LocalFault) in
            // Not blocking: a pipe in the place of the file must not hold the worker.
            let descriptor = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
            guard descriptor >= 0 else { throw LocalFolder.fault(path.text) }
            var status = stat()
            guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
                close(descriptor)
                throw LocalFault(path: path.text, number: 0, reason: "It is no file any more")
            }
            return descriptor
        }
    }

    deinit { close(descriptor) }

    /// The next bytes, fewer only at the end.
    func read(upTo count: Int) throws(LocalFault) -> [UInt8] {
        var number: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = 0
            while filled < count {
                let got = systemRead(descriptor, buffer.baseAddress! + filled, count - filled)
                if got < 0, errno == EINTR { continue }
                if got < 0 { number = errno }
                if got <= 0 { return }
                filled += got
            }
        }
        guard number == 0 else { throw LocalFolder.fault(path.text, number) }
        return bytes
    }
}

/// A local file that is being written: it appears at its path, complete, with ``commit()``, and leaves no trace if it
/// is let go before. All calls wait for the disk.
final class LocalFileWriter: Sendable {
    private let path: DrivePath
    private let isExecutable: Bool
    private let descriptor: Int32
    private let parent: Int32
    private let temporary: String
    private let isCommitted = Mutex(false)

    init(_ path: DrivePath, isExecutable: Bool, in folder: LocalFolder) throws(LocalFault) {
        guard path.name.utf8.count <= DriveLimits.nameByteCount else {
            throw LocalFault(path: path.text, number: ENAMETOOLONG, reason: "A part of the path is too long")
        }
        self.path = path
        self.isExecutable = isExecutable
        (descriptor, parent, temporary) = try folder.withParent(of: path, creating: true) {
            (parent, name) throws(LocalFault) in
            let own = dup(parent)
            guard own >= 0 else { throw LocalFolder.fault(path.text) }
            guard let opened = folder.openTemporary(name, in: own, mode: isExecutable ? 0o755 : 0o644) else {
                let fault = LocalFolder.fault(path.text)
                close(own)
                throw fault
            }
            return (opened.descriptor, own, opened.name)
        }
    }

    deinit {
        close(descriptor)
        if !isCommitted.withLock({ $0 }) { unlinkat(parent, temporary, 0) }
        close(parent)
    }

    /// Appends bytes.
    func write(_ bytes: [UInt8]) throws(LocalFault) {
        var number: Int32 = 0
        bytes.withUnsafeBytes { raw in
            var offset = 0
            while offset < raw.count {
                let count = systemWrite(descriptor, raw.baseAddress! + offset, raw.count - offset)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else {
                    number = errno
                    return
                }
                offset += count
            }
        }
        guard number == 0 else { throw LocalFolder.fault(path.text, number) }
    }

    /// Ends the content, and returns what the file system will tell of the file.
    func seal() throws(LocalFault) -> FileMark {
        var status = stat()
        guard fchmod(descriptor, isExecutable ? 0o755 : 0o644) == 0, fstat(descriptor, &status) == 0 else {
            throw LocalFolder.fault(path.text)
        }
        return FileMark(status)
    }

    /// Makes the file appear at its path, in the place of whatever file or link is there.
    func commit() throws(LocalFault) {
        guard renameat(parent, temporary, parent, path.name) == 0 else { throw LocalFolder.fault(path.text) }
        isCommitted.withLock { $0 = true }
    }
}

private func systemRead(_ descriptor: Int32, _ buffer: UnsafeMutablePointer<UInt8>, _ count: Int) -> Int {
    read(descriptor, buffer, count)
}

private func systemWrite(_ descriptor: Int32, _ buffer: UnsafeRawPointer, _ count: Int) -> Int {
    write(descriptor, buffer, count)
}

/// A walk through everything in a local folder, folder by folder in the order of names. Calls wait for the disk.
final class FolderWalk: Sendable {
    private struct Level {
        let path: DrivePath
        var names: ArraySlice<String>
        let rules: IgnoreRules
    }

    private struct State {
        var levels: [Level] = []
        var isStarted = false
        var unreadableCount = 0
    }

    private let folder: LocalFolder
    private let rules: IgnoreRules
    private let ignoreFileNames: [String]
    private let state = Mutex(State())

    /// A walk that leaves out what `rules` say, and what files called one of `ignoreFileNames` say in their folders.
    init(_ folder: LocalFolder, rules: IgnoreRules, ignoreFileNames: [String]) {
        self.folder = folder
        self.rules = rules
        self.ignoreFileNames = ignoreFileNames
    }

    /// How many names could not be read so far, for not being text.
    var unreadableCount: Int { state.withLock { $0.unreadableCount } }

    /// The next files and links, none only at the end.
    func next(limit: Int) throws(LocalFault) -> [LocalItem] {
        let result: Result<[LocalItem], LocalFault> = state.withLock { state in
            do throws(LocalFault) { return .success(try next(limit, &state)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    private func next(_ limit: Int, _ state: inout State) throws(LocalFault) -> [LocalItem] {
        if !state.isStarted {
            state.isStarted = true
            try enter(.root, rules, &state)
        }
        var items: [LocalItem] = []
        while items.count < limit, !state.levels.isEmpty {
            let last = state.levels.count - 1
            guard let name = state.levels[last].names.popFirst() else {
                state.levels.removeLast()
                continue
            }
            let level = state.levels[last]
            guard let path = try? DrivePath(stored: level.path.appending(name).bytes) else {
                state.unreadableCount += 1
                continue
            }
            let item: LocalItem? = try folder.item(at: path)
            guard let item else { continue }
            let parts = path.parts.map { Array($0.unicodeScalars) }
            switch item.kind {
            case .folder:
                guard !level.rules.decides(parts[...], isFolder: true), state.levels.count < DriveLimits.folderDepth
                else { continue }
                try enter(path, level.rules, &state)
            case .file, .link, .other:
                if !level.rules.decides(parts[...], isFolder: false) { items.append(item) }
            }
        }
        return items
    }

    private func enter(_ path: DrivePath, _ rules: IgnoreRules, _ state: inout State) throws(LocalFault) {
        let found: (names: [String], unreadableCount: Int)
        do throws(LocalFault) {
            found = try folder.names(in: path)
        } catch {
            // A folder that went away, or that became a link, has nothing in it.
            if !path.isRoot, error.meansAbsence { return }
            throw error
        }
        state.unreadableCount += found.unreadableCount
        var rules = rules
        for name in ignoreFileNames where found.names.contains(name) {
            if let bytes = try folder.read(path.appending(name), limit: DriveLimits.ignoreFileByteCount) {
                rules.append(String(decoding: bytes, as: UTF8.self), in: path.parts)
            }
        }
        state.levels.append(Level(path: path, names: found.names[...], rules: rules))
    }
}
