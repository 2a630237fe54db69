#if Daemon
    /// A request to end that one task waits for and that anybody makes.
    final class StopRequest: Sendable {
        private let stream: AsyncStream<Void>
        private let continuation: AsyncStream<Void>.Continuation

        init() {
            (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        }

        /// Asks to end. Callable more than once.
        func request() { continuation.finish() }

        /// Waits for the request, or for the cancellation of the task.
        func wait() async { for await _ in stream {} }
    }
#endif
