import DWebBase
import DWebCrypto
import Testing

@testable import DWebDHTCore

@Suite struct HyperPuncherTests {
    private let own = SocketAddress(ipv4: 70, 0, 0, 1, port: 5)
    private let remote = SocketAddress(ipv4: 71, 0, 0, 1, port: 6)

    private func context() -> HyperContext {
        var context = HyperContext(random: SecureRandom(seed: Bytes32(repeating: 1)))
        context.now = MonotonicTime(milliseconds: 1000)
        return context
    }

    /// A puncher whose own network is analysed as asked.
    private func puncher(
        _ firewall: Firewall, remote remoteFirewall: Firewall, isInitiator: Bool = true, _ context: inout HyperContext
    ) -> Puncher {
        var puncher = Puncher(isInitiator: isInitiator, remoteFirewall: remoteFirewall, &context)
        for index in 0..<4 {
            let port = firewall == .consistent ? own.port : own.port + UInt16(index)
            puncher.addSample(
                own.with(port: port), from: SocketAddress(ipv4: 8, 8, 8, UInt8(index), port: 1), context)
        }
        #expect(puncher.nat.firewall == firewall)
        context.actions = []
        return puncher
    }

    private func sent(_ context: inout HyperContext) -> [OutgoingDatagram] {
        defer { context.actions = [] }
        return context.actions.compactMap { if case .send(let datagram) = $0 { datagram } else { nil } }
    }

    private func starts(_ puncher: inout Puncher, _ context: inout HyperContext) -> Bool { puncher.punch(&context) }

    private func outcome(_ puncher: inout Puncher) -> Puncher.Outcome? { puncher.takeOutcome() }

    private func verdict(
        _ puncher: inout Puncher, _ allowsReopening: Bool, _ context: inout HyperContext
    ) -> Puncher.Verdict {
        puncher.verdict(allowsReopening: allowsReopening, &context)
    }

    private func run(_ puncher: inout Puncher, for duration: Duration, _ context: inout HyperContext) {
        let end = context.now + duration
        while let due = puncher.nextDeadline, due <= end {
            context.now = due
            puncher.wake(&context)
        }
        context.now = end
    }

    /// Random probing and birthday punching flood an address: only its owner may ask for that.
    @Test(arguments: [(Firewall.consistent, Firewall.random), (.random, .consistent)])
    func floodsNeedAProvenAddress(firewall: Firewall, remoteFirewall: Firewall) {
        var context = context()
        var puncher = puncher(firewall, remote: remoteFirewall, &context)
        #expect(!starts(&puncher, &context))
        puncher.updateRemote(isPunching: true, firewall: remoteFirewall, addresses: [remote], verified: nil)
        #expect(!starts(&puncher, &context))
        puncher.updateRemote(isPunching: true, firewall: remoteFirewall, addresses: [remote], verified: own)
        #expect(!starts(&puncher, &context))
        run(&puncher, for: .seconds(60), &context)
        #expect(sent(&context).isEmpty)
        puncher.updateRemote(isPunching: true, firewall: remoteFirewall, addresses: [remote], verified: remote)
        #expect(starts(&puncher, &context))
        #expect(!context.randomPunches.isAvailable(now: context.now))
        run(&puncher, for: .seconds(60), &context)
        #expect(outcome(&puncher) == .exhausted)
        let packets = sent(&context)
        #expect(packets.count >= HyperLimits.randomPunchPacketCount)
        #expect(packets.allSatisfy { $0.destination.hasSameHost(as: remote) && $0.bytes == [0] })
        #expect(!context.randomPunches.isAvailable(now: context.now - .seconds(30)))
        #expect(context.randomPunches.isAvailable(now: context.now + HyperTimes.randomPunchInterval))
    }

