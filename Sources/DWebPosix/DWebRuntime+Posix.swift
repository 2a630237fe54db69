public import DWebBase
public import DWebPorts

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// The operating system's random numbers.
public struct SystemEntropy: EntropySource {
    /// The source; it has no state.
    public init() {}

    /// Thirty-two bytes from the system's generator.
    public func seed() -> Bytes32 {
        var generator = SystemRandomNumberGenerator()
        var bytes: [UInt8] = []
        for _ in 0..<4 { withUnsafeBytes(of: generator.next()) { bytes.append(contentsOf: $0) } }
        return Bytes32(bytes) ?? .zero
    }
}

extension DWebRuntime {
    /// A runtime on the operating system's sockets and clock, with the storage given.
    ///
    /// Everything made with it runs on `loop`; close that first, then shut the loop down.
    public static func posix(loop: PosixLoop, storage: any StorageProvider) -> DWebRuntime {
        DWebRuntime(
            loop: loop, network: PosixNetwork(loop: loop), storage: storage, entropy: SystemEntropy(),
            wallClockMilliseconds: {
                var time = timespec()
                clock_gettime(CLOCK_REALTIME, &time)
                return UInt64(time.tv_sec) * 1_000 + UInt64(time.tv_nsec) / 1_000_000
            })
    }
}
