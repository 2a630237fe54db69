import Foundation
import Testing

/// Where a scenario takes place.
enum Ground: Sendable, CustomTestStringConvertible {
    /// A simulated network on virtual time, whose faults follow from the seed.
    case simulated(seed: UInt64)
    /// Real UDP sockets on 127.0.0.1, in real time.
    case loopback

    /// One simulation that never changes, one that is new in every run, and real sockets.
    static let everywhere: [Ground] = isSearching ? simulations : simulations + [.loopback]

    /// One simulation that never changes and one that is new in every run; with `DWEB_SCENARIO_COUNT`, that many new
    /// ones.
    static let simulations: [Ground] =
        isSearching
        ? (0..<(number("DWEB_SCENARIO_COUNT") ?? 1)).map { _ in .simulated(seed: UInt64.random(in: 0...UInt64.max)) }
        : [.simulated(seed: 2_021), .simulated(seed: freshSeed)]

    /// The seed of this run; `DWEB_SCENARIO_SEED` repeats an earlier one.
    private static let freshSeed = number("DWEB_SCENARIO_SEED") ?? UInt64.random(in: 0...UInt64.max)

    /// Whether seeds that fail are searched for, which real sockets would only slow down.
    static var isSearching: Bool { number("DWEB_SCENARIO_COUNT") != nil }

    private static func number(_ name: String) -> UInt64? {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
    }

    /// What a failure shows: the seed with which it can be repeated.
    var testDescription: String {
        switch self {
        case .simulated(let seed): "simulated, DWEB_SCENARIO_SEED=\(seed)"
        case .loopback: "loopback"
        }
    }

    var isSimulated: Bool {
        if case .simulated = self { true } else { false }
    }
}

extension Trait where Self == TimeLimitTrait {
    /// How long a scenario may take, waiting for its turn included.
    static var scenarioLimit: Self { .timeLimit(.minutes(Ground.isSearching ? 60 : 3)) }
}
