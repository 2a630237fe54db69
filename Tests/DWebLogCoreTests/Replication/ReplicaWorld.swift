import DWebBase
import DWebLogCore
import Testing

/// Replicas joined by links with latency, in virtual time. Messages travel encoded and stay in order per direction.
final class ReplicaWorld {
    struct Link {
        var left: ReplicaShell
        var right: ReplicaShell
        var latency: Duration
        var isOpen = true
        /// While true, what is sent waits.
        var isHeld = false
        var heldFrames: [Frame] = []
    }

    struct Frame {
        var time: MonotonicTime
        var sequence: Int
        var link: Int
        var toRight: Bool
        var type: UInt64
        var payload: [UInt8]
    }

    private(set) var now = MonotonicTime.zero
    private(set) var shells: [ReplicaShell] = []
    var links: [Link] = []
    private var frames: [Frame] = []
    private var sequence = 0
    /// Every message that was sent: by the name of the sender.
    var sent: [(from: String, message: LogMessage)] = []
    var recordsMessages = true
    var messageCount = 0
    var byteCount = 0

    init(_ shells: ReplicaShell...) { for shell in shells { add(shell) } }

    func add(_ shell: ReplicaShell) {
        shells.append(shell)
        shell.now = now
        shell.sendMessage = { [unowned self, unowned shell] peer, message in send(message, from: shell, to: peer) }
    }

    // A link's number plus one is the peer's number on both sides.
    private func link(_ peer: ReplicationPeerID) -> Int { Int(peer.number) - 1 }

    @discardableResult
    func connect(
        _ left: ReplicaShell, _ right: ReplicaShell, latency: Duration = .milliseconds(1), isUDX: Bool = false
    ) -> Int {
        let number = links.count
        links.append(Link(left: left, right: right, latency: latency))
        let id = ReplicationPeerID(UInt64(number + 1))
        for shell in [left, right] {
            shell.machine.addPeer(id, transport: PeerTransport(isUDX: isUDX, roundTripTime: latency * 2), now: now)
            shell.machine.peerOpened(id, supportsSeeks: true, now: now)
            shell.pump()
        }
        return number
    }

    func disconnect(_ number: Int) {
        guard links[number].isOpen else { return }
        links[number].isOpen = false
        frames.removeAll { $0.link == number }
        let id = ReplicationPeerID(UInt64(number + 1))
        for shell in [links[number].left, links[number].right] {
            shell.machine.removePeer(id, now: now)
            shell.pump()
        }
    }

    func setHeld(_ number: Int, _ isHeld: Bool) {
        links[number].isHeld = isHeld
        guard !isHeld else { return }
        let held = links[number].heldFrames
        links[number].heldFrames = []
        for var frame in held {
            frame.time = now + links[number].latency
            insert(frame)
        }
    }

    private func send(_ message: LogMessage, from shell: ReplicaShell, to peer: ReplicationPeerID) {
        let number = link(peer)
        guard links[number].isOpen else { return }
        if recordsMessages { sent.append((shell.name, message)) }
        let payload = message.encoded
        messageCount += 1
        byteCount += payload.count
        let frame = Frame(
            time: now + links[number].latency, sequence: sequence, link: number,
            toRight: shell === links[number].left, type: message.type, payload: payload)
        sequence += 1
        if links[number].isHeld { links[number].heldFrames.append(frame) } else { insert(frame) }
    }

    private func insert(_ frame: Frame) {
        var low = 0
        var high = frames.count
        while low < high {
            let middle = (low + high) / 2
            if frames[middle].time > frame.time { high = middle } else { low = middle + 1 }
        }
        frames.insert(frame, at: low)
    }

    /// Lets time pass until nothing happens any more, or until `limit`.
    func run(until limit: MonotonicTime = .distantFuture, maximumSteps: Int = 200_000) {
        for shell in shells { settle(shell) }
        var steps = 0
        while true {
            steps += 1
            guard steps < maximumSteps else {
                Issue.record("the replicas never come to rest")
                return
            }
            let deadline = shells.compactMap { $0.machine.nextDeadline }.min()
            guard let next = [frames.first?.time, deadline].compactMap(\.self).min(), next <= limit else { break }
            now = max(now, next)
            for shell in shells { shell.now = now }
            // Everything of one moment is taken as one batch, as from one datagram.
            var touched: [ReplicaShell] = []
            while let first = frames.first, first.time <= now {
                frames.removeFirst()
                deliver(first, &touched)
            }
            for shell in shells where shell.machine.nextDeadline.map({ $0 <= now }) ?? false {
                shell.machine.wake(now: now)
                if !touched.contains(where: { $0 === shell }) { touched.append(shell) }
            }
            for shell in touched { settle(shell) }
        }
        if limit != .distantFuture {
            now = max(now, limit)
            for shell in shells { shell.now = now }
        }
    }

    func run(for duration: Duration) { run(until: now + duration) }

    private func settle(_ shell: ReplicaShell) {
        shell.pump()
        for peer in shell.closedChannels {
            let number = link(peer)
            shell.closedChannels.removeAll { $0 == peer }
            guard links[number].isOpen else { continue }
            links[number].isOpen = false
            frames.removeAll { $0.link == number && $0.toRight == (shell === links[number].right) }
            // The other side first gets what was sent before.
            for frame in frames.filter({ $0.link == number }) {
                var touched: [ReplicaShell] = []; deliver(frame, &touched, isClosing: true)
            }
            frames.removeAll { $0.link == number }
            let other = shell === links[number].left ? links[number].right : links[number].left
            other.machine.peerClosedChannel(peer, now: now)
            settle(other)
        }
    }

    private func deliver(_ frame: Frame, _ touched: inout [ReplicaShell], isClosing: Bool = false) {
        let link = links[frame.link]
        guard link.isOpen || isClosing else { return }
        let shell = frame.toRight ? link.right : link.left
        var reader = ByteReader(frame.payload)
        do throws(CodecError) {
            guard let message = try LogMessage.decode(type: frame.type, from: &reader) else {
                Issue.record("an unknown message was sent")
                return
            }
            #expect(reader.isAtEnd)
            shell.machine.handle(message, from: ReplicationPeerID(UInt64(frame.link + 1)), now: now)
        } catch {
            Issue.record("a message was sent that cannot be decoded")
        }
        if !touched.contains(where: { $0 === shell }) { touched.append(shell) }
    }

    /// The messages of a kind that a replica sent.
    func messages<Value>(from name: String, _ select: (LogMessage) -> Value?) -> [Value] {
        sent.filter { $0.from == name }.compactMap { select($0.message) }
    }

    func requests(from name: String) -> [RequestMessage] {
        messages(from: name) { if case .request(let request) = $0 { request } else { nil } }
    }
}
