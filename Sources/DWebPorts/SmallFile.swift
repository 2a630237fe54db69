import Synchronization

/// A few kilobytes that outlive the process and are replaced as a whole.
public protocol SmallFile: Sendable {
    /// The whole content; nil if nothing was ever written.
    ///
    /// - Throws: ``PortError`` if it cannot be read.
    func read() async throws(PortError) -> [UInt8]?

    /// Replaces the content: afterwards, and after a crash, either the old or the new one is there, never a mixture.
    ///
    /// - Throws: ``PortError`` if it cannot be written; the old content stays.
    func replace(with bytes: [UInt8]) async throws(PortError)
}

/// A small file that lives in memory: for tests, and for programs that restart their parts but not themselves.
public final class MemoryFile: SmallFile {
    private let content: Mutex<[UInt8]?>

    /// A file with this content, or none.
    public init(_ content: [UInt8]? = nil) { self.content = Mutex(content) }

    /// The whole content; never throws.
    public func read() async throws(PortError) -> [UInt8]? { content.withLock { $0 } }

    /// Replaces the content; never throws.
    public func replace(with bytes: [UInt8]) async throws(PortError) { content.withLock { $0 = bytes } }
}
