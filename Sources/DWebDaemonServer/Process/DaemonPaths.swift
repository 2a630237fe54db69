#if Daemon
    import Foundation

    /// Where a daemon keeps its files. The folder is the owner's alone.
    public struct DaemonPaths: Sendable, Hashable {
        /// The folder.
        public let folder: String
        /// The store of logs; inside the folder unless another one is named.
        public let store: String

        /// The paths below `folder`.
        public init(folder: String, store: String? = nil) {
            self.folder = folder
            self.store = store ?? folder + "/store"
        }

        /// What the daemon was told, and remembers.
        public var state: String { folder + "/state" }
        /// The Unix socket over which the daemon is controlled.
        public var socket: String { folder + "/control.sock" }
        /// The file that says which process is the daemon, and is locked by it.
        public var lock: String { folder + "/daemon.lock" }
        /// The token that control over TCP asks for.
        public var token: String { folder + "/token" }
        /// The log of a daemon that runs without a terminal.
        public var log: String { folder + "/daemon.log" }

        /// The longest path of a Unix socket, in bytes, without the zero at its end; `sun_path` of unix(7) and unix(4).
        static let socketPathByteCount = {
            var address = sockaddr_un()
            return withUnsafeBytes(of: &address.sun_path) { $0.count } - 1
        }()

        /// What the system says of an error, as the end of a sentence.
        private static func reason(_ error: any Error) -> String {
            let text = ((error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError ?? error as NSError)
                .localizedDescription
            return text.hasSuffix(".") ? String(text.dropLast()) : text
        }

        /// Makes the folder, readable by its owner only.
        ///
        /// - Throws: ``DaemonProcessError`` if that cannot be, or if the path is too long for a socket.
        public func prepare() throws(DaemonProcessError) {
            guard socket.utf8.count <= DaemonPaths.socketPathByteCount else {
                throw DaemonProcessError(
                    .files,
                    "The path \(folder) is too long: a socket in it must have a path of at most "
                        + "\(DaemonPaths.socketPathByteCount) bytes. Choose a shorter one")
            }
            // A link counts as what it leads to: systemd gives a service whose user it makes up such a folder.
            let place = realpath(folder, nil).map { pointer in
                defer { free(pointer) }
                return String(cString: pointer)
            }
            let folder = place ?? folder
            do {
                try FileManager.default.createDirectory(
                    atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            } catch {
                throw DaemonProcessError(.files, "The folder \(folder) cannot be made: \(DaemonPaths.reason(error))")
            }
            let owner = try? FileManager.default.attributesOfItem(atPath: folder)[.ownerAccountID] as? NSNumber
            guard owner?.uint32Value == geteuid() else {
                throw DaemonProcessError(.files, "The folder \(folder) belongs to somebody else")
            }
            guard chmod(folder, 0o700) == 0 else {
                throw DaemonProcessError(.files, "The folder \(folder) cannot be made private: \(systemReason())")
            }
        }
    }

    /// Why a daemon process cannot do what it should.
    public struct DaemonProcessError: Error, Sendable, CustomStringConvertible {
        /// What kind of failure.
        public enum Kind: Sendable {
            /// A file or folder.
            case files
            /// Another daemon runs.
            case alreadyRunning
            /// A socket.
            case network
        }

        /// What kind of failure.
        public let kind: Kind
        /// One sentence for people, without a full stop.
        public let description: String

        init(_ kind: Kind, _ description: String) {
            self.kind = kind
            self.description = description
        }
    }

    /// What the system says about the last failed call.
    func systemReason() -> String { String(cString: strerror(errno)) }
#endif
