/// What happens to datagrams between two hosts, in one direction.
public struct LinkConditions: Sendable {
    /// The time every datagram takes.
    public var latency: Duration = .milliseconds(1)
    /// The most that is added to the latency, drawn per datagram; reorders where it exceeds the distance of datagrams.
    public var jitter: Duration = .zero
    /// The probability that a datagram is lost, 0 to 1.
    public var loss: Double = 0
    /// The probability that a datagram arrives twice, 0 to 1.
    public var duplication: Double = 0
    /// The probability that a datagram is held back for ``reorderDelay``, 0 to 1.
    public var reordering: Double = 0
    /// How long a reordered datagram is held back.
    public var reorderDelay: Duration = .milliseconds(10)
    /// Bytes per second, or nil for no limit.
    public var byteRate: Double?
    /// The bytes that may wait for the rate; more are dropped.
    public var queueByteLimit: Int = 256 * 1024
    /// The largest UDP payload that passes; larger ones are dropped silently.
    public var payloadByteLimit: Int = 1472
    /// Whether nothing passes.
    public var isPartitioned = false

    /// One millisecond, no faults.
    public init() {}

    /// A link that only delays.
    public init(latency: Duration) { self.latency = latency }
}
