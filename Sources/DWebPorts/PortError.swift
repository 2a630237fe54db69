/// Why the outside world (a socket, a disk) refused.
public struct PortError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of refusal; open, so that codes can be added.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        /// The code's name, as ``PortError/description`` shows it.
        public let description: String
        /// Names a code.
        public init(_ description: String) { self.description = description }

        /// The address is in use by another socket.
        public static let addressInUse = Code("address in use")
        /// The process may not do this.
        public static let permissionDenied = Code("permission denied")
        /// Another process holds the store.
        public static let locked = Code("locked")
        /// The store was written by a newer or different engine.
        public static let unsupportedFormat = Code("unsupported format")
        /// The medium is full.
        public static let noSpace = Code("no space left")
        /// The bytes read are not the bytes written.
        public static let corrupted = Code("corrupted")
        /// Used after it was closed.
        public static let closed = Code("closed")
        /// The peer ended the stream without agreement.
        public static let connectionReset = Code("connection reset")
        /// Nothing was heard for too long.
        public static let timedOut = Code("timed out")
        /// The calling task was cancelled.
        public static let cancelled = Code("cancelled")
        /// There is no such file, host or directory.
        public static let notFound = Code("not found")
        /// The port's provider cannot do this at all.
        public static let unsupported = Code("unsupported")
        /// Any other failure; the detail tells.
        public static let failed = Code("failed")
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

    /// The detail, or the code's name where there is none.
    public var description: String { detail.isEmpty ? code.description : detail }
}
