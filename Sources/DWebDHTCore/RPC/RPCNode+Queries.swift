package import DWebBase

extension RPCNode {
    // MARK: For the upper layer

    /// Asks the nodes closest to `target`, coming closer with every answer; results arrive as outputs with the id.
    @discardableResult
    package func query(
        _ command: RPCCommand, target: Bytes32, value: [UInt8]? = nil, options: RPCQueryOptions = RPCQueryOptions(),
        now: MonotonicTime
    ) -> QueryID {
        refreshTicks = RPCConstants.refreshTicks
        let id = startQuery(
            command, target: target, value: value, options: options, owner: .application,
            concurrency: options.concurrency ?? configuration.concurrency, now: now)
        settle(now: now)
        return id
    }

    /// Finds the nodes closest to `target`.
    @discardableResult
    package func findNode(
        _ target: Bytes32, options: RPCQueryOptions = RPCQueryOptions(), now: MonotonicTime
    ) -> QueryID {
        query(.findNode, target: target, options: options, now: now)
    }

    /// Ends the query; it finishes as ``RPCQueryResult/Failure/destroyed``. Does nothing if it has ended.
    package func cancel(_ query: QueryID, now: MonotonicTime) {
        endQuery(query, failure: .destroyed, now: now)
        settle(now: now)
    }

    /// Reports one commit that ``RPCOutput/commitNeeded(_:_:)`` asked for.
    package func commitFinished(_ query: QueryID, succeeded: Bool, now: MonotonicTime) {
        noteCommit(query, succeeded: succeeded, now: now)
        settle(now: now)
    }

    /// The closest nodes that the query has found so far, the closest first; none if it has ended.
    package func closestReplies(of query: QueryID) -> [RPCReply] { queries[query.sequence]?.closest ?? [] }

    // MARK: Running

    func startBackgroundQuery(
        target: Bytes32, owner: RPCQuery.Owner, asksEntryPoints: Bool = false, now: MonotonicTime
    ) {
        refreshTicks = RPCConstants.refreshTicks
        var options = RPCQueryOptions()
        options.asksEntryPoints = asksEntryPoints
        startQuery(
            .findNode, target: target, value: nil, options: options, owner: owner,
            concurrency: backgroundConcurrency, now: now)
    }

    private var backgroundConcurrency: Int { min(configuration.concurrency, RPCConstants.backgroundConcurrency) }

    @discardableResult
    private func startQuery(
        _ command: RPCCommand, target: Bytes32, value: [UInt8]?, options: RPCQueryOptions, owner: RPCQuery.Owner,
        concurrency: Int, now: MonotonicTime
    ) -> QueryID {
        let id = QueryID(sequence: makeSequence())
        statistics.queryCount += 1
        let query = RPCQuery(
            id: id, owner: owner, target: target, command: command, value: value, options: options,
            session: options.session ?? makeSession(), concurrency: max(1, concurrency))
        queries[id.sequence] = query
        switch phase {
        case .suspended:
            endQuery(id, failure: .suspended, now: now)
            return id
        case .closed:
            endQuery(id, failure: .destroyed, now: now)
            return id
        case .idle, .running:
            break
        }
        addFromTable(query)
        if query.pendingCount < RPCConstants.k || options.asksEntryPoints, !options.visitsOnlyStartNodes {
            query.isResolving = true
            resolveBootstrapNodes(for: id, now: now)
            // Without names to look up the entry points are there already, and the query may even have ended.
            guard query.isResolving else { return id }
        }
        advance(query, now: now)
        return id
    }

    private func addFromTable(_ query: RPCQuery) {
        let missing = RPCConstants.k - query.pendingCount
        guard missing > 0, !query.options.visitsOnlyStartNodes else { return }
        query.hasUsedTable = true
        for node in table.closest(to: query.target, limit: missing) {
            _ = query.plan(node.address, id: node.id, referrer: nil)
        }
    }

    func addBootstrapNodes(_ addresses: [SocketAddress], to id: QueryID, now: MonotonicTime) {
        guard let query = queries[id.sequence] else { return }
        query.isResolving = false
        for address in addresses { _ = query.plan(address, id: NodeID.of(address), referrer: nil) }
        advance(query, now: now)
    }

    /// Asks as many nodes as it may, and ends the query when there is nothing more to ask.
    private func advance(_ query: RPCQuery, now: MonotonicTime) {
        guard queries[query.id.sequence] != nil, !query.isCommitting else { return }
        while query.inFlightCount < query.requestLimit, let contact = query.nextVisit() {
            visit(contact, of: query, now: now)
        }
        // Begun with given nodes: the closest of them get a chance before many others are asked.
        if !query.hasUsedTable, query.successCount == 0, query.errorCount == 0 { query.isSlowedDown = true }
        guard query.pendingCount == 0 else { return }
        let hasOnlySlowOnes =
            query.slowCount == query.inFlightCount && query.closest.count >= RPCConstants.k
        guard query.inFlightCount == 0 || hasOnlySlowOnes else { return }
        if !query.hasUsedTable, !query.options.visitsOnlyStartNodes, query.successCount < RPCConstants.k / 4 {
            addFromTable(query)
            advance(query, now: now)
            return
        }
        guard !query.isResolving || hasOnlySlowOnes else { return }
        finishSearch(query, now: now)
    }

