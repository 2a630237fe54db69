/// An ordered, reliable stream of bytes in both directions: a UDX stream, a TCP connection or a pipe in memory.
public protocol DuplexStream: Sendable {
    /// The next bytes, at least one; nil once the peer has ended its side. One reader at a time.
    ///
    /// - Throws: ``PortError`` with code `connectionReset`, `timedOut`, `closed` or `cancelled`.
    func read() async throws(PortError) -> [UInt8]?

    /// Queues `chunk` and waits while too much is queued. One writer at a time.
    ///
    /// - Throws: ``PortError`` with code `connectionReset`, `timedOut`, `closed` or `cancelled`.
    func write(_ chunk: [UInt8]) async throws(PortError)

    /// Ends the writable side after what is queued; the peer reads nil. Callable more than once.
    func finish() async

    /// Ends both sides at once and forgets what is queued. Callable more than once, from anywhere.
    func abort()
}
