import DWebStore
import DWebSwarm

/// Why an operation on a ``SwarmNetworker`` failed.
public struct SwarmNetworkerError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure; open, so that codes can be added.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        /// The code's name.
        public let description: String
        /// Names a code.
        public init(_ description: String) { self.description = description }

        /// The networker was closed.
        public static let closed = Code("closed")
        /// Nobody calls ``SwarmNetworker/run()``, which does the work.
        public static let notRunning = Code("not running")
        /// ``SwarmNetworker/run()`` was called twice.
        public static let alreadyRunning = Code("already running")
        /// No socket could be bound.
        public static let bindFailed = Code("bind failed")
        /// The calling task was cancelled.
        public static let cancelled = Code("cancelled")
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

    /// The detail, or the code's name where there is none.
    public var description: String { detail.isEmpty ? code.description : detail }

    init(_ error: DSwarmError) {
        switch error.code {
        case .bindFailed: self.init(.bindFailed, error.detail)
        case .cancelled: self.init(.cancelled, error.detail)
        case .alreadyRunning: self.init(.alreadyRunning, error.detail)
        default: self.init(.closed, error.detail)
        }
    }

    static let closed = SwarmNetworkerError(.closed, "The networker was closed")
}
