import DWebBase

/// A decoder or machine that takes bytes of strangers, ready to be given any bytes at all.
///
/// ``run(_:)`` returns for every input. What must never happen is a `preconditionFailure` or a trap: a value that does
/// not come back as it was read, a proof that is accepted and says something untrue, memory without a limit.
///
/// `Fuzz/` feeds the targets to libFuzzer; the tests replay what it found.
public struct FuzzTarget: Sendable {
    /// The target's name, which is also that of its folder of inputs.
    public let name: String
    private let body: @Sendable ([UInt8]) -> Void
    /// Inputs to begin with, so that a fuzzer need not invent a signature.
    public let seeds: @Sendable () -> [[UInt8]]

    init(
        _ name: String, seeds: @escaping @Sendable () -> [[UInt8]] = { [] },
        _ body: @escaping @Sendable ([UInt8]) -> Void
    ) {
        self.name = name
        self.seeds = seeds
        self.body = body
    }

    /// Gives the target an input.
    public func run(_ bytes: [UInt8]) { body(bytes) }

    /// All targets.
    public static let all: [FuzzTarget] =
        codecTargets + logTargets + proofTargets + wireTargets + streamTargets + networkTargets + fileTargets

    /// The target with this name.
    public static func named(_ name: String) -> FuzzTarget? { all.first { $0.name == name } }
}

/// Stops with `problem` unless `condition` holds.
func check(_ condition: Bool, _ problem: @autoclosure () -> String) {
    if !condition { preconditionFailure(problem()) }
}

/// Small numbers and pieces out of an input, which decide what is done next; zero once it is used up.
struct InputScript {
    private var bytes: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

    var isEmpty: Bool { bytes.isEmpty }

    /// The next byte.
    mutating func byte() -> UInt8 { bytes.popFirst() ?? 0 }

    /// A number below `limit`.
    mutating func number(below limit: Int) -> Int { Int(byte()) % limit }

    /// Up to `limit` bytes, as many as the next two say.
    mutating func piece(limit: Int = 4_096) -> [UInt8] {
        let count = min(limit, Int(byte()) | Int(byte()) << 8, bytes.count)
        defer { bytes.removeFirst(count) }
        return Array(bytes.prefix(count))
    }

    /// All the rest.
    mutating func rest() -> [UInt8] {
        defer { bytes = [] }
        return Array(bytes)
    }

    /// The form that ``piece(limit:)`` reads.
    static func piece(_ bytes: [UInt8]) -> [UInt8] {
        [UInt8(truncatingIfNeeded: bytes.count), UInt8(truncatingIfNeeded: bytes.count >> 8)] + bytes
    }
}
