package import DWebPorts

/// Why an operation on a ``DDatabase`` failed.
public struct DDatabaseError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure; open, so that codes can be added.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        /// The code's name.
        public let description: String
        /// Names a code.
        public init(_ description: String) { self.description = description }

        /// The data is not here, and there is no peer to ask.
        public static let noPeers = Code("no peers")
        /// The data is not here, and no connected peer gave it in time.
        public static let blockNotAvailable = Code("block not available")
        /// The deadline passed while an answer was still outstanding.
        public static let deadlineExceeded = Code("deadline exceeded")
        /// The log has no local signer.
        public static let notWritable = Code("not writable")
        /// There is no such draft.
        public static let notFound = Code("not found")
        /// The log's own signer refused, or signed with another key.
        public static let signer = Code("signer")
        /// The log, its session or its store was closed.
        public static let closed = Code("closed")
        /// A peer sent data that does not belong to the log.
        public static let invalidProof = Code("invalid proof")
        /// An index, length or byte position outside the log.
        public static let outOfBounds = Code("out of bounds")
        /// A block above the size limit.
        public static let blockTooLarge = Code("block too large")
        /// The storage refused; the log refuses changes until its store is reopened.
        public static let storage = Code("storage")
        /// The calling task was cancelled.
        public static let cancelled = Code("cancelled")
        /// Two different histories carry valid signatures, or a key belongs to another log.
        public static let conflict = Code("conflict")
        /// A snapshot's block was truncated from the log.
        public static let snapshotNotAvailable = Code("snapshot not available")
        /// A value cannot be encoded, or bytes are no value of the kind asked for.
        public static let invalidValue = Code("invalid value")
        /// A block is not one that this session's encryption can have made.
        public static let undecipherable = Code("undecipherable")
        /// A peer broke the protocol.
        public static let protocolViolation = Code("protocol violation")
        /// The byte stream to a peer ended with an error.
        public static let connectionLost = Code("connection lost")
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

    /// A refusal of the storage, as this module reports it.
    package init(storage error: PortError) {
        switch error.code {
        case .cancelled: self.init(.cancelled, "The task was cancelled")
        case .closed: self.init(.closed, "The store is closed")
        default: self.init(.storage, "The storage refused: \(error.description)")
        }
    }

    /// A refusal of the byte stream to a peer.
    package init(connection error: PortError) {
        switch error.code {
        case .cancelled: self.init(.cancelled, "The task was cancelled")
        default: self.init(.connectionLost, error.description)
        }
    }
}
