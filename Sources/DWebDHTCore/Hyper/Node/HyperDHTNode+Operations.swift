package import DWebBase
package import DWebCrypto

extension HyperDHTNode {
    // MARK: Finding

    /// Asks which peers announced themselves under `topic`.
    ///
    /// - Parameter isPaced: Whether its requests wait for their turn among all paced ones, so that any number of
    ///   operations makes no burst.
    package func lookup(_ topic: Bytes32, isPaced: Bool = false, now: MonotonicTime) -> OperationID {
        var operation = HyperOperation(kind: .lookup, target: topic)
        operation.isPaced = isPaced
        return begin(operation, .lookup, now: now)
    }

    /// Announces `keyPair` under `topic`, after looking up who else is there.
    ///
    /// - Parameters:
    ///   - relayAddresses: Nodes that lead to the peer, at most three; see ``relayAddresses(of:)``.
    ///   - isClearing: Whether earlier announcements of the same key are withdrawn first, wherever they are met.
    ///   - bump: Asks for attention: a time in milliseconds since 1970, 0 for none.
    ///   - isAmongMany: Whether a neighbouring topic's search of the last seconds will do instead of one of its own, and
    ///     twelve nodes to store at. With such a search nobody is looked up and nothing is withdrawn.
    ///   - isPaced: See ``lookup(_:isPaced:now:)``.
    package func announce(
        _ topic: Bytes32, as keyPair: KeyPair, relayAddresses: [SocketAddress], isClearing: Bool = false,
        bump: UInt64 = 0, isAmongMany: Bool = false, isPaced: Bool = false, now: MonotonicTime
    ) -> OperationID {
        let relays = Array(relayAddresses.prefix(HyperLimits.relayAddressCount))
        var operation = HyperOperation(
            kind: .announce(keyPair, relayAddresses: relays, bump: bump), target: topic)
        operation.isPaced = isPaced
        if isAmongMany, let nodes = neighborhoods.nodes(near: topic, now: now) {
            return store(operation, at: nodes, now: now)
        }
        operation.withdrawing = isClearing ? keyPair : nil
        operation.sharesSearch = isAmongMany
        return begin(operation, .lookup, commits: true, now: now)
    }

    /// Looks up `topic` and withdraws every announcement of `keyPair` met on the way.
    package func unannounce(
        _ topic: Bytes32, as keyPair: KeyPair, isPaced: Bool = false, now: MonotonicTime
    ) -> OperationID {
        var operation = HyperOperation(kind: .lookup, target: topic)
        operation.withdrawing = keyPair
        operation.isPaced = isPaced
        return begin(operation, .lookup, now: now)
    }

    /// Asks which nodes are closest to `target`.
    package func findNodes(near target: Bytes32, now: MonotonicTime) -> OperationID {
        begin(HyperOperation(kind: .findNodes, target: target), .findNode, now: now)
    }

    /// Asks for the record that the peer itself announced.
    package func findPeer(_ publicKey: PublicKey, now: MonotonicTime) -> OperationID {
        let operation = HyperOperation(
            kind: .findPeer(publicKey), target: Blake2b.hash32(publicKey.bytes))
        return begin(operation, .findPeer, now: now)
    }

    // MARK: Values

    /// Asks for the mutable value of `publicKey` with at least this sequence number; only verified ones are reported.
    package func mutableGet(
        _ publicKey: PublicKey, minimumSequence: UInt64 = 0, now: MonotonicTime
    ) -> OperationID {
        let operation = HyperOperation(
            kind: .mutableGet(publicKey, minimumSequence: minimumSequence),
            target: Blake2b.hash32(publicKey.bytes))
        return begin(operation, .mutableGet, value: sequenceValue(minimumSequence), now: now)
    }

    /// Stores a mutable value of 1 to ``HyperLimits/valueByteCount`` bytes under the key of `keyPair`.
    package func mutablePut(
        _ value: [UInt8], sequence: UInt64, as keyPair: KeyPair, now: MonotonicTime
    ) -> OperationID {
        let record = MutableRecord.signed(sequence: sequence, value: value, keyPair: keyPair)
        let operation = HyperOperation(
            kind: .mutablePut(keyPair.publicKey, record), target: Blake2b.hash32(keyPair.publicKey.bytes))
        let error = valueError(value)
        return begin(operation, .mutableGet, value: sequenceValue(0), commits: true, error: error, now: now)
    }

