#if Daemon
    import Foundation
    import Synchronization

    /// What the lock file says about the daemon.
    public struct DaemonNote: Codable, Sendable, Hashable {
        /// The process.
        public var processID: Int32
        /// The program's version.
        public var version: String
        /// The number of the control interface.
        public var interfaceVersion: Int
        /// When it was started, in milliseconds since 1970.
        public var started: UInt64
        /// Whether it answers.
        public var isReady: Bool
        /// The socket over which it is controlled.
        public var socket: String
        /// Where its dashboard is; nil if it serves none.
        public var dashboard: String?
    }

    /// The file that tells who the daemon is. It is locked as long as the daemon lives, whatever happens to it: the system
    /// gives the lock back when the process ends, so what a killed daemon leaves is told from one that runs.
    ///
    /// The lock is one of `fcntl`: it can be asked about without being taken, and belongs to the process.
    public final class DaemonLock: Sendable {
        private let descriptor: Mutex<Int32>
        private let path: String

        private init(descriptor: Int32, path: String) {
            self.descriptor = Mutex(descriptor)
            self.path = path
        }

        /// Takes the lock and notes who has it.
        ///
        /// - Throws: ``DaemonProcessError`` of kind `alreadyRunning` if another process has it.
        public static func take(_ path: String, note: DaemonNote) throws(DaemonProcessError) -> DaemonLock {
            let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else {
                throw DaemonProcessError(.files, "The file \(path) cannot be written: \(systemReason())")
            }
            var request = wholeFile(F_WRLCK)
            guard fcntl(descriptor, F_SETLK, &request) == 0 else {
                let isHeld = errno == EACCES || errno == EAGAIN
                let reason = systemReason()
                Foundation.close(descriptor)
                guard isHeld else { throw DaemonProcessError(.files, "The file \(path) cannot be locked: \(reason)") }
                let holder = read(path).map { " (process \($0.processID))" } ?? ""
                throw DaemonProcessError(.alreadyRunning, "A daemon runs already\(holder)")
            }
            let lock = DaemonLock(descriptor: descriptor, path: path)
            try lock.write(note)
            return lock
        }

        /// Notes something new about the daemon.
        public func write(_ note: DaemonNote) throws(DaemonProcessError) {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            guard let data = try? encoder.encode(note) else { return }
            let bytes = Array(data) + [0x0a]
            let isWritten = descriptor.withLock { descriptor in
                descriptor >= 0 && ftruncate(descriptor, 0) == 0
                    && pwrite(descriptor, bytes, bytes.count, 0) == bytes.count
            }
            guard isWritten else {
                throw DaemonProcessError(.files, "The file \(path) cannot be written: \(systemReason())")
            }
        }

        /// Empties the file and gives the lock back. Callable more than once.
        public func release() {
            descriptor.withLock { descriptor in
                guard descriptor >= 0 else { return }
                ftruncate(descriptor, 0)
                close(descriptor)
                descriptor = -1
            }
        }

        /// What the file says; nil without a file, or if it says nothing.
        public static func read(_ path: String) -> DaemonNote? {
            guard let data = FileManager.default.contents(atPath: path), !data.isEmpty else { return nil }
            return try? JSONDecoder().decode(DaemonNote.self, from: data)
        }

        /// The process that holds the lock; nil if none does. Not to be asked by the process that holds it.
        public static func holder(of path: String) -> Int32? {
            let descriptor = open(path, O_RDWR | O_CLOEXEC)
            guard descriptor >= 0 else { return nil }
            defer { close(descriptor) }
            var request = wholeFile(F_WRLCK)
            guard fcntl(descriptor, F_GETLK, &request) == 0, Int32(request.l_type) != Int32(F_UNLCK) else { return nil }
            return request.l_pid
        }

        private static func wholeFile(_ type: some BinaryInteger) -> flock {
            var request = flock()
            request.l_type = .init(type)
            request.l_whence = .init(SEEK_SET)
            return request
        }
    }
#endif
