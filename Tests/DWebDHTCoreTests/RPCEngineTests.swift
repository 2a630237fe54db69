import DWebBase
import DWebCrypto
import Testing

@testable import DWebDHTCore

@Suite struct RPCEngineTests {
    private func ping(transaction: UInt16 = 9, id: Bytes32? = nil) -> RPCRequest {
        RPCRequest(transaction: transaction, to: RPCRig.own, id: id, command: .ping)
    }

    /// Times of sending, relative to the start, and the time of the result.
    private func timeline(_ rig: inout RPCRig, for seconds: Int) -> (sends: [Duration], ends: [Duration]) {
        let begin = rig.now
        var sends = rig.sent().map { _ in Duration.zero }
        var ends: [Duration] = []
        rig.run(until: begin + .seconds(seconds)) { time, outputs in
            for output in outputs {
                switch output {
                case .send: sends.append(time - begin)
                case .requestFinished(_, .failure(.timeout)): ends.append(time - begin)
                case .queryFinished: ends.append(time - begin)
                default: break
                }
            }
        }
        return (sends, ends)
    }

    @Test func unansweredRequestIsSentFourTimes() {
        var rig = RPCRig()
        rig.node.ping(RPCRig.peer(1), now: rig.now)
        let result = timeline(&rig, for: 20)
        #expect(result.sends == [.seconds(0), .seconds(1), .seconds(2), .seconds(3)])
        #expect(result.ends == [.seconds(4)])
        #expect(rig.node.statistics.timeoutCount == 1 && rig.node.statistics.retryCount == 3)
    }

    @Test func requestWithoutRetriesIsSentOnce() {
        var rig = RPCRig()
        var options = RPCRequestOptions()
        options.retries = 0
        options.timeToLive = 5
        rig.node.ping(RPCRig.peer(1), options: options, now: rig.now)
        let result = timeline(&rig, for: 20)
        #expect(result.sends == [.zero] && result.ends == [.seconds(1)])
    }

    @Test func queryRequestIsSentSixTimes() {
        var rig = RPCRig()
        var options = RPCQueryOptions()
        options.startNodes = [RPCRig.peer(1)]
        rig.node.findNode(.zero, options: options, now: rig.now)
        let result = timeline(&rig, for: 20)
        #expect(result.sends == (0..<6).map { .seconds($0) } && result.ends == [.seconds(6)])
    }

    @Test func delayedPingWaitsLonger() {
        var rig = RPCRig()
        rig.node.delayedPing(RPCRig.peer(1), delayMilliseconds: 2000, now: rig.now)
        let result = timeline(&rig, for: 40)
        #expect(result.sends == [0, 3, 6, 9].map { .seconds($0) } && result.ends == [.seconds(12)])
    }

    @Test func answerEndsARequest() throws {
        var rig = RPCRig()
        let id = rig.node.ping(RPCRig.peer(1), paddingByteCount: 100, now: rig.now)
        let request = try #require(try rig.requests().first?.request)
        #expect(request.value == [UInt8](repeating: 0, count: 100))
        rig.now = rig.now + .milliseconds(40)
        let response = RPCResponse(
            transaction: request.transaction, to: RPCRig.own, id: NodeID.of(RPCRig.peer(1)), error: .unknownCommand,
            value: [1])
        rig.receive(response, from: RPCRig.peer(2))
        #expect(rig.outputs().isEmpty && rig.node.requestCount == 1, "another source cannot answer")
        #expect(rig.node.statistics.unexpectedResponseCount == 1)
        rig.receive(response, from: RPCRig.peer(1), on: .client)
        let outputs = rig.outputs()
        guard case .requestFinished(id, .success(let reply))? = outputs.last else {
            Issue.record("the request has no result")
            return
        }
        #expect(reply.from == RPCContact(address: RPCRig.peer(1), id: NodeID.of(RPCRig.peer(1))))
        #expect(reply.error == .unknownCommand && reply.value == [1] && reply.socket == .client)
        #expect(reply.roundTripTime == .milliseconds(40))
        rig.receive(response, from: RPCRig.peer(1))
        #expect(rig.outputs().isEmpty, "there is one result")
    }

    @Test func burstWaitsForTheNextRotation() {
        var rig = RPCRig()
        let begin = rig.now
        for number in 0..<200 { rig.node.ping(RPCRig.peer(number), now: rig.now) }
        #expect(rig.sent().count == 80)
        var forced = RPCRequestOptions()
        forced.isForced = true
        rig.node.ping(RPCRig.peer(999), options: forced, now: rig.now)
        #expect(rig.sent().count == 1)
        var times: [Duration: Int] = [:]
        rig.run(until: begin + .milliseconds(999)) { time, outputs in
            times[time - begin, default: 0] += outputs.count { if case .send = $0 { true } else { false } }
        }
        #expect(times[.milliseconds(750)] == 79, "160 in all, one of which was forced")
    }

