/// Why the swarm, or its DHT node, could not do what it was asked.
public struct DSwarmError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure; open, so that codes can be added.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        /// The code's name.
        public let description: String
        /// Names a code.
        public init(_ description: String) { self.description = description }

        /// A socket could not be bound.
        public static let bindFailed = Code("bind failed")
        /// The swarm or node is closed.
        public static let closed = Code("closed")
        /// The swarm or node is suspended.
        public static let suspended = Code("suspended")
        /// The calling task was cancelled.
        public static let cancelled = Code("cancelled")
        /// `run()` was called a second time.
        public static let alreadyRunning = Code("already running")
        /// The key pair listens already.
        public static let alreadyListening = Code("already listening")
        /// No connection came about; ``DSwarmError/connectError`` says why.
        public static let connectFailed = Code("connect failed")
        /// Too few nodes of the network answered.
        public static let tooFewNodes = Code("too few nodes")
        /// No node took the record.
        public static let notStored = Code("not stored")
        /// A value is empty or too large to be stored.
        public static let invalidValue = Code("invalid value")
        /// The request got no answer.
        public static let timedOut = Code("timed out")
        /// There are too many operations, connections or servers.
        public static let limitReached = Code("limit reached")
    }

    /// What kind of failure.
    public let code: Code
    /// One sentence for people.
    public let detail: String
    /// Why no connection came about, with code ``Code/connectFailed``.
    public let connectError: ConnectError?

    /// Builds an error with one sentence for people.
    public init(_ code: Code, _ detail: String, connectError: ConnectError? = nil) {
        self.code = code
        self.detail = detail
        self.connectError = connectError
    }

    init(_ error: ConnectError) {
        switch error {
        case .suspended: self.init(.suspended, error.description, connectError: error)
        case .destroyed: self.init(.closed, error.description, connectError: error)
        default: self.init(.connectFailed, error.description, connectError: error)
        }
    }

    static let closed = DSwarmError(.closed, "Networking is closed")
    static let suspended = DSwarmError(.suspended, "Networking is suspended")
    static let cancelled = DSwarmError(.cancelled, "The task was cancelled")

    /// The detail.
    public var description: String { detail }
}
