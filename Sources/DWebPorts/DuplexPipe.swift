import Synchronization

/// Two joined streams in memory: what one writes, the other reads. For replication inside one process and for tests.
public final class DuplexPipe: DuplexStream {
    /// One direction: a bounded queue of chunks.
    private final class Lane: Sendable {
        typealias Reader = CheckedContinuation<Result<[UInt8]?, PortError>, Never>
        typealias Writer = CheckedContinuation<Result<Void, PortError>, Never>

        private struct State {
            var chunks: [[UInt8]] = []
            var byteCount = 0
            var isFinished = false
            var failure: PortError?
            var reader: Reader?
            var writer: Writer?

            /// Chunks that wait are one read, as a socket would have it, but what is large is not copied for that.
            mutating func takeChunk() -> [UInt8] {
                var count = chunks[0].count
                var end = 1
                while end < chunks.count, count + chunks[end].count <= Lane.readByteCount {
                    count += chunks[end].count
                    end += 1
                }
                let chunk = end == 1 ? chunks[0] : chunks[..<end].flatMap { $0 }
                chunks.removeFirst(end)
                byteCount -= count
                return chunk
            }
        }

        private let state = Mutex(State())
        private let byteLimit: Int
        private static let readByteCount = 64 << 10

        init(byteLimit: Int) { self.byteLimit = byteLimit }

        func read() async throws(PortError) -> [UInt8]? {
            let result = await withTaskCancellationHandler {
                await withCheckedContinuation { (reader: Reader) in
                    let (immediate, writer): (Result<[UInt8]?, PortError>?, Writer?) = state.withLock { state in
                        if let failure = state.failure { return (.failure(failure), nil) }
                        if !state.chunks.isEmpty {
                            let chunk = state.takeChunk()
                            guard state.byteCount < byteLimit else { return (.success(chunk), nil) }
                            defer { state.writer = nil }
                            return (.success(chunk), state.writer)
                        }
                        if state.isFinished { return (.success(nil), nil) }
                        precondition(state.reader == nil, "a stream has one reader at a time")
                        state.reader = reader
                        return (nil, nil)
                    }
                    writer?.resume(returning: .success(()))
                    if let immediate { reader.resume(returning: immediate) }
                }
            } onCancel: {
                fail(PortError(.cancelled, "The read was cancelled"))
            }
            return try result.get()
        }

        func write(_ chunk: [UInt8]) async throws(PortError) {
            guard !chunk.isEmpty else { return }
            let result = await withTaskCancellationHandler {
                await withCheckedContinuation { (writer: Writer) in
                    let (immediate, reader): (Result<Void, PortError>?, Reader?) = state.withLock { state in
                        if let failure = state.failure { return (.failure(failure), nil) }
                        if state.isFinished {
                            return (.failure(PortError(.closed, "The stream was ended by this side")), nil)
                        }
                        if let reader = state.reader {
                            state.reader = nil
                            return (.success(()), reader)
                        }
                        state.chunks.append(chunk)
                        state.byteCount += chunk.count
                        if state.byteCount < byteLimit { return (.success(()), nil) }
                        precondition(state.writer == nil, "a stream has one writer at a time")
                        state.writer = writer
                        return (nil, nil)
                    }
                    reader?.resume(returning: .success(chunk))
                    if let immediate { writer.resume(returning: immediate) }
                }
            } onCancel: {
                fail(PortError(.cancelled, "The write was cancelled"))
            }
            try result.get()
        }

        func finish() {
            let reader = state.withLock { state -> Reader? in
                state.isFinished = true
                guard state.chunks.isEmpty else { return nil }
                defer { state.reader = nil }
                return state.reader
            }
            reader?.resume(returning: .success(nil))
        }

        func fail(_ failure: PortError) {
            let (reader, writer) = state.withLock { state -> (Reader?, Writer?) in
                if state.failure == nil { state.failure = failure }
                defer {
                    state.reader = nil
                    state.writer = nil
                }
                return (state.reader, state.writer)
            }
            reader?.resume(returning: .failure(failure))
            writer?.resume(returning: .failure(failure))
        }
    }

    private let incoming: Lane
    private let outgoing: Lane

    private init(incoming: Lane, outgoing: Lane) {
        self.incoming = incoming
        self.outgoing = outgoing
    }

    /// Two streams, each the other's far end.
    ///
    /// - Parameter byteLimit: How many bytes may wait in one direction before a writer waits.
    public static func makePair(byteLimit: Int = 1 << 20) -> (DuplexPipe, DuplexPipe) {
        let first = Lane(byteLimit: byteLimit)
        let second = Lane(byteLimit: byteLimit)
        return (DuplexPipe(incoming: first, outgoing: second), DuplexPipe(incoming: second, outgoing: first))
    }

    /// The next bytes, nil at the end; see ``DuplexStream/read()``.
    public func read() async throws(PortError) -> [UInt8]? { try await incoming.read() }

    /// Queues bytes and waits while too much is queued; see ``DuplexStream/write(_:)``.
    public func write(_ chunk: [UInt8]) async throws(PortError) { try await outgoing.write(chunk) }

    /// Ends the writable side; see ``DuplexStream/finish()``.
    public func finish() async { outgoing.finish() }

    /// Ends both sides at once; see ``DuplexStream/abort()``.
    public func abort() {
        let reset = PortError(.connectionReset, "The other side closed the connection")
        outgoing.fail(reset)
        incoming.fail(reset)
    }
}
