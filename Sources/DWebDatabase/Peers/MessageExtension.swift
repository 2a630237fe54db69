import DWebLogCore
import OrderedCollections

/// Messages of an application between the peers of a log, under a name that both sides know; spec 30 section C.2.
///
/// Messages travel on the log's own channel, in order, beside its blocks. They are neither stored nor passed on.
public struct MessageExtension<Message: Sendable>: Sendable {
    /// The extension's name.
    public let name: String
    let coding: BlockCoding<Message>
    let database: DDatabase

    /// A message and the peer that sent it.
    public struct Received: Sendable {
        /// The sender.
        public let peer: DDatabase.Peer.ID
        /// The message.
        public let message: Message
    }

    /// Messages of peers from a moment on; ends when the session is closed.
    ///
    /// What cannot be decoded is left out. Whoever takes messages too slowly loses the oldest ones.
    public struct Messages: AsyncSequence, Sendable {
        /// What the sequence gives.
        public typealias Element = Received
        /// How the sequence fails.
        public typealias Failure = Never

        let stream: AsyncStream<ExtensionDelivery>
        let coding: BlockCoding<Message>

        /// The one pass over the messages.
        public func makeAsyncIterator() -> AsyncIterator {
            AsyncIterator(base: stream.makeAsyncIterator(), coding: coding)
        }

        /// The one pass over the messages.
        public struct AsyncIterator: AsyncIteratorProtocol {
            var base: AsyncStream<ExtensionDelivery>.Iterator
            let coding: BlockCoding<Message>

            /// The next message; nil once the session is closed or the task is cancelled.
            public mutating func next(isolation actor: isolated (any Actor)? = #isolation) async -> Received? {
                while let delivery = await base.next(isolation: actor) {
                    guard let message = try? coding.decode(delivery.payload) else { continue }
                    return Received(peer: delivery.peer, message: message)
                }
                return nil
            }
        }
    }

    /// The messages that peers send under this name from now on.
    ///
    /// - Parameter limit: The most messages that are kept for a reader who is behind.
    public func messages(bufferingNewest limit: Int = 64) -> Messages {
        Messages(
            stream: database.engine.extensions.listen(
                to: name, bufferingNewest: limit, for: database.hold.session),
            coding: coding)
    }

    /// Sends a message to one peer; a peer that is gone gets nothing.
    ///
    /// - Throws: ``DDatabaseError`` with code `invalidValue` (cannot be encoded), `blockTooLarge` (above 15 MiB) or
    ///   `closed`.
    public func send(_ message: Message, to peer: DDatabase.Peer.ID) async throws(DDatabaseError) {
        try await database.sendExtension(name, try coding.encoded(message), to: peer)
    }

    /// Sends a message to all peers that the log replicates with now.
    ///
    /// - Throws: ``DDatabaseError`` with code `invalidValue` (cannot be encoded), `blockTooLarge` (above 15 MiB) or
    ///   `closed`.
    public func broadcast(_ message: Message) async throws(DDatabaseError) {
        try await database.sendExtension(name, try coding.encoded(message), to: nil)
    }
}

extension DDatabase {
    /// The extension called `name`, with messages in this coding.
    ///
    /// - Throws: ``DDatabaseError`` with code `outOfBounds` for a name that is empty or above 1,024 bytes.
    public nonisolated func messageExtension<Message: Sendable>(
        _ name: String, as coding: BlockCoding<Message>
    ) throws(DDatabaseError) -> MessageExtension<Message> {
        guard !name.isEmpty, name.utf8.count <= ReplicationLimits.extensionNameByteCount else {
            throw DDatabaseError(
                .outOfBounds,
                "The name of an extension has 1 to \(ReplicationLimits.extensionNameByteCount) bytes")
        }
        return MessageExtension(name: name, coding: coding, database: self)
    }

    func sendExtension(_ name: String, _ payload: [UInt8], to peer: Peer.ID?) async throws(DDatabaseError) {
        try checkOpen()
        guard payload.count <= LogLimits.blockByteCount else {
            throw DDatabaseError(
                .blockTooLarge,
                "A message has at most \(LogLimits.blockByteCount) bytes, this one has \(payload.count)")
        }
        try await engine.sendExtension(name, payload, to: peer?.replicationID)
    }
}

extension LogEngine {
    /// Sends an extension message to one peer, or to all.
    func sendExtension(_ name: String, _ payload: [UInt8], to peer: ReplicationPeerID?) throws(DDatabaseError) {
        try checkAlive()
        let peers = peer.map { [$0] } ?? Array(replication.links.keys)
        for id in peers where replication.opened.contains(id) {
            replication.machine.sendExtension(name, payload: payload, to: id)
        }
        drainOutputs()
    }
}
