import DWebBase
import DWebPorts
import Synchronization

/// Says once that something is over.
final class Flag: Sendable {
    private let state = Atomic(false)

    var isRaised: Bool { state.load(ordering: .acquiring) }

    func raise() { state.store(true, ordering: .releasing) }
}

extension RuntimeLoop {
    /// Lets virtual time pass.
    func sleep(for duration: Duration) async {
        await withCheckedContinuation { continuation in
            _ = schedule(at: now + duration) { continuation.resume() }
        }
    }
}
