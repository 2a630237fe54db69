package import DWebBase
import DequeModule
import HeapModule

/// How a request is sent; spec 20 section 3.
package struct RPCRequestOptions: Sendable {
    /// Repetitions after the first attempt; 0 for a single attempt.
    package var retries = RPCConstants.retryCount
    /// The socket to send from; nil for ``RPCNode/defaultSocket`` at the time of sending.
    package var socket: SocketID?
    /// A group to cancel it with.
    package var session: RPCSessionID?
    /// Whether it goes out even while the congestion window is full.
    package var isForced = false
    /// The time to live to send it with; 0 means the socket's own.
    package var timeToLive: UInt8 = 0
    /// Whether it waits for its turn among all paced ones; see ``RPCConstants/pacedRate``.
    package var isPaced = false
    /// Whether it waits in front of the other paced ones: what it carries will not stay good for long.
    package var isHurried = false
    /// How long each attempt waits.
    package var timeout = RPCConstants.requestTimeout

    /// The usual options.
    package init() {}
}

/// Who waits for a request.
enum RequestOwner {
    case application
    case query(QueryID)
    case commit(QueryID)
    case downHint
    case check(Bytes32, seenTick: Int)
    case swap(old: Bytes32, seenTick: Int, new: RPCContact, newTo: SocketAddress)
    case bootstrapNATTest
    case firewallProbe
    case bootstrapPing(index: Int)
}

/// A request without a result. An object, because it is large, and tables have room for more of them than there are.
final class PendingRequest {
    let id: RequestID
    let destination: RPCContact
    let owner: RequestOwner
    let options: RPCRequestOptions
    let startTime: MonotonicTime
    /// Kept until the first sending, which decides the socket and therefore whether an id is included.
    var message: RPCRequest?
    var bytes: [UInt8] = []
    var socket: SocketID?
    var sentCount = 0
    var deadline: MonotonicTime?
    var isSlow = false

    init(
        id: RequestID, destination: RPCContact, owner: RequestOwner, options: RPCRequestOptions,
        startTime: MonotonicTime, message: RPCRequest
    ) {
        self.id = id
        self.destination = destination
        self.owner = owner
        self.options = options
        self.startTime = startTime
        self.message = message
    }
}

/// A request that failed before it was sent; its owner learns it after the current call.
struct DeferredFailure {
    let id: RequestID
    let owner: RequestOwner
    let destination: RPCContact
    let failure: RPCFailure
}

/// Something to do at a moment; it is stale if what it names is gone or has another deadline.
struct RPCTimer: Comparable {
    enum Kind: Equatable {
        case request(RequestID)
        case delayedReply(UInt64)
        case hostResolution(UInt64)
    }

    let deadline: MonotonicTime
    let sequence: UInt64
    let kind: Kind

    static func < (left: RPCTimer, right: RPCTimer) -> Bool {
        (left.deadline, left.sequence) < (right.deadline, right.sequence)
    }
}

extension RPCNode {
    // MARK: For the upper layer

    /// Asks `destination`; the answer comes as ``RPCOutput/requestFinished(_:_:)``.
    ///
    /// `destination.id` is only used to drop the node from the table if it does not answer.
    @discardableResult
    package func request(
        _ command: RPCCommand, target: Bytes32? = nil, token: Bytes32? = nil, value: [UInt8]? = nil,
        to destination: RPCContact, options: RPCRequestOptions = RPCRequestOptions(), now: MonotonicTime
    ) -> RequestID {
        defer { settle(now: now) }
        return startRequest(
            command, target: target, token: token, value: value, to: destination, options: options,
            owner: .application, now: now)
    }

    /// Asks whether `address` is there, with `paddingByteCount` bytes of padding.
    @discardableResult
    package func ping(
        _ address: SocketAddress, paddingByteCount: Int = 0, options: RPCRequestOptions = RPCRequestOptions(),
        now: MonotonicTime
    ) -> RequestID {
        request(
            .ping, value: paddingByteCount > 0 ? [UInt8](repeating: 0, count: paddingByteCount) : nil,
            to: RPCContact(address: address), options: options, now: now)
    }

