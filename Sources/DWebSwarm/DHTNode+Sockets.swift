import DWebBase
import DWebDHTCore
import DWebPorts
import DWebStreamCore

// The pump. Everything that happens to a node ends in `settle()`: machines' outputs are carried out until there are
// none,
// packets leave in one batch per socket, and one timer is set for the earliest deadline.
extension DHTNode {
    private static let lingerTime = Duration.seconds(3)
    // A look costs some microseconds; what was lost with a network should be back two seconds later.
    private static let interfaceInterval = Duration.seconds(1)
    private static let portCandidateCount: UInt16 = 5
    // What is told to many nodes at once is not kept until the last of it is signed.
    private static let outgoingBatchLimit = 5

    // MARK: Binding

    func bindMainSockets() async throws(DSwarmError) {
        try await bindServerSocket()
        do {
            try await bind(.client, port: 0)
        } catch {
            closeSockets()
            throw DSwarmError(.bindFailed, error.detail)
        }
    }

    private func bindServerSocket() async throws(DSwarmError) {
        var ports: [UInt16] = []
        if configuration.port != 0 {
            let count = configuration.isAnyPortAllowed ? DHTNode.portCandidateCount : 1
            ports = (0..<count).map { configuration.port &+ $0 }.filter { $0 != 0 }
        }
        if configuration.port == 0 || configuration.isAnyPortAllowed { ports.append(0) }
        if lastServerPort != 0 { ports.insert(lastServerPort, at: 0) }
        var failure = PortError(.failed, "No port was tried")
        for port in ports {
            do {
                try await bind(.server, port: port)
                lastServerPort = slots[.server]!.socket.localAddress.port
                return
            } catch {
                failure = error
                // Another port of a host that is not ours will not do either.
                guard error.code == .addressInUse || error.code == .permissionDenied else { break }
            }
        }
        throw DSwarmError(.bindFailed, failure.detail)
    }

    private func bind(_ id: DWebDHTCore.SocketID, port: UInt16) async throws(PortError) {
        let options = DatagramSocketOptions(address: host.with(port: port))
        let socket = try await runtime.network.bind(options) { [weak self] batch in
            self?.assumeIsolated { $0.receive(batch, on: id) }
        }
        let udxID = multiplexer.addSocket(family: host.family)
        while machineSockets.count <= udxID.index { machineSockets.append(id) }
        machineSockets[udxID.index] = id
        slots[id] = SocketSlot(socket: socket, udxID: udxID)
    }

    func bindExtraSocket(_ id: DWebDHTCore.SocketID) async {
        do {
            try await bind(id, port: 0)
        } catch {
            bindingSockets.remove(id)
            releasedEarly.remove(id)
            machine.socketFailed(id, now: loop.now)
            settle()
            return
        }
        bindingSockets.remove(id)
        if releasedEarly.remove(id) != nil || phase != .running {
            closeSocket(id)
        } else {
            machine.socketBound(id, now: loop.now)
            settle()
        }
    }

    private func release(_ id: DWebDHTCore.SocketID) {
        if bindingSockets.contains(id) {
            releasedEarly.insert(id)
        } else if slots[id]?.hasCarriedStream == true {
            // A late end of the stream is still to be answered.
            linger(id)
        } else {
            closeSocket(id)
        }
    }

    /// The stream that owned a punch socket is gone.
    func streamLeft(_ id: DWebDHTCore.SocketID) {
        guard let slot = slots[id], multiplexer.streamCount(on: slot.udxID) == 0 else { return }
        linger(id)
    }

    private func linger(_ id: DWebDHTCore.SocketID) {
        let deadline = loop.now + DHTNode.lingerTime
        slots[id]?.lingersUntil = deadline
        lingering.append((deadline, id))
    }

    /// Closes a punch socket whose stream was given up before it could use it, unless another stream has it or had it.
    func closeUnusedSocket(_ id: DWebDHTCore.SocketID) {
        guard slots[id]?.hasCarriedStream != true else { return }
        closeSocket(id)
    }

    private func closeSocket(_ id: DWebDHTCore.SocketID) {
        guard let slot = slots.removeValue(forKey: id) else { return }
        multiplexer.removeSocket(slot.udxID)
        slot.socket.close()
        machine.socketClosed(id)
    }

    func closeSockets() {
        for id in slots.keys.sorted() { closeSocket(id) }
        lingering.removeAll()
        outgoing.removeAll()
    }

    // MARK: Interfaces

    func noteInterfaces(now: MonotonicTime) {
        nextInterfaceCheck = now + DHTNode.interfaceInterval
        guard host.ipv4Number == 0 else {
            // Bound to one address, it has no other to change to.
            nextInterfaceCheck = .distantFuture
            machine.setLocalAddresses([host])
            return
        }
        let found = runtime.network.interfaceAddresses().filter { $0.address.family == .ipv4 }
            .sorted { ($0.name, $0.address.ipv4Number) < ($1.name, $1.address.ipv4Number) }
        guard found != interfaces else { return }
        let isChange = !interfaces.isEmpty
        let isLost = interfaces.contains { !$0.isLoopback && !found.contains($0) }
        interfaces = found
        let outer = found.filter { !$0.isLoopback }.map(\.address)
        machine.setLocalAddresses(outer.isEmpty ? [SocketAddress(ipv4: 127, 0, 0, 1, port: 0)] : outer)
        guard isChange else { return }
        if isLost {
            // Paths from the lost address are dead, and what was known of the network in front of it is not true here.
            machine.networkMoved(now: now)
            destroyStreams()
        }
        machine.networkInterfacesChanged(now: now)
    }

    // MARK: Pump

