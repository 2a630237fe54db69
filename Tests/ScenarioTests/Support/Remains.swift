import DWeb
import Synchronization

/// Notes objects without keeping them, to find out which ones stay.
final class Remains: Sendable {
    private struct Entry: Sendable {
        let name: String
        weak var object: (any AnyObject & Sendable)?
    }

    private let entries = Mutex<[Entry]>([])

    /// The names of those that are still there.
    var names: [String] { entries.withLock { $0.filter { $0.object != nil }.map(\.name) } }

    func note(_ peer: Peer) {
        note("networker \(peer.home.number)", peer.networker)
        note("swarm \(peer.home.number)", peer.networker.swarm)
        note("node \(peer.home.number)", peer.networker.swarm.dht)
        note("store \(peer.home.number)", peer.store)
        note("store engine \(peer.home.number)", peer.store.engine)
    }

    func note(_ log: DDatabase) {
        note("log \(log.isWritable)", log)
        note("log engine \(log.isWritable)", log.engine)
    }

    private func note(_ name: String, _ object: any AnyObject & Sendable) {
        entries.withLock { $0.append(Entry(name: name, object: object)) }
    }
}
