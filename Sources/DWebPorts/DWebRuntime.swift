public import DWebBase

/// Where random seeds come from: the system, or a simulation's seed.
public protocol EntropySource: Sendable {
    /// Thirty-two unpredictable bytes.
    func seed() -> Bytes32
}

/// Everything the library needs of the outside world, passed in and never global.
public struct DWebRuntime: Sendable {
    /// The executor, clock and timers of all actors.
    public let loop: any RuntimeLoop
    /// Sockets and interfaces.
    public let network: any NetworkProvider
    /// Stores on disk or in memory.
    public let storage: any StorageProvider
    /// Seeds of random generators.
    public let entropy: any EntropySource
    /// Milliseconds since 1970, for timestamps that people and peers see; never for measuring time.
    public let wallClockMilliseconds: @Sendable () -> UInt64

    /// Bundles ports.
    public init(
        loop: any RuntimeLoop, network: any NetworkProvider, storage: any StorageProvider, entropy: any EntropySource,
        wallClockMilliseconds: @escaping @Sendable () -> UInt64
    ) {
        self.loop = loop
        self.network = network
        self.storage = storage
        self.entropy = entropy
        self.wallClockMilliseconds = wallClockMilliseconds
    }
}
