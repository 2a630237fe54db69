import DWebBase
import HeapModule

/// The topics that wait for their turn to be queried: new ones first, and each kind in the order of the hashes, round
/// after round, so that neighbours come one after another; see ``NeighborhoodCache``.
struct TopicTurns: Sendable {
    private struct Turn: Comparable, Sendable {
        let round: Int
        let topic: Bytes32

        static func < (left: Turn, right: Turn) -> Bool { (left.round, left.topic) < (right.round, right.topic) }
    }

    /// One way around all topics, which begins anew at its end.
    private struct Sweep: Sendable {
        private var turns = Heap<Turn>()
        private var last = Turn(round: 0, topic: .zero)

        var count: Int { turns.count }

        mutating func append(_ topic: Bytes32) {
            // What the sweep has passed waits for the next one.
            turns.insert(Turn(round: topic > last.topic ? last.round : last.round + 1, topic: topic))
        }

        mutating func popFirst() -> Bytes32? {
            guard let turn = turns.popMin() else { return nil }
            last = turn
            return turn.topic
        }
    }

    private var new = Sweep()
    private var known = Sweep()

    var count: Int { new.count + known.count }
    var isEmpty: Bool { count == 0 }

    mutating func append(_ topic: Bytes32, isNew: Bool) {
        if isNew { new.append(topic) } else { known.append(topic) }
    }

    mutating func popFirst() -> Bytes32? { new.popFirst() ?? known.popFirst() }

    mutating func removeAll() { self = TopicTurns() }
}
