import DWeb

/// Tells who comes and goes.
enum Narrator {
    /// Tells until the networker is closed or the task is cancelled.
    static func tell(_ networker: SwarmNetworker, _ console: Console) async {
        for await event in networker.events() {
            switch event {
            case .peerAdded(let peer):
                console.say("Peer \(peer.publicKey.text.prefix(8)) connected from \(peer.address).")
            case .peerRemoved(let peer): console.say("Peer \(peer.publicKey.text.prefix(8)) left.")
            case .replicationError(let peer, let reason):
                console.say("Peer \(peer.text.prefix(8)) was dropped: \(reason)")
            case .joined, .flushed, .handshake, .streamClosed: break
            }
        }
    }
}
