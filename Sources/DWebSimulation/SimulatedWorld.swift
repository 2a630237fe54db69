public import DWebBase
public import DWebPorts
import Synchronization

/// A whole world from one seed: a virtual clock, a network, and hosts with memory stores.
public final class SimulatedWorld: Sendable {
    /// The seed that everything follows from.
    public let seed: UInt64
    /// The clock and executor of every host.
    public let loop: SimulatedLoop
    /// The network between the hosts.
    public let network: SimulatedNetwork
    private let entropyRandom: Mutex<SimulationRandom>

    /// A world without hosts.
    public init(seed: UInt64) {
        self.seed = seed
        loop = SimulatedLoop()
        network = SimulatedNetwork(loop: loop, seed: seed)
        entropyRandom = Mutex(SimulationRandom(seed: seed, stream: "entropy"))
    }

    /// The runtime of a host with this address and its own storage; pass the same storage again to restart a host.
    ///
    /// - Parameter box: The translator that the host is behind; nil on the public network.
    public func runtime(
        address: SocketAddress, behind box: NATBox? = nil, storage: any StorageProvider = MemoryStorage()
    ) -> DWebRuntime { runtime(host: network.host(address, behind: box), storage: storage) }

    /// The runtime of `host`, which can be moved to other networks.
    public func runtime(host: SimulatedHost, storage: any StorageProvider = MemoryStorage()) -> DWebRuntime {
        DWebRuntime(
            loop: loop, network: host, storage: storage, entropy: SeededEntropy(world: self),
            wallClockMilliseconds: { [loop] in 1_700_000_000_000 + UInt64(loop.now.milliseconds) })
    }

    /// Runs a program in this world until it ends; see ``SimulatedLoop/run(timeLimit:_:)``.
    public func run<Result: Sendable>(
        timeLimit: Duration = .seconds(3_600), _ body: @escaping @Sendable () async throws -> Result
    ) throws -> Result {
        try loop.run(timeLimit: timeLimit, body)
    }

    fileprivate func drawSeed() -> Bytes32 {
        entropyRandom.withLock { random in
            var bytes: [UInt8] = []
            for _ in 0..<4 { withUnsafeBytes(of: random.next().bigEndian) { bytes.append(contentsOf: $0) } }
            return Bytes32(bytes) ?? .zero
        }
    }
}

private struct SeededEntropy: EntropySource {
    let world: SimulatedWorld
    func seed() -> Bytes32 { world.drawSeed() }
}
