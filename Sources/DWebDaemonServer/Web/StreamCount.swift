#if Daemon
    import Synchronization

    /// Counts what is open, up to a limit.
    final class StreamCount: Sendable {
        private let count = Mutex(0)
        private let limit: Int

        init(limit: Int) { self.limit = limit }

        /// Counts one more; false at the limit.
        func take() -> Bool {
            count.withLock { count in
                guard count < limit else { return false }
                count += 1
                return true
            }
        }

        /// Counts one less.
        func giveBack() { count.withLock { $0 -= 1 } }
    }
#endif
