/// Why the daemon refused something.
public struct DaemonError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of refusal; open, so that codes can be added.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        /// The code's name.
        public let description: String
        /// Names a code.
        public init(_ description: String) { self.description = description }

        /// What was asked for makes no sense.
        public static let invalidArgument = Code("invalid argument")
        /// There is no such seed, list or log.
        public static let notFound = Code("not found")
        /// A limit is reached; the detail names it.
        public static let limitReached = Code("limit reached")
        /// The disk refused a write: nothing can be changed until it takes writes again.
        public static let readOnly = Code("read only")
        /// What was stored cannot be read.
        public static let storage = Code("storage")
        /// The daemon was closed.
        public static let closed = Code("closed")
    }

    /// What kind of refusal.
    public let code: Code
    /// One sentence for people, without a full stop.
    public let detail: String

    /// Builds an error with one sentence for people.
    public init(_ code: Code, _ detail: String) {
        self.code = code
        self.detail = detail
    }

    /// The detail.
    public var description: String { detail }

    static let closed = DaemonError(.closed, "The daemon is closing")
}
