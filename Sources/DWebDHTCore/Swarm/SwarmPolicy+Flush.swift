package import DWebBase
import OrderedCollections

/// A caller that waits; spec 30 section G.5, "flush".
struct PendingFlush: Sendable {
    let id: SwarmFlushID
    /// Whether peers are waited for after the queries.
    let includesPeers: Bool
    var topics: Set<Bytes32>
    /// The peers that are still to be attempted; nil while queries are waited for.
    var peers: Set<PublicKey>?
    var hasFailed = false
}

extension SwarmPolicy {
    /// Waits for the queries that run, then until every peer that is queued or being dialled then was attempted.
    package mutating func flush(now: MonotonicTime) -> SwarmFlushID {
        begin(topics: topics.values.filter(\.isRefreshing).map(\.topic), includesPeers: true)
    }

    /// Waits for the query that runs for `topic`.
    package mutating func flush(topic: Bytes32, now: MonotonicTime) -> SwarmFlushID {
        begin(topics: topics[topic]?.isRefreshing == true ? [topic] : [], includesPeers: false)
    }

    private mutating func begin(topics waited: [Bytes32], includesPeers: Bool) -> SwarmFlushID {
        let id = SwarmFlushID(sequence: makeSequence())
        guard !isClosed else {
            outputs.append(.flushFinished(id, false))
            return id
        }
        flushes.append(PendingFlush(id: id, includesPeers: includesPeers, topics: Set(waited)))
        advanceFlushes()
        return id
    }

    mutating func finishTopicFlushes(_ topic: Bytes32, succeeded: Bool) {
        for index in flushes.indices where flushes[index].topics.remove(topic) != nil {
            if !succeeded { flushes[index].hasFailed = true }
        }
        advanceFlushes()
    }

    mutating func finishAttempt(of key: PublicKey) {
        for index in flushes.indices { flushes[index].peers?.remove(key) }
        advanceFlushes()
    }

    mutating func advanceFlushes() {
        let isFull = connectingCount == 0 && !hasRoom
        var remaining: [PendingFlush] = []
        for var flush in flushes {
            if flush.topics.isEmpty, !flush.includesPeers {
                outputs.append(.flushFinished(flush.id, !flush.hasFailed))
                continue
            }
            if flush.topics.isEmpty, flush.peers == nil {
                let pending = connections.values.filter { !$0.isOpen && !$0.isClosing }.map(\.key)
                flush.peers = Set(pending).union(queue.keys)
            }
            if let peers = flush.peers, peers.isEmpty || isFull {
                outputs.append(.flushFinished(flush.id, true))
                continue
            }
            remaining.append(flush)
        }
        flushes = remaining
    }
}
