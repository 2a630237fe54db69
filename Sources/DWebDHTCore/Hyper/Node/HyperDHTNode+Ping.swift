package import DWebBase

extension HyperDHTNode {
    /// Asks one node for a sign of life; reports ``HyperOperationEvent/pong(_:)`` if it comes.
    ///
    /// - Parameters:
    ///   - socket: The socket to ask from; nil for the node's own choice.
    ///   - retryCount: Repetitions after the first attempt, each of which waits a second.
    package func ping(
        _ address: SocketAddress, from socket: SocketID? = nil, retryCount: Int = RPCConstants.retryCount,
        now: MonotonicTime
    ) -> OperationID {
        let id = OperationID(sequence: makeSequence())
        operations[id] = HyperOperation(kind: .ping, target: .zero)
        if operations.count > HyperLimits.operationCount {
            finish(id, error: .tooManyOperations)
        } else {
            request(
                .ping(address, socket: socket, retryCount: retryCount), tag: .ping, owner: .operation(id), now: now)
            settle(now: now)
        }
        return id
    }

    /// Tests again whether strangers can reach the node; see ``RPCNode/testReachability(now:)``.
    package func testReachability(now: MonotonicTime) {
        rpc.testReachability(now: now)
        settle(now: now)
    }

    func pingFinished(_ id: OperationID, _ reply: RPCReply?) {
        guard operations[id] != nil else { return }
        if let reply {
            operations[id]!.result.answerCount = 1
            outputs.append(.operation(id, .pong(reply)))
        }
        finish(id, error: reply == nil ? .tooFewNodes : nil)
    }

    func cancelRequests(of id: OperationID, now: MonotonicTime) {
        let requests = requestOwners.filter { $0.value.owner == .operation(id) }.keys.sorted()
        for request in requests {
            requestOwners[request] = nil
            rpc.cancel(request, now: now)
        }
        finish(id, error: .cancelled)
        settle(now: now)
    }
}