    /// Asks `address` to answer after `delayMilliseconds`, at most 10000; each attempt waits one second longer than
    /// that.
    @discardableResult
    package func delayedPing(
        _ address: SocketAddress, delayMilliseconds: UInt32, options: RPCRequestOptions = RPCRequestOptions(),
        now: MonotonicTime
    ) -> RequestID {
        precondition(
            delayMilliseconds <= RPCConstants.delayedPingLimitMilliseconds, "nodes delay an answer by 10 s at most")
        var writer = ByteWriter(capacity: 4)
        writer.writeUInt32(delayMilliseconds)
        var options = options
        options.timeout = .milliseconds(Int(delayMilliseconds) + 1000)
        return request(
            .delayedPing, value: writer.bytes, to: RPCContact(address: address), options: options, now: now)
    }

    /// A new group of requests.
    package func makeSession() -> RPCSessionID { RPCSessionID(sequence: makeSequence()) }

    /// Cancels the request; it finishes as ``RPCFailure/destroyed``. Does nothing if it has a result.
    package func cancel(_ id: RequestID, now: MonotonicTime) {
        guard requests[id.transaction]?.id == id else { return }
        finish(id.transaction, .failure(.destroyed), now: now)
        settle(now: now)
    }

    /// Cancels every request of the group.
    package func cancel(_ session: RPCSessionID, now: MonotonicTime) {
        cancelRequests(now: now) { $0.options.session == session }
        settle(now: now)
    }

    // MARK: Engine

    func makeSequence() -> UInt64 {
        defer { nextSequence += 1 }
        return nextSequence
    }

    @discardableResult
    func startRequest(
        _ command: RPCCommand, target: Bytes32? = nil, token: Bytes32? = nil, value: [UInt8]? = nil,
        to destination: RPCContact, options: RPCRequestOptions = RPCRequestOptions(), owner: RequestOwner,
        now: MonotonicTime
    ) -> RequestID {
        var destination = destination
        destination.address = destination.address.unmapped
        if let failure = startFailure(to: destination.address) {
            let id = RequestID(sequence: makeSequence(), transaction: 0)
            deferredFailures.append(
                DeferredFailure(id: id, owner: owner, destination: destination, failure: failure))
            return id
        }
        while requests[nextTransaction] != nil { nextTransaction &+= 1 }
        let transaction = nextTransaction
        nextTransaction &+= 1
        let id = RequestID(sequence: makeSequence(), transaction: transaction)
        requests[transaction] = PendingRequest(
            id: id, destination: destination, owner: owner, options: options, startTime: now,
            message: RPCRequest(
                transaction: transaction, to: destination.address, token: token, command: command, target: target,
                value: value))
        statistics.requestCount += 1
        send(transaction, now: now)
        return id
    }

    private func startFailure(to address: SocketAddress) -> RPCFailure? {
        switch phase {
        case .suspended: return .suspended
        case .closed: return .destroyed
        case .idle, .running: break
        }
        guard address.family == .ipv4, address.port != 0 else { return .invalidDestination }
        return requests.count >= RPCLimits.requests ? .tooManyRequests : nil
    }

    /// Sends or repeats, or lets it wait for its turn.
    private func send(_ transaction: UInt16, now: MonotonicTime) {
        guard let request = requests[transaction] else { return }
        let isPaced = request.options.isPaced || (pacer.isBusy(now: now) && isUpkeep(request))
        // In the queue of paced requests it may as well wait for the congestion to end.
        if phase == .running, isPaced, !pacedRequests.isEmpty {
            enqueuePaced(request)
        } else if phase != .running || !request.options.isForced && congestionIsFull(now: now) {
            request.deadline = nil
            waitingRequests.append(request.id)
        } else if isPaced {
            if pacer.take(now: now) { transmit(transaction, now: now) } else { enqueuePaced(request) }
        } else if urgentRequests.isEmpty, pacer.takeUrgent(now: now) {
            transmit(transaction, now: now)
        } else {
            request.deadline = nil
            urgentRequests.append(request.id)
        }
    }

    private func enqueuePaced(_ request: PendingRequest) {
        request.deadline = nil
        let isFirst = request.options.isHurried || !request.options.isPaced
        if isFirst { pacedRequests.prepend(request.id) } else { pacedRequests.append(request.id) }
    }

    /// Whether the request is the node's own upkeep, which nobody waits for.
    private func isUpkeep(_ request: PendingRequest) -> Bool {
        switch request.owner {
        case .downHint, .check, .swap:
            true
        case .query(let id):
            if case .refresh? = queries[id.sequence]?.owner { true } else { false }
        case .application, .commit, .bootstrapNATTest, .firewallProbe, .bootstrapPing:
            false
        }
    }

