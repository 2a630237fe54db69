import DWebBase
import DWebCrypto
import DWebDHTCore

/// A policy on virtual time, with its outputs collected.
struct SwarmPolicyRig {
    var policy: SwarmPolicy
    var now = MonotonicTime(milliseconds: 1_000)
    var outputs: [SwarmOutput] = []

    init(
        key: PublicKey = SwarmPolicyRig.key(100), seed: UInt8 = 1,
        _ change: (inout SwarmPolicyConfiguration) -> Void = { _ in }
    ) {
        var configuration = SwarmPolicyConfiguration()
        change(&configuration)
        policy = SwarmPolicy(
            publicKey: key, configuration: configuration, random: SecureRandom(seed: Bytes32(repeating: seed)),
            now: now)
    }

    static func key(_ number: UInt8) -> PublicKey { PublicKey(Bytes32(repeating: number)) }

    static func key(_ number: Int) -> PublicKey {
        PublicKey(Bytes32((0..<32).map { UInt8(truncatingIfNeeded: number >> (8 * ($0 % 4))) })!)
    }

    static let topic = Bytes32(repeating: 7)

    /// Calls the policy and returns what it wants.
    mutating func act(_ body: (inout SwarmPolicy, MonotonicTime) -> Void) -> [SwarmOutput] {
        body(&policy, now)
        return drain()
    }

    mutating func drain() -> [SwarmOutput] {
        var new: [SwarmOutput] = []
        while let output = policy.pollOutput() { new.append(output) }
        outputs += new
        return new
    }

    /// Lets time pass, waking the policy whenever it asks to be.
    mutating func advance(_ duration: Duration) -> [SwarmOutput] {
        let end = now + duration
        var new: [SwarmOutput] = []
        while let deadline = policy.nextDeadline, deadline <= end {
            now = max(now, deadline)
            policy.wake(now: now)
            new += drain()
        }
        now = end
        return new
    }

    /// Joins the topic to look up; returns the query.
    mutating func lookUp(limit: Int? = nil) -> SwarmRefreshID {
        let new = act { _ = $0.join(SwarmPolicyRig.topic, as: .lookup, limit: limit, now: $1) }
        return new.refreshes[0].id
    }

    /// Finds a peer; returns the attempt, if there is one.
    mutating func find(_ key: PublicKey, in refresh: SwarmRefreshID) -> SwarmConnectionID? {
        act { $0.found(key, relayAddresses: [], in: refresh, now: $1) }.attempts.first?.id
    }

    /// Takes an arrival; returns its name and what the policy wants.
    mutating func arrive(_ key: PublicKey, established: Bool = false) -> (SwarmConnectionID, [SwarmOutput]) {
        let id = policy.arrived(from: key, isExistingEstablished: established, now: now)
        return (id, drain())
    }
}

extension [SwarmOutput] {
    var attempts: [(id: SwarmConnectionID, key: PublicKey, forcesRelay: Bool)] {
        compactMap { if case .connect(let id, let key, _, let forces) = $0 { (id, key, forces) } else { nil } }
    }

    var refreshes: [(id: SwarmRefreshID, topic: Bytes32, kind: SwarmRefreshKind)] {
        compactMap { if case .startRefresh(let id, let topic, let kind) = $0 { (id, topic, kind) } else { nil } }
    }

    var flushes: [Bool] { compactMap { if case .flushFinished(_, let value) = $0 { value } else { nil } } }
}