    private func visit(_ contact: RPCContact, of query: RPCQuery, now: MonotonicTime) {
        query.inFlightCount += 1
        var options = RPCRequestOptions()
        options.retries = query.options.isForced ? 0 : query.options.retries
        options.isForced = query.options.isForced
        options.session = query.session
        options.isPaced = query.options.isPaced
        options.isHurried = query.options.isHurried
        startRequest(
            query.command, target: query.target, value: query.value, to: contact, options: options,
            owner: .query(query.id), now: now)
    }

    func queryRequestBecameSlow(_ id: QueryID, now: MonotonicTime) {
        guard let query = queries[id.sequence] else { return }
        query.slowCount += 1
        advance(query, now: now)
    }

    func queryRequestFinished(
        _ id: QueryID, _ result: Result<RPCReply, RPCFailure>, destination: RPCContact, wasSlow: Bool,
        now: MonotonicTime
    ) {
        guard let query = queries[id.sequence] else { return }
        query.noteRequestEnded(wasSlow: wasSlow)
        switch result {
        case .success(let reply):
            query.noteReply(reply, from: destination.address)
            guard !query.isCommitting else { return }
            follow(reply, of: query, now: now)
        case .failure(let failure):
            let referrers = query.noteFailure(failure, at: destination.address)
            for referrer in referrers {
                sendDownHint(to: referrer, about: destination.address, session: query.session, now: now)
            }
        }
        advance(query, now: now)
    }

    private func follow(_ reply: RPCReply, of query: RPCQuery, now: MonotonicTime) {
        closerNodes: for address in reply.closerNodes {
            guard accepts(address) else { continue }
            let id = query.knownID(of: address) ?? NodeID.of(address)
            guard id != table.id else { continue }
            switch query.plan(address, id: id, referrer: reply.from) {
            case .closer: continue
            case .notCloser: break closerNodes
            case .down: sendDownHint(to: reply.from, about: address, session: query.session, now: now)
            }
        }
        if !query.hasUsedTable, query.successCount + query.errorCount >= query.concurrency {
            query.isSlowedDown = false
        }
        guard reply.error == .ok else { return }
        switch query.owner {
        case .application:
            outputs.append(.queryReply(query.id, reply))
            return
        case .bootstrap:
            noteBootstrapReply(reply, now: now)
        case .refresh:
            break
        }
        // Others come first: the node's own searches are quick only while nothing else goes on.
        query.concurrency = requests.count < 3 ? configuration.concurrency : backgroundConcurrency
    }

    private func sendDownHint(
        to referrer: RPCContact, about address: SocketAddress, session: RPCSessionID, now: MonotonicTime
    ) {
        guard configuration.sendsDownHints else { return }
        if let limit = configuration.downHintLimit, downHintCount >= limit { return }
        downHintCount += 1
        statistics.downHintCount += 1
        var writer = ByteWriter(capacity: 6)
        writer.writeAddress(address)
        var options = RPCRequestOptions()
        options.session = session
        startRequest(.downHint, value: writer.bytes, to: referrer, options: options, owner: .downHint, now: now)
    }

    // MARK: Ending

    private func finishSearch(_ query: RPCQuery, now: MonotonicTime) {
        query.isCommitting = true
        switch query.options.commit {
        case .none:
            endQuery(query.id, failure: nil, now: now)
        case .automatic, .delegated:
            guard !query.closest.isEmpty else {
                endQuery(query.id, failure: .tooFewNodes, now: now)
                return
            }
            let nodes = query.closest.prefix(query.options.commitLimit)
            query.pendingCommits = nodes.count
            for reply in nodes { commit(reply, of: query, now: now) }
        }
    }

    private func commit(_ reply: RPCReply, of query: RPCQuery, now: MonotonicTime) {
        guard query.options.commit == .automatic else {
            outputs.append(.commitNeeded(query.id, reply))
            return
        }
        guard let token = reply.token else {
            noteCommit(query.id, succeeded: false, now: now)
            return
        }
        startRequest(
            query.command, target: query.target, token: token, value: query.value,
            to: RPCContact(address: reply.from.address), owner: .commit(query.id), now: now)
    }

    func noteCommit(_ id: QueryID, succeeded: Bool, now: MonotonicTime) {
        guard let query = queries[id.sequence], query.isCommitting, query.pendingCommits > 0 else { return }
        query.pendingCommits -= 1
        if succeeded { query.commitCount += 1 }
        guard query.pendingCommits == 0 else { return }
        endQuery(id, failure: query.commitCount > 0 ? nil : .commitFailed, now: now)
    }

    func endQuery(_ id: QueryID, failure: RPCQueryResult.Failure?, now: MonotonicTime) {
        guard let query = queries.removeValue(forKey: id.sequence) else { return }
        if query.ownsSession { cancelRequests(now: now) { $0.options.session == query.session } }
        switch query.owner {
        case .application:
            outputs.append(
                .queryFinished(
                    id,
                    RPCQueryResult(
                        closestReplies: query.closest, successCount: query.successCount,
                        errorCount: query.errorCount, commitCount: query.commitCount, failure: failure)))
        case .bootstrap:
            if failure == nil { bootstrapQueryFinished(now: now) }
        case .refresh:
            break
        }
    }
}
