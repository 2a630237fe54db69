#if Daemon
    import Dispatch
    import Foundation

    /// Asks how much room a disk has, on a thread that may wait for it.
    public struct DiskSpace: Sendable {
        private let path: String
        private let queue = DispatchQueue(label: "dweb.daemon.space")

        /// The disk that holds `path`.
        public init(path: String) { self.path = path }

        /// The free bytes that this user may use; nil if the system does not tell.
        public func freeByteCount() async -> UInt64? {
            await withCheckedContinuation { continuation in
                queue.async { [path] in
                    var status = statvfs()
                    guard statvfs(path, &status) == 0 else { return continuation.resume(returning: nil) }
                    continuation.resume(returning: UInt64(status.f_bavail) * UInt64(status.f_frsize))
                }
            }
        }
    }
#endif
