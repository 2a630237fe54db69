package import DWebLogCore
package import DWebWireCore
import Synchronization

/// What the logs of one connection want sent, in order, until the connection's writer takes it.
///
/// All logs that replicate over a connection share one outbox. It says when it is full, so that logs stop producing
/// answers, and ends the connection of a peer that does not read at all.
package final class PeerOutbox: Sendable {
    /// One thing to do on the connection.
    package enum Item: Sendable {
        /// Send a message on a channel.
        case message(ChannelID, LogMessage)
        /// Close a channel.
        case closeChannel(ChannelID)
        /// Open a channel for this log again.
        case reopen(LogEngine)
        /// A log needs a task to go on with its pending work.
        case work(LogEngine)
        /// Send what the connection's multiplexer has ready.
        case flush
        /// End the connection.
        case fail(DDatabaseError)
    }

    /// While at least this many bytes wait or are being written, logs hold back answers.
    package static let fullByteCount = 1 << 20
    /// Once this many bytes wait, the peer counts as one that does not read, and the connection ends.
    package static let overflowByteCount = 64 << 20
    // What a message costs beyond its payload, so that many small ones count as well.
    private static let overheadByteCount = 64

    private struct State {
        var items: [Item] = []
        var waitingByteCount = 0
        var writingByteCount = 0
        var reader: CheckedContinuation<Void, Never>?
        var isClosed = false
        var wasFull = false
    }

    private let state = Mutex(State())

    /// An empty outbox.
    package init() {}

    /// Whether logs should hold back answers.
    package var isFull: Bool {
        state.withLock { state in
            let isFull = state.waitingByteCount + state.writingByteCount >= PeerOutbox.fullByteCount
            if isFull { state.wasFull = true }
            return isFull
        }
    }

    /// About as many bytes as the message takes on the wire.
    package static func byteCount(of message: LogMessage) -> Int {
        switch message {
        case .data(let data):
            if data.hasOnlyBlock {
                guard let block = data.block else { return overheadByteCount }
                return overheadByteCount + block.value.count + 40 * block.nodes.count
            }
            let nodeCount =
                (data.block?.nodes.count ?? 0) + (data.hash?.nodes.count ?? 0) + (data.upgrade?.nodes.count ?? 0)
                + (data.upgrade?.additionalNodes.count ?? 0)
            return overheadByteCount + (data.block?.value.count ?? 0) + 40 * nodeCount
        case .bitfield(let bitfield): return overheadByteCount + 4 * bitfield.words.count
        case .extensionMessage(let message): return overheadByteCount + message.message.count
        case .sync, .request, .cancel, .noData, .want, .unwant, .range: return overheadByteCount
        }
    }

    /// Adds an item; dropped once the outbox is closed.
    package func push(_ item: Item) {
        let reader = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard !state.isClosed else { return nil }
            if case .message(_, let message) = item {
                state.waitingByteCount += PeerOutbox.byteCount(of: message)
                if state.waitingByteCount > PeerOutbox.overflowByteCount {
                    state.items = [.fail(DDatabaseError(.connectionLost, "The peer does not read what it is sent"))]
                    state.waitingByteCount = 0
                    state.isClosed = true
                } else {
                    state.items.append(item)
                }
            } else {
                state.items.append(item)
            }
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume()
    }

    /// Waits for items and takes all of them; nil once the outbox is closed and empty, or the task is cancelled.
    ///
    /// What was taken counts as being written until ``finishWriting()``. One reader at a time.
    package func next() async -> [Item]? {
        while true {
            let (items, isOver) = state.withLock { state -> ([Item], Bool) in
                defer {
                    state.items = []
                    state.writingByteCount += state.waitingByteCount
                    state.waitingByteCount = 0
                }
                return (state.items, state.isClosed)
            }
            if !items.isEmpty { return items }
            if isOver || Task.isCancelled { return nil }
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    let isReady = state.withLock { state -> Bool in
                        if !state.items.isEmpty || state.isClosed || Task.isCancelled { return true }
                        state.reader = continuation
                        return false
                    }
                    if isReady { continuation.resume() }
                }
            } onCancel: {
                let reader = state.withLock { state -> CheckedContinuation<Void, Never>? in
                    defer { state.reader = nil }
                    return state.reader
                }
                reader?.resume()
            }
        }
    }

    /// Says that what ``next()`` returned is with the transport; true if logs held back answers and may go on.
    package func finishWriting() -> Bool {
        state.withLock { state in
            state.writingByteCount = 0
            guard state.wasFull, state.waitingByteCount < PeerOutbox.fullByteCount else { return false }
            state.wasFull = false
            return true
        }
    }

    /// Ends the outbox: what waits is dropped, the reader gets nil.
    package func close() {
        let reader = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.isClosed = true
            state.items = []
            state.waitingByteCount = 0
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume()
    }
}
