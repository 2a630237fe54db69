import CDatagram
import DWebPorts
import Synchronization

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// The file `CORESTORE` of a store's directory: it marks the original (not a copy) and carries the lock; spec 40
/// section 12. An existing one is never written to.
final class StoreMarker: Sendable {
    private let descriptor: Mutex<Int32>
    private let holderPath: String

    private init(descriptor: Int32, holderPath: String) {
        self.descriptor = Mutex(descriptor)
        self.holderPath = holderPath
    }

    /// Makes the directory and marker if needed, checks that the store is no copy, and takes the lock.
    ///
    /// Nil for a read-only open, which neither checks nor locks.
    static func open(directory: String, options: StorageOptions) throws(PortError) -> StoreMarker? {
        let path = directory + "/CORESTORE"
        if options.isReadOnly {
            guard fileExists(directory + "/db") else { throw missing(directory) }
            return nil
        }
        if !fileExists(directory + "/db") {
            guard options.createIfMissing else { throw missing(directory) }
            guard makeDirectories(directory + "/db") else {
                throw PortError(.permissionDenied, "The directory \(directory) cannot be created: \(systemReason)")
            }
        }
        let isNew = !fileExists(path)
        let descriptor = openFile(path, isNew ? O_RDWR | O_CREAT : O_RDWR)
        guard descriptor >= 0 else {
            throw PortError(.permissionDenied, "The store \(directory) cannot be written: \(systemReason)")
        }
        let marker = StoreMarker(descriptor: descriptor, holderPath: directory + "/HOLDER")
        do throws(PortError) {
            guard dweb_lock_file(descriptor) == 0 else {
                throw PortError(.locked, "The store \(directory) is in use by \(holder(at: marker.holderPath))")
            }
            if isNew {
                try writeMarker(descriptor)
            } else if !options.allowsCopy {
                try checkOriginal(descriptor, directory)
            }
        } catch {
            closeFile(descriptor)
            throw error
        }
        marker.nameHolder()
        return marker
    }

    /// Gives the lock back. Callable more than once.
    func release() {
        descriptor.withLock { descriptor in
            guard descriptor >= 0 else { return }
            removeFile(holderPath)
            closeFile(descriptor)
            descriptor = -1
        }
    }

    private static func missing(_ directory: String) -> PortError {
        PortError(.notFound, "There is no store in \(directory)")
    }

    // For people only: the lock itself is the system's.
    private func nameHolder() {
        let file = openFile(holderPath, O_WRONLY | O_CREAT | O_TRUNC)
        guard file >= 0 else { return }
        defer { closeFile(file) }
        let program = CommandLine.arguments.first?.split(separator: "/").last ?? "a program"
        _ = writeFile(file, Array("\(program) (process \(getpid()))".utf8)[...])
    }

    private static func holder(at path: String) -> String {
        let file = openFile(path, O_RDONLY)
        guard file >= 0 else { return "another process" }
        defer { closeFile(file) }
        var text = [UInt8](repeating: 0, count: 256)
        let count = readFile(file, into: &text)
        return count > 0 ? String(decoding: text[..<count], as: UTF8.self) : "another process"
    }

    private static var platform: String {
        #if os(Linux)
            "linux"
        #elseif os(iOS)
            "ios"
        #else
            "darwin"
        #endif
    }

    /// What the reference writes: where the file is, when it was made, and whether it could be marked.
    private static func writeMarker(_ descriptor: Int32) throws(PortError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw PortError(.failed, "The store's marker cannot be read: \(systemReason)")
        }
        // The file system's own clock, which is not always this machine's.
        let created = dweb_file_latest_time(descriptor)
        var text = "device/platform=\(platform)\ndevice/inode=\(status.st_ino)\ndevice/created=\(created)\n"
        if dweb_file_mark_original(descriptor) == 0 { text += "device/attribute=original\n" }
        let bytes = Array(text.utf8)
        guard writeFile(descriptor, bytes[...]) == bytes.count else {
            throw PortError(
                errno == ENOSPC ? .noSpace : .failed, "The store's marker cannot be written: \(systemReason)")
        }
    }

    // Copies are made later than this, and the file is never touched again; spec 40 section 12.
    private static let toleranceMilliseconds: Int64 = 5_000

    private static func checkOriginal(_ descriptor: Int32, _ directory: String) throws(PortError) {
        var status = stat()
        var buffer = [UInt8](repeating: 0, count: 4_096)
        guard fstat(descriptor, &status) == 0 else {
            throw PortError(.failed, "The store's marker cannot be read: \(systemReason)")
        }
        let count = pread(descriptor, &buffer, buffer.count, 0)
        let lines = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self).split(separator: "\n")
        func value(_ name: String) -> Substring? {
            lines.first { $0.hasPrefix(name + "=") }.map { $0.dropFirst(name.count + 1) }
        }
        if let written = value("device/platform"), written != platform {
            throw PortError(.failed, "The store \(directory) was made on another platform (\(written))")
        }
        var isCopy = false
        if let inode = value("device/inode"), inode != String(status.st_ino) { isCopy = true }
        if value("device/attribute") == "original", dweb_file_is_original(descriptor) == 0 { isCopy = true }
        if let created = value("device/created").flatMap({ Int64($0) }) {
            let (distance, overflow) = dweb_file_latest_time(descriptor).subtractingReportingOverflow(created)
            if overflow || distance.magnitude >= toleranceMilliseconds { isCopy = true }
        }
        if isCopy {
            throw PortError(
                .failed,
                "The store \(directory) is a copy of another one; writing to both would fork its logs. "
                    + "Open it as a copy only if the original is gone")
        }
    }
}