    /// Sends requests that waited for the pace and whose turn has come.
    func sendPacedRequests(now: MonotonicTime) {
        guard phase == .running else { return }
        while let request = firstWaiting(in: &urgentRequests), mayFollow(request, now: now), pacer.takeUrgent(now: now)
        {
            urgentRequests.removeFirst()
            transmit(request.id.transaction, now: now)
        }
        while let request = firstWaiting(in: &pacedRequests), mayFollow(request, now: now), pacer.take(now: now) {
            pacedRequests.removeFirst()
            transmit(request.id.transaction, now: now)
        }
    }

    private func mayFollow(_ request: PendingRequest, now: MonotonicTime) -> Bool {
        request.options.isForced || !congestionIsFull(now: now)
    }

    /// The first request of `queue` that was not cancelled meanwhile.
    private func firstWaiting(in queue: inout Deque<RequestID>) -> PendingRequest? {
        while let id = queue.first {
            if let request = requests[id.transaction], request.id == id, request.deadline == nil { return request }
            queue.removeFirst()
        }
        return nil
    }

    private func congestionIsFull(now: MonotonicTime) -> Bool {
        rotateCongestion(now: now)
        return congestion.isFull
    }

    /// Rotation happens with use, so that an idle node needs no timer for it. What already waits goes first.
    func rotateCongestion(now: MonotonicTime) {
        if congestion.wake(now: now) { sendWaitingRequests(now: now) }
    }

    private func transmit(_ transaction: UInt16, now: MonotonicTime) {
        let request = requests[transaction]!
        if var message = request.message {
            let socket = request.options.socket ?? defaultSocket
            message.id = includedID(on: socket)
            request.socket = socket
            request.bytes = message.encoded()
            request.message = nil
        }
        let deadline = now + request.options.timeout
        request.sentCount += 1
        request.deadline = deadline
        congestion.noteSent()
        statistics.sentRequestCount += 1
        timers.insert(RPCTimer(deadline: deadline, sequence: makeSequence(), kind: .request(request.id)))
        outputs.append(
            .send(
                OutgoingDatagram(
                    socket: request.socket ?? defaultSocket, destination: request.destination.address,
                    bytes: request.bytes, timeToLive: request.options.timeToLive)))
    }

    /// The id to show in messages sent from `socket`.
    func includedID(on socket: SocketID) -> Bytes32? { socket == .server ? id : nil }

    func sendWaitingRequests(now: MonotonicTime) {
        guard phase == .running else { return }
        while !congestion.isFull, let id = waitingRequests.popFirst() {
            guard let request = requests[id.transaction], request.id == id, request.deadline == nil else { continue }
            send(id.transaction, now: now)
        }
    }

    func handleResponse(
        _ response: RPCResponse, from source: SocketAddress, on socket: SocketID, now: MonotonicTime
    ) {
        guard let request = requests[response.transaction], request.destination.address == source,
            request.sentCount > 0
        else {
            statistics.unexpectedResponseCount += 1
            return
        }
        let contact = verified(response.id, at: source)
        let reply = RPCReply(
            from: contact, to: response.to, token: response.token, closerNodes: response.closerNodes,
            error: response.error, value: response.value, socket: socket,
            roundTripTime: now - request.startTime)
        statistics.responseCount += 1
        silenceCount = 0
        learn(contact, seenAs: response.to, isExternal: socket != defaultSocket, now: now)
        finish(response.transaction, .success(reply), now: now)
    }

    /// The sender of a message, with its id if that belongs to its address; spec 20 section 2.4.
    func verified(_ id: Bytes32?, at address: SocketAddress) -> RPCContact {
        guard let id, id == NodeID.of(address) else { return RPCContact(address: address) }
        return RPCContact(address: address, id: id)
    }

    /// Removes the request and tells its owner.
    func finish(_ transaction: UInt16, _ result: Result<RPCReply, RPCFailure>, now: MonotonicTime) {
        guard let request = requests.removeValue(forKey: transaction) else { return }
        rotateCongestion(now: now)
        if request.sentCount > 0 { congestion.noteFinished() }
        if case .failure(.timeout) = result {
            statistics.timeoutCount += 1
            silenceCount += 1
            deliver(
                result, of: request.id, to: request.owner, destination: request.destination, wasSlow: request.isSlow,
                now: now)
            if let id = request.destination.id { table.remove(id) }
        } else {
            deliver(
                result, of: request.id, to: request.owner, destination: request.destination, wasSlow: request.isSlow,
                now: now)
        }
    }

