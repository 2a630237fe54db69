#if Daemon
    import Foundation

    /// Binds the Unix socket over which a daemon is controlled.
    enum ControlSocket {
        // Clients that may wait to be accepted.
        private static let backlog: Int32 = 64

        /// A listening socket at `path` that only its owner can open. What a killed daemon left there is removed: call it
        /// with the daemon's lock.
        static func listen(at path: String) throws(DaemonProcessError) -> Int {
            unlink(path)
            #if os(Linux)
                let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            #else
                let descriptor = socket(AF_UNIX, SOCK_STREAM, 0)
            #endif
            guard descriptor >= 0 else {
                throw DaemonProcessError(.network, "No socket can be made: \(systemReason())")
            }
            let bound = withUnixAddress(Array(path.utf8)) { bind(descriptor, $0, $1) }
            // The folder is private, so nobody can connect in between.
            guard bound == 0, chmod(path, 0o600) == 0, Foundation.listen(descriptor, backlog) == 0 else {
                let reason = bound == nil ? "its path is too long" : systemReason()
                close(descriptor)
                throw DaemonProcessError(.network, "The socket \(path) cannot be bound: \(reason)")
            }
            return Int(descriptor)
        }
    }
#endif
