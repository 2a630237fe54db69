#if Daemon
    import Foundation

    /// What can be told about a daemon from outside.
    public enum DaemonPresence: Sendable, Hashable {
        /// No process is the daemon.
        case notRunning
        /// No process is the daemon; one that was killed left its note behind, which does no harm.
        case staleLock(DaemonNote)
        /// A process is about to become the daemon.
        case starting(processID: Int32)
        /// A process is the daemon, and this program speaks another version of its interface.
        case wrongVersion(DaemonNote)
        /// A process is the daemon.
        case running(DaemonNote)

        /// Looks at the daemon's files.
        public static func probe(_ paths: DaemonPaths) -> DaemonPresence {
            let note = DaemonLock.read(paths.lock)
            guard let holder = DaemonLock.holder(of: paths.lock) else {
                return note.map { .staleLock($0) } ?? .notRunning
            }
            guard let note, note.isReady, note.processID == holder else { return .starting(processID: holder) }
            return note.interfaceVersion == ControlInterface.version ? .running(note) : .wrongVersion(note)
        }
    }

    /// The control interface that this program speaks.
    public enum ControlInterface {
        /// Grows when a client of before would misunderstand the daemon.
        public static let version = 1
    }
#endif
