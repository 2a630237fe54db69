package import DWebDatabase
package import DWebPorts

/// Why an operation on a ``Basestore`` failed.
public struct BasestoreError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure; open, so that codes can be added.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        /// The code's name.
        public let description: String
        /// Names a code.
        public init(_ description: String) { self.description = description }

        /// The store was closed.
        public static let closed = Code("closed")
        /// Another process, or another part of this one, holds the store.
        public static let locked = Code("locked")
        /// There is no store at the path, or no such log in it, and none may be created.
        public static let notFound = Code("not found")
        /// The store was made with another primary key, or a log's key belongs to another log.
        public static let conflict = Code("conflict")
        /// The store was written by a newer implementation or storage engine.
        public static let unsupportedVersion = Code("unsupported version")
        /// The storage refused or holds damaged records.
        public static let storage = Code("storage")
        /// The calling task was cancelled.
        public static let cancelled = Code("cancelled")
        /// A peer broke the protocol or failed to prove that it knows a log's key.
        public static let protocolViolation = Code("protocol violation")
        /// A peer sent data that does not belong to the log.
        public static let invalidProof = Code("invalid proof")
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

    package init(_ error: PortError) {
        switch error.code {
        case .cancelled: self.init(.cancelled, error.description)
        case .closed: self.init(.closed, "The store is closed")
        case .locked: self.init(.locked, error.description)
        case .notFound: self.init(.notFound, error.description)
        case .unsupportedFormat: self.init(.unsupportedVersion, error.description)
        default: self.init(.storage, error.description)
        }
    }

    package init(_ error: DDatabaseError) {
        switch error.code {
        case .cancelled: self.init(.cancelled, error.detail)
        case .closed: self.init(.closed, error.detail)
        case .conflict: self.init(.conflict, error.detail)
        case .invalidProof: self.init(.invalidProof, error.detail)
        case .protocolViolation: self.init(.protocolViolation, error.detail)
        case .connectionLost: self.init(.connectionLost, error.detail)
        default: self.init(.storage, error.detail)
        }
    }
}