    /// A starved process wakes late each time: its punch still ends when the peer's does.
    @Test(arguments: [(Firewall.consistent, Firewall.random), (.random, .consistent)], [50, 300, 1_500])
    func aPunchEndsInTimeOnABusyMachine(firewalls: (Firewall, Firewall), latenessMilliseconds: Int) {
        var context = context()
        var puncher = puncher(firewalls.0, remote: firewalls.1, &context)
        puncher.updateRemote(isPunching: true, firewall: firewalls.1, addresses: [remote], verified: remote)
        let start = context.now
        #expect(starts(&puncher, &context))
        while let due = puncher.nextDeadline {
            context.now = due + .milliseconds(latenessMilliseconds)
            puncher.wake(&context)
        }
        #expect(outcome(&puncher) == .exhausted)
        // The sockets are opened in eight goes, so as not to starve everything else.
        let limit = Duration.seconds(36) + .milliseconds(latenessMilliseconds * 10)
        #expect(context.now - start < limit, "\(context.now - start)")
        // What was missed by less than the time that is caught up with is sent all the same.
        let count = sent(&context).count
        if latenessMilliseconds < 400 { #expect(count >= HyperLimits.randomPunchPacketCount) }
        #expect(count >= HyperLimits.randomPunchPacketCount / 5)
    }

    @Test func unprovenAddressesGetEveryFourthRoundOnly() {
        var context = context()
        var puncher = puncher(.consistent, remote: .consistent, &context)
        let other = SocketAddress(ipv4: 72, 0, 0, 1, port: 7)
        puncher.updateRemote(isPunching: true, firewall: .consistent, addresses: [remote, other], verified: remote)
        #expect(starts(&puncher, &context))
        run(&puncher, for: .seconds(20), &context)
        let packets = sent(&context)
        #expect(packets.count { $0.destination == remote } == HyperTimes.consistentPunchRoundCount)
        #expect(packets.count { $0.destination == other } == 2)
        #expect(packets.allSatisfy { $0.timeToLive == 64 })
        #expect(outcome(&puncher) == .exhausted)
    }

    @Test func whatOnceProvedItselfStaysProven() {
        var context = context()
        var puncher = puncher(.consistent, remote: .random, &context)
        puncher.updateRemote(isPunching: false, firewall: .random, addresses: [remote], verified: remote)
        puncher.updateRemote(isPunching: true, firewall: .random, addresses: [remote.with(port: 0)], verified: nil)
        #expect(puncher.remoteAddresses.map(\.isVerified) == [true])
    }

    @Test func unknownAndDoublyRandomNetworksAreNotPunched() {
        for (firewall, remoteFirewall) in [
            (Firewall.random, Firewall.random), (.consistent, .unknown), (.random, .unknown),
        ] {
            var context = context()
            var puncher = puncher(firewall, remote: remoteFirewall, &context)
            puncher.updateRemote(isPunching: true, firewall: remoteFirewall, addresses: [remote], verified: remote)
            #expect(!starts(&puncher, &context))
            #expect(sent(&context).isEmpty)
        }
    }

    @Test func unusableAddressesGetNoPacket() {
        var context = context()
        var puncher = puncher(.consistent, remote: .consistent, &context)
        let addresses = [remote.with(port: 0), SocketAddress(ipv4: 224, 0, 0, 1, port: 9)]
        puncher.updateRemote(isPunching: true, firewall: .consistent, addresses: addresses, verified: nil)
        #expect(starts(&puncher, &context))
        puncher.openSession(addresses[0], &context)
        run(&puncher, for: .seconds(20), &context)
        #expect(sent(&context).isEmpty)
        let many = (0..<200).map { SocketAddress(ipv4: 71, 0, 0, UInt8($0), port: 1) }
        puncher.updateRemote(isPunching: true, firewall: .consistent, addresses: many, verified: nil)
        #expect(puncher.remoteAddresses.count == HyperLimits.peerAddressCount)
    }

    @Test func theServerAnswersEveryPacketAndTheClientTakesOne() {
        var context = context()
        var server = puncher(.consistent, remote: .consistent, isInitiator: false, &context)
        for _ in 0..<3 { server.punched(on: server.socket, from: remote, &context) }
        #expect(sent(&context).map(\.destination) == [remote, remote, remote])
        #expect(outcome(&server) == nil)
        var client = puncher(.consistent, remote: .consistent, &context)
        client.punched(on: SocketID(rawValue: 999), from: remote, &context)
        #expect(outcome(&client) == nil)
        client.punched(on: client.socket, from: remote, &context)
        client.punched(on: client.socket, from: own, &context)
        #expect(outcome(&client) == .connected(client.socket, remote))
        #expect(outcome(&client) == nil)
        #expect(sent(&context).isEmpty)
        client.destroy(keeping: client.socket, &context)
        #expect(context.actions.count { if case .handOverSocket = $0 { true } else { false } } == 1)
        #expect(!context.actions.contains { if case .releaseSocket = $0 { true } else { false } })
    }

    @Test func unstableSocketsAreReopenedThreeTimes() {
        var context = context()
        context.recentNodes = (0..<4).map { SocketAddress(ipv4: 8, 8, 8, $0, port: 1) }
        var puncher = Puncher(isInitiator: true, remoteFirewall: .random, &context)
        var rounds = 0
        while rounds < 10 {
            rounds += 1
            for index in 0..<4 {
                puncher.addSample(
                    own.with(port: UInt16(rounds * 10 + index)),
                    from: SocketAddress(ipv4: 8, 8, 8, UInt8(index), port: 1), context)
            }
            #expect(verdict(&puncher, false, &context) == .unstable)
            if verdict(&puncher, true, &context) == .unstable { break }
        }
        #expect(rounds == 4)
        let bound = context.actions.count { if case .bindSocket = $0 { true } else { false } }
        let released = context.actions.count { if case .releaseSocket = $0 { true } else { false } }
        #expect(bound == 4 && released == 3)
    }

    @Test(arguments: [Firewall.unknown, .consistent])
    func aReopenedSocketMayBeRandomIfThePeersIsNot(remoteFirewall: Firewall) {
        var context = context()
        context.recentNodes = (0..<4).map { SocketAddress(ipv4: 8, 8, 8, $0, port: 1) }
        var puncher = Puncher(isInitiator: false, remoteFirewall: remoteFirewall, &context)
        // Of eight pings over two passes none is answered.
        while !puncher.nat.isAnalyzed { puncher.sampled(puncher.socket, reply: nil, &context) }
        #expect(verdict(&puncher, false, &context) == .unstable)
        #expect(verdict(&puncher, true, &context) == .pending)
        for index in 0..<4 {
            puncher.addSample(
                own.with(port: UInt16(10 + index)), from: SocketAddress(ipv4: 8, 8, 8, UInt8(index), port: 1), context)
        }
        #expect(puncher.nat.firewall == .random)
        #expect(verdict(&puncher, true, &context) == .stable)
    }
}
