package import DWebDatabase
package import DWebStore
package import DWebTree

/// Why an operation on a ``DDrive`` failed.
public struct DDriveError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure; open, so that codes can be added.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        /// The code's name.
        public let description: String
        /// Names a code.
        public init(_ description: String) { self.description = description }

        /// The path is no path of a drive, or the root where a file is needed.
        public static let invalidPath = Code("invalid path")
        /// There is nothing at the path.
        public static let notFound = Code("not found")
        /// More than 16 links lead to each other, or a link leads out of the drive.
        public static let badLink = Code("bad link")
        /// The log is no drive.
        public static let notADrive = Code("not a drive")
        /// The drive was written by another version of the format.
        public static let unsupportedFormat = Code("unsupported format")
        /// The author wrote something that no drive contains.
        public static let damaged = Code("damaged")
        /// The version ends inside a batch.
        public static let notAVersion = Code("not a version")
        /// The version was truncated.
        public static let snapshotNotAvailable = Code("snapshot not available")
        /// The content has more bytes than the caller wants to hold.
        public static let tooLarge = Code("too large")
        /// The drive cannot be changed through this view.
        public static let notWritable = Code("not writable")
        /// The data is not here, and there is no peer to ask.
        public static let noPeers = Code("no peers")
        /// The data is not here, and no connected peer gave it in time.
        public static let notAvailable = Code("not available")
        /// The deadline passed while an answer was still outstanding.
        public static let deadlineExceeded = Code("deadline exceeded")
        /// Something else changed the drive's logs.
        public static let conflict = Code("conflict")
        /// The drive, its store, or the batch or writer was closed.
        public static let closed = Code("closed")
        /// The calling task was cancelled.
        public static let cancelled = Code("cancelled")
        /// The store refused.
        public static let storage = Code("storage")
        /// The local file system refused.
        public static let localFile = Code("local file")
        /// How the drive is encrypted is not known yet, or it is not encrypted at all.
        public static let undecipherable = Code("undecipherable")
        /// The arguments contradict each other.
        public static let invalidArgument = Code("invalid argument")
    }

    /// What kind of failure.
    public let code: Code
    /// One sentence for people, without a full stop.
    public let detail: String

    /// Builds an error with one sentence for people.
    public init(_ code: Code, _ detail: String) {
        self.code = code
        self.detail = detail
    }

    /// The code's name and the detail.
    public var description: String { detail.isEmpty ? code.description : "\(code): \(detail)" }

    /// A failure of the tree, as drives report it.
    package init(_ error: DTreeError) {
        switch error.code {
        case .notATree: self.init(.notADrive, error.detail)
        case .unsupportedFormat: self.init(.unsupportedFormat, error.detail)
        case .damaged: self.init(.damaged, error.detail)
        case .notAVersion: self.init(.notAVersion, error.detail)
        case .snapshotNotAvailable: self.init(.snapshotNotAvailable, error.detail)
        case .keyTooLarge: self.init(.invalidPath, error.detail)
        case .valueTooLarge: self.init(.tooLarge, error.detail)
        case .notWritable: self.init(.notWritable, error.detail)
        case .noPeers: self.init(.noPeers, error.detail)
        case .notAvailable: self.init(.notAvailable, error.detail)
        case .deadlineExceeded: self.init(.deadlineExceeded, error.detail)
        case .conflict: self.init(.conflict, error.detail)
        case .closed: self.init(.closed, error.detail)
        case .cancelled: self.init(.cancelled, error.detail)
        case .invalidArgument: self.init(.invalidArgument, error.detail)
        case .undecipherable: self.init(.undecipherable, error.detail)
        default: self.init(.storage, error.detail)
        }
    }

    /// A failure of the content log, as drives report it.
    package init(_ error: DDatabaseError) { self.init(DTreeError(error)) }

    /// A failure of the store, as drives report it.
    package init(_ error: BasestoreError) {
        switch error.code {
        case .closed: self.init(.closed, error.detail)
        case .cancelled: self.init(.cancelled, error.detail)
        case .notFound: self.init(.notFound, error.detail)
        case .conflict: self.init(.conflict, error.detail)
        case .unsupportedVersion: self.init(.unsupportedFormat, error.detail)
        default: self.init(.storage, error.detail)
        }
    }

    /// Something that the author of the drive wrote, as drives report it.
    package init(fault: DriveFault, in what: String) {
        switch fault {
        case .malformedEntry: self.init(.damaged, "The entry \(what) cannot be decoded")
        case .impossibleBlob: self.init(.damaged, "The content of \(what) is at a place that cannot be")
        case .malformedMap: self.init(.damaged, "The block map of \(what) cannot be decoded")
        case .unsupportedMap(let version):
            self.init(.unsupportedFormat, "The block map of \(what) has version \(version)")
        case .invalidPath: self.init(.invalidPath, "\(what) is no path of a drive")
        }
    }
}