    private func receive(_ batch: DatagramBatch, on id: DWebDHTCore.SocketID) {
        guard phase == .running, let slot = slots[id] else { return }
        traffic.noteReceived(batch)
        let now = loop.now
        if !upgrading.isEmpty { noteDirectArrivals(batch) }
        for index in multiplexer.handle(batch, on: slot.udxID, now: now) {
            let entry = batch.entries[index]
            machine.handle(batch.reader(of: entry), from: entry.address, on: id, now: now)
        }
        settle()
    }

    /// Settles at the end of the current turn of the loop, so that what several tasks do meanwhile shares packets.
    func settleLater() {
        guard !isSettling, !isSettleScheduled else { return }
        isSettleScheduled = true
        loop.execute { [weak self] in
            self?.assumeIsolated {
                $0.isSettleScheduled = false
                $0.settle()
            }
        }
    }

    /// Carries out all outputs, sends what is to be sent and sets the timer.
    func settle() {
        // What happens while outputs are carried out is found by the loop below.
        guard !isSettling else { return }
        isSettling = true
        defer { isSettling = false }
        let now = loop.now
        repeat {
            drain(now: now)
            multiplexer.transmit(now: now) { udxID, batch in
                traffic.noteSent(batch)
                slots[machineSockets[udxID.index]]?.socket.send(batch)
            }
        } while hasOutputs(now: now)
        flushOutgoing()
        arm(now: now)
    }

    private func flushOutgoing() {
        for (socket, batch) in outgoing {
            traffic.noteSent(batch)
            slots[socket]?.socket.send(batch)
        }
        outgoing.removeAll(keepingCapacity: true)
    }

    private func hasOutputs(now: MonotonicTime) -> Bool {
        // Closing a stream while transmitting, and what its owner does about it, may have produced more.
        var isAgain = false
        while let (stream, event) = multiplexer.pollEvent() {
            handle(event, of: stream)
            isAgain = true
        }
        while let output = machine.pollOutput() {
            perform(output, now: now)
            isAgain = true
        }
        while let output = machine.pollRelayOutput() {
            perform(output)
            isAgain = true
        }
        return isAgain
    }

    private func drain(now: MonotonicTime) {
        for arrival in arrivals.take() {
            guard let connection = pendingConnections[arrival.localID] ?? relayedConnections[arrival.localID] else {
                continue
            }
            machine.streamTraffic(
                connection, on: machineSockets[arrival.socket.index], from: arrival.source, now: now)
        }
        while hasOutputs(now: now) {}
    }

    private func perform(_ output: HyperOutput, now: MonotonicTime) {
        switch output {
        case .send(let datagram): queue(datagram)
        case .bindSocket(let id):
            bindingSockets.insert(id)
            add(.bind(id))
        case .releaseSocket(let id): release(id)
        case .resolveHost(let name): add(.resolve(name))
        case .operation(let id, let event): report(event, of: id)
        case .handshake(let handshake): receive(handshake)
        case .connect(let path): connect(path)
        case .connectionFailed(let connection, let error): failConnection(connection, error)
        case .announced(let server, let relayAddresses): noteAnnounced(server, relayAddresses)
        case .serverClosed(let server): noteClosed(server)
        case .event(let event): note(event)
        }
    }

    private func queue(_ datagram: OutgoingDatagram) {
        if let last = outgoing.last, last.batch.count >= DHTNode.outgoingBatchLimit { flushOutgoing() }
        if outgoing.last?.socket != datagram.socket {
            if let index = outgoing.firstIndex(where: { $0.socket == datagram.socket }) {
                outgoing[index].batch.append(
                    datagram.bytes, address: datagram.destination, timeToLive: datagram.timeToLive)
                return
            }
            outgoing.append((datagram.socket, DatagramBatch()))
        }
        outgoing[outgoing.count - 1].batch.append(
            datagram.bytes, address: datagram.destination, timeToLive: datagram.timeToLive)
    }

    private func note(_ event: RPCEvent) {
        if event == .bootstrapped {
            for waiter in bootstrapWaiters { waiter.resolve(true) }
            bootstrapWaiters = []
            keepSavingKnownNodes()
        }
        eventHandler?(event)
    }

    // MARK: Timer

    private func arm(now: MonotonicTime) {
        guard phase == .running else { return }
        var deadline = nextInterfaceCheck
        if let next = machine.nextDeadline { deadline = min(deadline, next) }
        if let next = multiplexer.nextDeadline { deadline = min(deadline, next) }
        if let first = lingering.first { deadline = min(deadline, first.deadline) }
        // A timer that fires too early costs one look; setting one for every packet would cost more.
        if let armedDeadline, armedDeadline <= deadline { return }
        timer?.cancel()
        armedDeadline = deadline
        timer = loop.schedule(at: deadline) { [weak self] in self?.assumeIsolated { $0.wake() } }
    }

    private func wake() {
        timer = nil
        armedDeadline = nil
        guard phase == .running else { return }
        let now = loop.now
        if nextInterfaceCheck <= now { noteInterfaces(now: now) }
        machine.wake(now: now)
        multiplexer.wake(now: now)
        while let first = lingering.first, first.deadline <= now {
            lingering.removeFirst()
            guard slots[first.socket]?.lingersUntil == first.deadline else { continue }
            // A relayed stream may still use the socket of a connection to its relay.
            if let slot = slots[first.socket], multiplexer.streamCount(on: slot.udxID) > 0 { continue }
            closeSocket(first.socket)
        }
        settle()
    }

    func cancelTimer() {
        timer?.cancel()
        timer = nil
        armedDeadline = nil
    }
}
