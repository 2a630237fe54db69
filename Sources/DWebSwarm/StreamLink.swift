import DWebBase
import DWebDHTCore
import DWebPorts
import DWebStreamCore
import DWebWireCore
import DequeModule
import Synchronization

/// What a node keeps per connected stream: the stream, who waits for it, and what passed.
///
/// Unchecked because it is confined to the loop: only ``DHTNode``'s isolated methods touch what can change, and a handle
/// merely carries the reference between them.
final class StreamLink: @unchecked Sendable {
    /// A datagram reader that does not keep up loses the oldest.
    static let datagramLimit = 256

    let stream: UDXStream
    let handshake: HandshakeResult
    /// The punch socket that belongs to this stream alone, if it runs over one.
    var ownSocket: DWebDHTCore.SocketID?
    /// How the stream's path came about.
    var kind: HyperPathKind
    /// What is known of the blind relay that the stream runs through, or is about to leave.
    var relay: LinkRelay?
    /// Bytes that the owner took and gave; the first 59 in each direction are the secret stream's header.
    var readByteCount = 0
    var writtenByteCount = 0
    var reader: Promise<Result<[UInt8]?, PortError>>?
    var writer: Promise<PortError?>?
    var datagramReader: Promise<[UInt8]?>?
    var datagrams = Deque<[UInt8]>()
    var closeWaiters: [Promise<PortError?>] = []
    /// Bytes that were taken for a reader which was cancelled at the same moment.
    private var returned: [UInt8] = []
    var closeError: PortError?
    // The one thing that is read off the loop: an abort of what is closed needs no loop, which may be gone by then.
    private let closedFlag = Atomic(false)
    var isClosed: Bool { closedFlag.load(ordering: .acquiring) }
    /// Called once, on the loop, when the stream is gone.
    var onClose: (() -> Void)?
    /// Called on the loop, instead of a waiting reader, when bytes or the end arrived.
    var onReadable: (() -> Void)?
    /// Called on the loop when it should be found out soon whether the peer is still there.
    var onKeepAliveNeeded: (() -> Void)?

    init(
        stream: UDXStream, handshake: HandshakeResult, kind: HyperPathKind, ownSocket: DWebDHTCore.SocketID? = nil
    ) {
        self.stream = stream
        self.kind = kind
        self.ownSocket = ownSocket
        self.handshake = handshake
    }

    /// Whether data beyond the secret stream's header went both ways; spec 30 section G.4.
    var isEstablished: Bool {
        readByteCount > StreamLink.headerByteCount && writtenByteCount > StreamLink.headerByteCount
    }

    private static let headerByteCount = 59

    /// The first bytes that wait; empty if there are none.
    func takeBytes() -> [UInt8] {
        var bytes = stream.read()
        if !returned.isEmpty {
            bytes = returned + bytes
            returned = []
        }
        readByteCount += bytes.count
        return bytes
    }

    /// Hands what arrived to whoever reads.
    func serveReader() {
        if let onReadable { return onReadable() }
        guard let waiting = reader else { return }
        let bytes = takeBytes()
        if !bytes.isEmpty {
            reader = nil
            if !waiting.resolve(.success(bytes)) {
                returned = bytes
                readByteCount -= bytes.count
            }
        } else if let end = readEnd {
            reader = nil
            waiting.resolve(end)
        }
    }

    /// How reading ends when nothing waits: nil while more may come.
    var readEnd: Result<[UInt8]?, PortError>? {
        if stream.isAtEnd { return .success(nil) }
        guard isClosed else { return nil }
        return .failure(closeError ?? PortError(.closed, "The connection is closed"))
    }

    /// Ends every wait.
    func close(_ reason: UDXCloseReason) {
        guard !closedFlag.exchange(true, ordering: .acquiringAndReleasing) else { return }
        switch reason {
        case .finished, .destroyed: closeError = nil
        case .reset: closeError = PortError(.connectionReset, "The peer closed the connection")
        case .timedOut: closeError = PortError(.timedOut, "The peer no longer answers")
        }
        serveReader()
        writer?.resolve(closeError ?? PortError(.closed, "The connection is closed"))
        writer = nil
        datagramReader?.resolve(nil)
        datagramReader = nil
        for waiter in closeWaiters { waiter.resolve(closeError) }
        closeWaiters = []
        let notify = onClose
        onClose = nil
        onReadable = nil
        notify?()
    }
}
