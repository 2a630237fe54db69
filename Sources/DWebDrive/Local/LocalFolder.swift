import Synchronization

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Something in a local folder.
struct LocalItem: Sendable {
    enum Kind: Sendable {
        case file(byteCount: UInt64, isExecutable: Bool)
        case link(String)
        case folder
        /// Sockets, devices and the like.
        case other
    }

    /// The path in the folder, in the form of drives.
    let path: DrivePath
    let kind: Kind
    /// What tells whether it changes.
    let mark: FileMark
}

/// A local folder, entered only through its descriptor: no name in it is ever followed if it is a link.
///
/// All calls wait for the disk and belong on a ``FileWorker``.
final class LocalFolder: Sendable {
    /// The folder's absolute path.
    let root: String
    private let descriptor: Int32
    private let lastParent = Mutex<(path: DrivePath, descriptor: Int32)?>(nil)
    private let nextNumber = Mutex<UInt64>(0)

    /// Opens a folder, and creates it if asked.
    init(_ path: String, creating: Bool) throws(LocalFault) {
        if creating { LocalFolder.makeFolders(path) }
        guard let resolved = realpath(path, nil) else { throw LocalFolder.fault(path) }
        defer { free(resolved) }
        root = String(cString: resolved)
        descriptor = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw LocalFolder.fault(path) }
    }

    deinit {
        lastParent.withLock { if let last = $0 { close(last.descriptor) } }
        close(descriptor)
    }

    private static func makeFolders(_ path: String) {
        var current = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/") {
            current += "/" + part
            mkdir(current, 0o777)
        }
    }

    static func fault(_ path: String, _ number: Int32 = errno) -> LocalFault {
        LocalFault(path: path, number: number, reason: String(cString: strerror(number)))
    }

    // MARK: Names

    /// Calls `body` with the descriptor of the folder that contains `path`, reached without following a link.
    func withParent<Result>(
        of path: DrivePath, creating: Bool = false, _ body: (Int32, String) throws(LocalFault) -> Result
    ) throws(LocalFault) -> Result {
        let parent = path.parent
        let parentDescriptor = try folder(parent, creating: creating)
        return try body(parentDescriptor, path.name)
    }

    /// The descriptor of a folder; it stays open until the next call.
    private func folder(_ path: DrivePath, creating: Bool) throws(LocalFault) -> Int32 {
        if path.isRoot { return descriptor }
        if let known = lastParent.withLock({ $0?.path == path ? $0?.descriptor : nil }) { return known }
        var current = descriptor
        for part in path.parts {
            guard part.utf8.count <= DriveLimits.nameByteCount else {
                if current != descriptor { close(current) }
                throw LocalFault(path: path.text, number: ENAMETOOLONG, reason: "A part of the path is too long")
            }
            if creating, mkdirat(current, part, 0o777) != 0, errno != EEXIST {
                let fault = LocalFolder.fault(path.text)
                if current != descriptor { close(current) }
                throw fault
            }
            let next = openat(current, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            let number = errno
            if current != descriptor { close(current) }
            guard next >= 0 else { throw LocalFolder.fault(path.text, number) }
            current = next
        }
        let opened = current
        lastParent.withLock { last in
            if let last { close(last.descriptor) }
            last = (path, opened)
        }
        return opened
    }

    // MARK: Looking

    /// What is at a path; nil for nothing.
    func item(at path: DrivePath) throws(LocalFault) -> LocalItem? {
        do throws(LocalFault) {
            return try withParent(of: path) { (parent, name) throws(LocalFault) in
                try LocalFolder.item(name, in: parent, path: path)
            }
        } catch {
            // A parent that is missing, a file or a link means that there is nothing at the path itself.
            if error.meansAbsence { return nil }
            throw error
        }
    }

    static func item(_ name: String, in parent: Int32, path: DrivePath) throws(LocalFault) -> LocalItem? {
        var status = stat()
        guard fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
            if errno == ENOENT { return nil }
            throw fault(path.text)
        }
        let mark = FileMark(status)
        switch status.st_mode & S_IFMT {
        case S_IFREG:
            return LocalItem(
                path: path, kind: .file(byteCount: mark.byteCount, isExecutable: status.st_mode & 0o100 != 0),
                mark: mark)
        case S_IFDIR: return LocalItem(path: path, kind: .folder, mark: mark)
        case S_IFLNK:
            var buffer = [UInt8](repeating: 0, count: 4_096)
            let count = buffer.withUnsafeMutableBytes { raw in
                readlinkat(parent, name, raw.baseAddress!.assumingMemoryBound(to: CChar.self), raw.count)
            }
            guard count >= 0 else { throw fault(path.text) }
            guard let text = String(validating: buffer[..<count], as: UTF8.self) else {
                return LocalItem(path: path, kind: .other, mark: mark)
            }
            return LocalItem(path: path, kind: .link(text), mark: mark)
        default: return LocalItem(path: path, kind: .other, mark: mark)
        }
    }

    /// The names in a folder in byte order; those that are not UTF-8 are counted.
    func names(in path: DrivePath) throws(LocalFault) -> (names: [String], unreadableCount: Int) {
        let folder = try folder(path, creating: false)
        let copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0, let stream = fdopendir(copy) else { throw LocalFolder.fault(path.text) }
        defer { closedir(stream) }
        var names: [String] = []
        var unreadableCount = 0
        while let record = readdir(stream) {
            let name: String? = withUnsafeBytes(of: &record.pointee.d_name) { raw in
                String(validating: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let name, !name.contains("\\") else {
                unreadableCount += 1
                continue
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return (names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }, unreadableCount)
    }

    // MARK: Reading

    /// A whole small file; nil if it is larger than `limit` now.
    func read(_ path: DrivePath, limit: Int) throws(LocalFault) -> [UInt8]? {
        let file = try LocalFileReader(path, in: self)
        let bytes = try file.read(upTo: limit + 1)
        return bytes.count > limit ? nil : bytes
    }

    // MARK: Changing

    /// Makes a link, in the place of whatever file or link is there.
    func link(_ path: DrivePath, to target: String) throws(LocalFault) {
        try withParent(of: path, creating: true) { (parent, name) throws(LocalFault) in
            let temporary = temporaryName(name)
            if symlinkat(target, parent, temporary) != 0 {
                guard errno == EEXIST, unlinkat(parent, temporary, 0) == 0,
                    symlinkat(target, parent, temporary) == 0
                else { throw LocalFolder.fault(path.text) }
            }
            guard renameat(parent, temporary, parent, name) == 0 else {
                let fault = LocalFolder.fault(path.text)
                unlinkat(parent, temporary, 0)
                throw fault
            }
        }
    }

    /// Sets whether a file is a program.
    func setExecutable(_ path: DrivePath, _ isExecutable: Bool) throws(LocalFault) {
        try withParent(of: path) { (parent, name) throws(LocalFault) in
            let file = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
            guard file >= 0 else { throw LocalFolder.fault(path.text) }
            defer { close(file) }
            guard fchmod(file, isExecutable ? 0o755 : 0o644) == 0 else { throw LocalFolder.fault(path.text) }
        }
    }

    /// Removes a file or link, and the folders above it that become empty. Nothing there is fine.
    func remove(_ path: DrivePath) throws(LocalFault) {
        do throws(LocalFault) {
            try withParent(of: path) { (parent, name) throws(LocalFault) in
                guard unlinkat(parent, name, 0) == 0 || errno == ENOENT else { throw LocalFolder.fault(path.text) }
            }
        } catch {
            if error.meansAbsence { return }
            throw error
        }
        var folder = path.parent
        while !folder.isRoot {
            lastParent.withLock { last in
                if let last { close(last.descriptor) }
                last = nil
            }
            let isGone = try withParent(of: folder) { (parent, name) throws(LocalFault) in
                unlinkat(parent, name, AT_REMOVEDIR) == 0
            }
            guard isGone else { return }
            folder = folder.parent
        }
    }

    /// Opens a file under a name beside `name` that ignore rules leave out: the same one each time, so that what a
    /// program that was killed left behind is used again, unless another program holds it.
    func openTemporary(_ name: String, in parent: Int32, mode: mode_t) -> (descriptor: Int32, name: String)? {
        let flags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC
        let usual = temporaryName(name)
        let descriptor = openat(parent, usual, flags, mode)
        if descriptor >= 0 {
            var status = stat()
            // A file of its own: a second name of another file must not be written to.
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0, fstat(descriptor, &status) == 0,
                status.st_mode & S_IFMT == S_IFREG, status.st_nlink == 1, ftruncate(descriptor, 0) == 0
            {
                return (descriptor, usual)
            }
            close(descriptor)
        }
        let number = nextNumber.withLock { number in
            number += 1
            return number
        }
        let own = temporaryName("\(name).\(getpid()).\(number)")
        let other = openat(parent, own, flags | O_EXCL, mode)
        return other >= 0 ? (other, own) : nil
    }

    private func temporaryName(_ name: String) -> String {
        let short = name.utf8.count <= 200 ? name : String(name.hashText)
        return ".\(short).dweb-part"
    }
}

extension String {
    /// A short text that differs for different texts, with what people recognise at its start.
    fileprivate var hashText: String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        // FNV-1a: not a secret, only a name.
        for byte in utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return String(decoding: utf8.prefix(160), as: UTF8.self) + String(hash, radix: 16)
    }
}