    /// Asks for the value with this hash; only the right one is reported.
    package func immutableGet(_ hash: Bytes32, now: MonotonicTime) -> OperationID {
        begin(HyperOperation(kind: .immutableGet, target: hash), .immutableGet, now: now)
    }

    /// Stores a value of 1 to ``HyperLimits/valueByteCount`` bytes under its hash.
    package func immutablePut(_ value: [UInt8], now: MonotonicTime) -> OperationID {
        let operation = HyperOperation(kind: .immutablePut(value), target: Blake2b.hash32(value))
        return begin(operation, .immutableGet, commits: true, error: valueError(value), now: now)
    }

    /// Ends an operation early; it finishes as ``OperationError/cancelled``.
    package func cancel(_ operation: OperationID, now: MonotonicTime) {
        guard operations[operation] != nil else { return }
        guard let query = operations[operation]!.query else { return cancelRequests(of: operation, now: now) }
        queryOwners[query] = nil
        finish(operation, error: .cancelled)
        rpc.cancel(query, now: now)
        settle(now: now)
    }

    private func sequenceValue(_ sequence: UInt64) -> [UInt8] {
        var writer = ByteWriter(capacity: 9)
        writer.writeUInt(sequence)
        return writer.bytes
    }

    private func valueError(_ value: [UInt8]) -> OperationError? {
        (1...HyperLimits.valueByteCount).contains(value.count) ? nil : .valueSize(value.count)
    }

    // MARK: Running

    private func begin(
        _ operation: HyperOperation, _ command: HyperCommand, value: [UInt8]? = nil, commits: Bool = false,
        error: OperationError? = nil, now: MonotonicTime
    ) -> OperationID {
        begin(
            operation, .external(command.rawValue), value: value, commits: commits, error: error, now: now)
    }

    private func begin(
        _ operation: HyperOperation, _ command: RPCCommand, value: [UInt8]? = nil, commits: Bool = false,
        error: OperationError? = nil, now: MonotonicTime
    ) -> OperationID {
        let id = OperationID(sequence: makeSequence())
        operations[id] = operation
        if let error = operations.count > HyperLimits.operationCount ? .tooManyOperations : error {
            finish(id, error: error)
            return id
        }
        var options = RPCQueryOptions()
        options.commit = commits ? .delegated : .none
        options.isPaced = operation.isPaced
        // Many wait for what it finds.
        options.isHurried = operation.sharesSearch
        if operation.sharesSearch { options.commitLimit = NeighborhoodCache.storingNodeCount }
        let query = rpc.query(
            command, target: operation.target, value: value, options: options, now: now)
        operations[id]!.query = query
        queryOwners[query] = .operation(id)
        settle(now: now)
        return id
    }

    /// Stores at given nodes, without a search.
    private func store(_ operation: HyperOperation, at nodes: [RPCReply], now: MonotonicTime) -> OperationID {
        let id = OperationID(sequence: makeSequence())
        operations[id] = operation
        let calls = nodes.compactMap { operation.commitCall($0) }
        operations[id]!.pendingCommitCount = calls.count
        operations[id]!.result.closestNodes = nodes.map(\.from.address)
        guard operations.count <= HyperLimits.operationCount, !calls.isEmpty else {
            finish(id, error: calls.isEmpty ? .tooFewNodes : .tooManyOperations)
            return id
        }
        for var call in calls {
            call.isPaced = operation.isPaced
            request(call, tag: .commit(nil), owner: .operation(id), now: now)
        }
        settle(now: now)
        return id
    }

    func finish(_ id: OperationID, error: OperationError?) {
        guard var result = operations.removeValue(forKey: id)?.result else { return }
        result.error = error
        outputs.append(.operation(id, .finished(result)))
    }