    @Test func answersMakeRoomInTheWindow() throws {
        let rig = RPCRig()
        for number in 0..<80 { rig.node.ping(RPCRig.peer(number), now: rig.now) }
        let requests = try rig.requests()
        #expect(requests.count == 80)
        for item in requests.prefix(10) { rig.answer(item.request) }
        for number in 100..<120 { rig.node.ping(RPCRig.peer(number), now: rig.now) }
        #expect(try rig.requests().count == 10)
    }

    @Test func requestsAreLimited() {
        let rig = RPCRig()
        var failed = 0
        for number in 0..<RPCLimits.requests + 5 { rig.node.ping(RPCRig.peer(number & 1023), now: rig.now) }
        for output in rig.outputs() {
            if case .requestFinished(_, .failure(.tooManyRequests)) = output { failed += 1 }
        }
        #expect(failed == 5 && rig.node.requestCount == RPCLimits.requests)
    }

    @Test func impossibleDestinationsFail() throws {
        let rig = RPCRig()
        let addresses = [RPCRig.peer(1).with(port: 0), try #require(SocketAddress(text: "[fe80::1]:5"))]
        for address in addresses {
            let id = rig.node.ping(address, now: rig.now)
            #expect(rig.outputs() == [.requestFinished(id, .failure(.invalidDestination))])
            rig.node.sendDatagram([1], to: address, on: .client)
            rig.node.sendResponse(transaction: 1, to: address, on: .client)
            #expect(rig.outputs().isEmpty)
        }
    }

    @Test func sessionsAndRequestsAreCancelled() throws {
        let rig = RPCRig()
        var options = RPCRequestOptions()
        options.session = rig.node.makeSession()
        let first = rig.node.ping(RPCRig.peer(1), options: options, now: rig.now)
        let second = rig.node.ping(RPCRig.peer(2), now: rig.now)
        let third = rig.node.ping(RPCRig.peer(3), options: options, now: rig.now)
        #expect(rig.sent().count == 3)
        rig.node.cancel(try #require(options.session), now: rig.now)
        #expect(
            rig.outputs() == [
                .requestFinished(first, .failure(.destroyed)), .requestFinished(third, .failure(.destroyed)),
            ])
        rig.node.cancel(second, now: rig.now)
        #expect(rig.outputs() == [.requestFinished(second, .failure(.destroyed))])
        rig.node.cancel(second, now: rig.now)
        #expect(rig.outputs().isEmpty && rig.node.requestCount == 0)
    }

    @Test func transactionsWrapAndAreNotReused() throws {
        let rig = RPCRig()
        rig.node.nextTransaction = 65535
        rig.node.ping(RPCRig.peer(1), now: rig.now)
        rig.node.ping(RPCRig.peer(2), now: rig.now)
        rig.node.nextTransaction = 65535
        rig.node.ping(RPCRig.peer(3), now: rig.now)
        #expect(try rig.requests().map(\.request.transaction) == [65535, 0, 1])
    }

    @Test func socketAndIDFollowTheState() throws {
        var configuration = RPCConfiguration()
        configuration.mode = .ephemeral
        let firewalled = RPCRig(configuration)
        firewalled.node.ping(RPCRig.peer(1), now: firewalled.now)
        let item = try #require(try firewalled.requests().first)
        #expect(item.datagram.socket == .client && item.request.id == nil)
        firewalled.receive(ping(), from: RPCRig.peer(1), on: .server)
        let reply = try #require(firewalled.sent().first)
        #expect(reply.socket == .server, "replies leave where the request arrived")
        #expect(try RPCResponse(datagram: reply.bytes).id == nil)

        let persistent = RPCRig()
        #expect(persistent.node.id == NodeID.of(RPCRig.own) && persistent.node.remoteAddress == RPCRig.own)
        persistent.node.ping(RPCRig.peer(1), now: persistent.now)
        let second = try #require(try persistent.requests().first)
        #expect(second.datagram.socket == .server && second.request.id == persistent.node.id)
        persistent.receive(ping(), from: RPCRig.peer(1), on: .client)
        #expect(try persistent.responses().first?.id == nil, "not from another socket")
    }

    // MARK: Commands

    @Test func internalCommands() throws {
        let rig = RPCRig()
        let peer = RPCRig.peer(1)
        for number in 2..<30 { rig.introduce(number) }
        _ = rig.outputs()
        func ask(_ command: RPCCommand, target: Bytes32? = nil, value: [UInt8]? = nil) throws -> [OutgoingDatagram] {
            rig.receive(
                RPCRequest(transaction: 77, to: RPCRig.own, command: command, target: target, value: value), from: peer)
            return rig.sent()
        }
        func response(_ datagrams: [OutgoingDatagram]) throws -> RPCResponse {
            #expect(datagrams.count == 1)
            return try RPCResponse(datagram: try #require(datagrams.first).bytes)
        }
        let pong = try response(try ask(.ping, target: .zero, value: [0, 0, 0]))
        #expect(pong.token == nil && pong.closerNodes.isEmpty && pong.error == .ok && pong.transaction == 77)
        #expect(pong.to == peer)

        let moved = try ask(.pingNAT, value: [0x34, 0x12])
        #expect(moved.first?.destination == peer.with(port: 0x1234) && moved.first?.socket == .server)
        #expect(try response(moved).to == peer.with(port: 0x1234))
        #expect(try ask(.pingNAT, value: [0, 0]).isEmpty && ask(.pingNAT, value: [1]).isEmpty && ask(.pingNAT).isEmpty)

        #expect(try ask(.findNode).isEmpty)
        let found = try response(try ask(.findNode, target: .zero))
        #expect(found.closerNodes.count == 20 && found.token == nil)

        #expect(try response(try ask(.downHint, value: [1, 2, 3, 4, 5, 6])).error == .ok)
        #expect(try ask(.downHint, value: [1, 2, 3, 4, 5]).isEmpty)

        let unknown = try response(try ask(.internal(9)))
        #expect(unknown.error == .unknownCommand && unknown.closerNodes.isEmpty && unknown.token == nil)
        #expect(try response(try ask(.internal(9), target: .zero)).closerNodes.count == 20)
    }

    @Test func externalRequestsAreForTheUpperLayer() throws {
        let rig = RPCRig()
        let peer = RPCRig.peer(1)
        for number in 2..<10 { rig.introduce(number) }
        _ = rig.outputs()
        rig.receive(
            RPCRequest(transaction: 3, to: RPCRig.own, command: .external(1), target: .zero, value: [7]), from: peer,
            on: .client)
        guard case .request(let request)? = rig.outputs().first else {
            Issue.record("the request is missing")
            return
        }
        #expect(request.command == 1 && request.value == [7] && request.from == RPCContact(address: peer))
        rig.node.decline(request)
        let refusal = try #require(try rig.responses().first)
        #expect(refusal.error == .unknownCommand && refusal.closerNodes.count == 8 && refusal.token == nil)
        rig.node.reply(to: request, value: [8])
        let answer = try #require(rig.sent().first)
        let decoded = try RPCResponse(datagram: answer.bytes)
        #expect(answer.socket == .client && answer.destination == peer)
        #expect(decoded.value == [8] && decoded.closerNodes.count == 8)
        #expect(decoded.token == rig.node.token(for: peer))

        rig.node.relay(request, value: [9], to: RPCRig.peer(4), socket: .server)
        let relayed = try #require(try rig.requests().first)
        #expect(relayed.request.transaction == 3 && relayed.request.command == .external(1))
        #expect(relayed.request.target == .zero && relayed.request.value == [9] && relayed.request.token == nil)
        #expect(relayed.request.to == RPCRig.peer(4) && relayed.request.id == rig.node.id)
        #expect(rig.node.requestCount == 0, "not tracked")
        rig.node.reply(
            to: request, value: [1], includesToken: false, includesCloserNodes: false, destination: RPCRig.peer(5))
        let redirected = try #require(rig.sent().first)
        #expect(redirected.destination == RPCRig.peer(5))
        #expect(try RPCResponse(datagram: redirected.bytes).to == RPCRig.peer(5))
    }

    @Test func delayedPingIsAnsweredLater() throws {
        var rig = RPCRig()
        func ask(_ milliseconds: UInt32, from peer: SocketAddress) {
            var writer = ByteWriter()
            writer.writeUInt32(milliseconds)
            rig.receive(
                RPCRequest(transaction: 5, to: RPCRig.own, command: .delayedPing, value: writer.bytes), from: peer)
        }
        let begin = rig.now
        ask(1000, from: RPCRig.peer(1))
        ask(10001, from: RPCRig.peer(2))
        #expect(rig.outputs().isEmpty)
        var times: [Duration] = []
        rig.run(until: begin + .seconds(12)) { time, outputs in
            for output in outputs { if case .send = output { times.append(time - begin) } }
        }
        #expect(times == [.seconds(1)])
        for host in 0..<400 {
            for _ in 0..<RPCLimits.delayedRepliesPerHost + 2 { ask(10000, from: RPCRig.peer(host)) }
        }
        #expect(rig.node.delayedReplies.count == RPCLimits.delayedReplies)
        #expect(
            rig.node.delayedReplies.values.count { $0.from == RPCRig.peer(0) } == RPCLimits.delayedRepliesPerHost)
    }

    @Test func tokensBelongToAHostAndExpire() throws {
        var rig = RPCRig()
        let peer = RPCRig.peer(1)
        let token = rig.node.token(for: peer)
        func isAccepted(from source: SocketAddress) -> Bool {
            rig.receive(
                RPCRequest(transaction: 1, to: RPCRig.own, token: token, command: .external(4)), from: source)
            return rig.outputs().contains { if case .request = $0 { true } else { false } }
        }
        #expect(isAccepted(from: peer) && isAccepted(from: peer.with(port: 1)))
        #expect(!isAccepted(from: RPCRig.peer(2)))
        rig.now = rig.now + .milliseconds(7499)
        #expect(isAccepted(from: peer))
        rig.now = rig.now + .milliseconds(7500)
        #expect(isAccepted(from: peer), "one rotation later it is the older one")
        rig.now = rig.now + .milliseconds(7500)
        #expect(!isAccepted(from: peer))
        rig.now = rig.now + .seconds(3600)
        #expect(!isAccepted(from: peer))
        #expect(rig.node.statistics.refusedTokenCount == 3)
    }
}
