#if Daemon
    import Synchronization

    /// The newest lines of the daemon's log, for those who ask later, and all further ones for those who listen.
    public final class LogBuffer: Sendable {
        private struct State {
            var lines: [String] = []
            var start = 0
            var listeners: [Int: AsyncStream<String>.Continuation] = [:]
            var nextNumber = 0
        }

        private let state = Mutex(State())
        /// The most lines that are kept.
        public static let lineCount = 2_000
        // Lines that wait for one listener.
        private static let waitingCount = 1_000

        /// An empty buffer.
        public init() {}

        func add(_ line: String) {
            let listeners = state.withLock { state in
                if state.lines.count < LogBuffer.lineCount {
                    state.lines.append(line)
                } else {
                    state.lines[state.start] = line
                    state.start = (state.start + 1) % LogBuffer.lineCount
                }
                return Array(state.listeners.values)
            }
            for listener in listeners { listener.yield(line) }
        }

        /// The newest lines, oldest first.
        func newest(_ count: Int) -> [String] {
            state.withLock { state in
                let ordered = state.lines[state.start...] + state.lines[..<state.start]
                return Array(ordered.suffix(max(0, count)))
            }
        }

        /// Every line from now on.
        func follow() -> AsyncStream<String> {
            let (stream, continuation) = AsyncStream.makeStream(
                of: String.self, bufferingPolicy: .bufferingNewest(LogBuffer.waitingCount))
            let number = state.withLock { state in
                defer { state.nextNumber += 1 }
                state.listeners[state.nextNumber] = continuation
                return state.nextNumber
            }
            continuation.onTermination = { [weak self] _ in self?.state.withLock { $0.listeners[number] = nil } }
            return stream
        }
    }
#endif
