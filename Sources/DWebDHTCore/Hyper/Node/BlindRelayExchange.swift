package import DWebBase

/// The most that the clients of a blind relay can make it hold.
package struct BlindRelayLimits: Sendable, Equatable {
    /// Pairs whose packets are passed on at a time.
    package var pairCount = 1024
    /// Pairs, joined or waiting, that one client has part in at a time.
    package var pairsPerClientCount = 64
    /// Requests that wait for their other end.
    package var waitingCount = 4096
    /// How long a request waits for its other end. Both ends give up after 15 s; spec 20 section 13.
    package var waitingTime = Duration.seconds(30)

    /// The defaults.
    package init() {}
}

/// Matches the two ends of relayed streams, as the relay; spec 20 section 13.
///
/// It knows clients by numbers that the owner gives out and does not reuse.
package struct BlindRelayExchange: Sendable {
    /// One end of a pair: the client, and what it asked for.
    package struct End: Sendable, Equatable {
        /// The client.
        package let client: UInt64
        /// Its request.
        package let request: BlindRelayPair

        /// Names an end.
        package init(client: UInt64, request: BlindRelayPair) {
            self.client = client
            self.request = request
        }
    }

    /// What becomes of a request.
    package enum Outcome: Sendable, Equatable {
        /// Its other end has not come yet.
        case waiting
        /// Both ends are there: join them and answer both.
        case matched(initiator: End, other: End)
        /// It is refused without a word: the role is taken, or a limit is reached.
        case ignored
    }

    private struct Waiting: Sendable {
        let end: End
        let deadline: MonotonicTime
    }

    private let limits: BlindRelayLimits
    private var waiting: [Bytes32: Waiting] = [:]
    private var joined: [Bytes32: (UInt64, UInt64)] = [:]
    private var clientCounts: [UInt64: Int] = [:]

    /// An exchange without clients.
    package init(limits: BlindRelayLimits = BlindRelayLimits()) { self.limits = limits }

    /// Requests that wait for their other end.
    package var waitingCount: Int { waiting.count }
    /// Pairs that are joined.
    package var pairCount: Int { joined.count }

    /// A client asks to be joined with whoever knows the same token.
    package mutating func pair(_ request: BlindRelayPair, of client: UInt64, now: MonotonicTime) -> Outcome {
        removeExpired(now: now)
        guard joined[request.token] == nil, clientCounts[client, default: 0] < limits.pairsPerClientCount else {
            return .ignored
        }
        let end = End(client: client, request: request)
        guard let other = waiting[request.token]?.end else {
            guard waiting.count < limits.waitingCount else { return .ignored }
            waiting[request.token] = Waiting(end: end, deadline: now + limits.waitingTime)
            clientCounts[client, default: 0] += 1
            return .waiting
        }
        guard other.request.isInitiator != request.isInitiator, joined.count < limits.pairCount else {
            return .ignored
        }
        waiting[request.token] = nil
        joined[request.token] = (other.client, client)
        clientCounts[client, default: 0] += 1
        return request.isInitiator
            ? .matched(initiator: end, other: other) : .matched(initiator: other, other: end)
    }

    /// A client withdraws a request, or a pair that it is an end of ended. Returns whether the pair was joined.
    @discardableResult
    package mutating func unpair(_ token: Bytes32, of client: UInt64) -> Bool {
        if let entry = waiting[token], entry.end.client == client {
            waiting[token] = nil
            release(client)
        }
        guard let clients = joined[token], clients.0 == client || clients.1 == client else { return false }
        joined[token] = nil
        release(clients.0)
        release(clients.1)
        return true
    }

    /// A client is gone. Returns the tokens of the pairs that it was an end of, which are no longer joined.
    package mutating func remove(_ client: UInt64) -> [Bytes32] {
        for token in waiting.filter({ $0.value.end.client == client }).keys { unpair(token, of: client) }
        // Sorted, because the order of a dictionary is not reproducible.
        let tokens = joined.filter { $0.value.0 == client || $0.value.1 == client }.keys.sorted()
        for token in tokens { unpair(token, of: client) }
        clientCounts[client] = nil
        return tokens
    }

    private mutating func removeExpired(now: MonotonicTime) {
        // Looked through only when there is something to gain by it: a full waiting room is the attack to survive.
        guard waiting.count >= limits.waitingCount || waiting.count > 64 else { return }
        for (token, entry) in waiting where entry.deadline <= now { unpair(token, of: entry.end.client) }
    }

    private mutating func release(_ client: UInt64) {
        guard let count = clientCounts[client] else { return }
        clientCounts[client] = count > 1 ? count - 1 : nil
    }
}
