package import DWebDatabase

/// Why an operation on a ``DTree`` failed.
public struct DTreeError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure; open, so that codes can be added.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        /// The code's name.
        public let description: String
        /// Names a code.
        public init(_ description: String) { self.description = description }

        /// The log is no tree.
        public static let notATree = Code("not a tree")
        /// The log was written by another version of the format.
        public static let unsupportedFormat = Code("unsupported format")
        /// The author wrote something that no tree contains.
        public static let damaged = Code("damaged")
        /// The version ends inside a batch, so that it has no content of its own.
        public static let notAVersion = Code("not a version")
        /// The key has more than 65,536 bytes, prefixes included.
        public static let keyTooLarge = Code("key too large")
        /// The value does not fit a block.
        public static let valueTooLarge = Code("value too large")
        /// The tree cannot be changed through this view.
        public static let notWritable = Code("not writable")
        /// The data is not here, and there is no peer to ask.
        public static let noPeers = Code("no peers")
        /// The data is not here, and no connected peer gave it in time.
        public static let notAvailable = Code("not available")
        /// The deadline passed while an answer was still outstanding.
        public static let deadlineExceeded = Code("deadline exceeded")
        /// The version was truncated from the log.
        public static let snapshotNotAvailable = Code("snapshot not available")
        /// Something else changed the log during a change of the tree.
        public static let conflict = Code("conflict")
        /// The tree, its log or its store was closed, or the batch was ended.
        public static let closed = Code("closed")
        /// The calling task was cancelled.
        public static let cancelled = Code("cancelled")
        /// The storage refused.
        public static let storage = Code("storage")
        /// How the log is encrypted is not known yet, or a block is not encrypted at all.
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

    /// A failure of the log below, as trees report it.
    package init(_ error: DDatabaseError) {
        switch error.code {
        case .noPeers: self.init(.noPeers, error.detail)
        case .blockNotAvailable, .outOfBounds: self.init(.notAvailable, error.detail)
        case .deadlineExceeded: self.init(.deadlineExceeded, error.detail)
        case .notWritable: self.init(.notWritable, error.detail)
        case .closed: self.init(.closed, error.detail)
        case .blockTooLarge: self.init(.valueTooLarge, error.detail)
        case .cancelled: self.init(.cancelled, error.detail)
        case .snapshotNotAvailable: self.init(.snapshotNotAvailable, error.detail)
        case .conflict: self.init(.conflict, error.detail)
        case .undecipherable: self.init(.undecipherable, error.detail)
        default: self.init(.storage, error.detail)
        }
    }

    /// A fault in a block, as trees report it.
    package init(_ fault: TreeFault, block: UInt64) {
        switch fault {
        case .notATree: self.init(.notATree, "The log is no tree: block \(block) does not say so")
        case .unsupportedFormat(let byte):
            if byte <= 1 {
                self.init(.unsupportedFormat, "Block \(block) was written by a newer format of trees")
            } else {
                self.init(.notATree, "Block \(block) belongs to no tree")
            }
        case .notAVersion: self.init(.notAVersion, "Version \(block + 1) ends inside a batch")
        case .malformed: self.init(.damaged, "Block \(block) cannot be decoded")
        case .invalidStructure: self.init(.damaged, "Block \(block) refers to what cannot be there")
        case .unsortedKeys: self.init(.damaged, "The keys at block \(block) are not in order")
        case .tooDeep: self.init(.damaged, "The tree at block \(block) is deeper than any honest one")
        case .keyTooLarge: self.init(.keyTooLarge, "The key of block \(block) is too large")
        }
    }
}