    func operationReplied(_ id: OperationID, _ reply: RPCReply, now: MonotonicTime) {
        guard let operation = operations[id] else { return }
        let from = reply.from.address
        guard let value = reply.value else { return }
        switch operation.kind {
        case .lookup, .announce:
            guard let found = try? LookupReply(decoding: value) else { return }
            if var call = operation.withdrawalCall(reply, found) {
                call.isPaced = operation.isPaced
                operations[id]!.withdrawalCount += 1
                request(call, tag: .unannounce, owner: .operation(id), now: now)
            }
            outputs.append(.operation(id, .peers(found, from: from)))
        case .findPeer(let publicKey):
            guard let record = try? PeerRecord(decoding: value), record.publicKey == publicKey else { return }
            outputs.append(.operation(id, .peer(record, from: from)))
        case .mutableGet(let publicKey, let minimumSequence):
            guard let record = try? MutableRecord(decoding: value), record.sequence >= minimumSequence,
                operation.newestSequence.map({ record.sequence > $0 }) ?? true, record.isValid(by: publicKey)
            else { return }
            operations[id]!.newestSequence = record.sequence
            outputs.append(.operation(id, .mutable(record, from: from)))
        case .immutableGet:
            guard !operation.hasValue, Blake2b.hash32(value) == operation.target else { return }
            operations[id]!.hasValue = true
            outputs.append(.operation(id, .immutable(value, from: from)))
        case .findNodes, .mutablePut, .immutablePut, .ping:
            break
        }
    }

    func operationCommit(_ id: OperationID, query: QueryID, _ reply: RPCReply, now: MonotonicTime) {
        guard let operation = operations[id] else {
            return rpc.commitFinished(query, succeeded: false, now: now)
        }
        if operation.sharesSearch {
            operations[id]!.sharesSearch = false
            neighborhoods.note(operation.target, nodes: rpc.closestReplies(of: query), now: now)
        }
        guard operation.withdrawalCount == 0 else {
            operations[id]!.heldCommits.append((query, reply))
            return
        }
        guard var call = operation.commitCall(reply) else {
            return rpc.commitFinished(query, succeeded: false, now: now)
        }
        call.isPaced = operation.isPaced
        request(call, tag: .commit(query), owner: .operation(id), now: now)
    }

    func operationRequestFinished(_ id: OperationID, _ tag: HyperTag, _ reply: RPCReply?, now: MonotonicTime) {
        let isGood = reply?.error == .ok
        switch tag {
        case .commit(let query):
            // The token had grown too old; the refusal brings a new one.
            if reply?.error == .invalidToken, let operation = operations[id], let reply,
                var call = operation.commitCall(reply)
            {
                call.isPaced = operation.isPaced
                call.isHurried = true
                return request(call, tag: .recommit(query), owner: .operation(id), now: now)
            }
            commitEnded(id, of: query, isGood: isGood, now: now)
        case .recommit(let query):
            commitEnded(id, of: query, isGood: isGood, now: now)
        case .unannounce:
            guard operations[id] != nil else { return }
            if isGood, case .lookup = operations[id]!.kind { operations[id]!.result.storedCount += 1 }
            operations[id]!.withdrawalCount -= 1
            guard operations[id]!.withdrawalCount == 0 else { return }
            let held = operations[id]!.heldCommits
            operations[id]!.heldCommits = []
            for commit in held { operationCommit(id, query: commit.query, commit.reply, now: now) }
            if operations[id]!.isQueryDone { finish(id, error: operations[id]!.result.error) }
        case .ping:
            pingFinished(id, reply)
        case .attempt, .localPing, .holepunch, .farewell, .natSample, .relayPing, .announce, .leaving,
            .left:
            break
        }
    }

    private func commitEnded(_ id: OperationID, of query: QueryID?, isGood: Bool, now: MonotonicTime) {
        if isGood { operations[id]?.result.storedCount += 1 }
        if let query { return rpc.commitFinished(query, succeeded: isGood, now: now) }
        guard operations[id] != nil else { return }
        operations[id]!.pendingCommitCount -= 1
        guard operations[id]!.pendingCommitCount == 0 else { return }
        finish(id, error: operations[id]!.result.storedCount > 0 ? nil : .notStored)
    }

    func operationQueryFinished(_ id: OperationID, _ result: RPCQueryResult, now: MonotonicTime) {
        guard operations[id] != nil else { return }
        operations[id]!.isQueryDone = true
        operations[id]!.result.answerCount = result.successCount
        operations[id]!.result.closestNodes = result.closestReplies.map(\.from.address)
        let error: OperationError? =
            switch result.failure {
            case nil: nil
            case .tooFewNodes: .tooFewNodes
            case .commitFailed: .notStored
            case .destroyed, .suspended: .cancelled
            }
        operations[id]!.result.error = error
        if operations[id]!.withdrawalCount == 0 { finish(id, error: error) }
    }
}