    private func deliver(
        _ result: Result<RPCReply, RPCFailure>, of id: RequestID, to owner: RequestOwner, destination: RPCContact,
        wasSlow: Bool, now: MonotonicTime
    ) {
        switch owner {
        case .application:
            outputs.append(.requestFinished(id, result))
        case .query(let query):
            queryRequestFinished(query, result, destination: destination, wasSlow: wasSlow, now: now)
        case .commit(let query):
            let isSuccess = if case .success = result { true } else { false }
            noteCommit(query, succeeded: isSuccess, now: now)
        case .downHint:
            break
        case .check(let node, let seenTick):
            checkCount -= 1
            checkFinished(node, seenTick: seenTick, result)
        case .swap(let old, let seenTick, let new, let newTo):
            swapCount -= 1
            swapFinished(old: old, seenTick: seenTick, new: new, newTo: newTo, result, now: now)
        case .bootstrapNATTest:
            if case .success = result { natTestPassed(now: now) }
        case .firewallProbe:
            firewallProbeFinished(result, now: now)
        case .bootstrapPing(let index):
            bootstrapPingFinished(index, destination: destination, result, now: now)
        }
    }

    /// Delivers failures that happened while something else was going on.
    func settle(now: MonotonicTime) {
        while let deferred = deferredFailures.popFirst() {
            deliver(
                .failure(deferred.failure), of: deferred.id, to: deferred.owner, destination: deferred.destination,
                wasSlow: false, now: now)
        }
    }

    func cancelRequests(
        _ failure: RPCFailure = .destroyed, now: MonotonicTime, where matches: (PendingRequest) -> Bool
    ) {
        // Sorted, because the order of a dictionary is not reproducible.
        let cancelled = requests.values.lazy.filter(matches).map(\.id).sorted()
        for id in cancelled where requests[id.transaction]?.id == id {
            finish(id.transaction, .failure(failure), now: now)
        }
    }

    func abortEverything(_ failure: RPCFailure, query: RPCQueryResult.Failure, now: MonotonicTime) {
        for sequence in queries.keys.sorted() { endQuery(QueryID(sequence: sequence), failure: query, now: now) }
        networkUpdate = nil
        resolution = nil
        cancelRequests(failure, now: now) { _ in true }
        waitingRequests.removeAll()
        pacedRequests.removeAll()
        urgentRequests.removeAll()
        delayedReplies.removeAll()
        timers = []
        settle(now: now)
    }

    // MARK: Timers

    func fireTimers(now: MonotonicTime) {
        while let timer = timers.min, timer.deadline <= now {
            timers.removeMin()
            guard isCurrent(timer) else { continue }
            switch timer.kind {
            case .request(let id): requestTimedOut(id.transaction, now: now)
            case .delayedReply(let sequence): sendDelayedReply(sequence)
            case .hostResolution: resolutionTimedOut(now: now)
            }
        }
    }

    func removeStaleTimers() {
        while let timer = timers.min, !isCurrent(timer) { timers.removeMin() }
    }

    private func isCurrent(_ timer: RPCTimer) -> Bool {
        switch timer.kind {
        case .request(let id):
            guard let request = requests[id.transaction] else { return false }
            return request.id == id && request.deadline == timer.deadline
        case .delayedReply(let sequence):
            return delayedReplies[sequence] != nil
        case .hostResolution(let sequence):
            return resolution?.sequence == sequence
        }
    }

    private func requestTimedOut(_ transaction: UInt16, now: MonotonicTime) {
        guard let request = requests[transaction] else { return }
        if !request.isSlow {
            request.isSlow = true
            if case .query(let query) = request.owner { queryRequestBecameSlow(query, now: now) }
        }
        // The query may have ended over this and taken its requests with it.
        guard requests[transaction]?.id == request.id else { return }
        if request.sentCount > request.options.retries {
            finish(transaction, .failure(.timeout), now: now)
        } else {
            statistics.retryCount += 1
            send(transaction, now: now)
        }
    }
}
