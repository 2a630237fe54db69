import DWebBase
import DWebCrypto
import Testing

@testable import DWebDHTCore

@Suite struct HyperNetworkTests {
    private let serverKeys = KeyPair(seed: Bytes32(repeating: 2))
    private let clientKeys = KeyPair(seed: Bytes32(repeating: 1))

    private func listen(_ network: HyperTestNetwork, _ member: HyperTestNetwork.Member) throws -> ServerID {
        let id = network.perform(member) { $0.listen(as: serverKeys, now: $1) }
        let server = try #require(id)
        network.run(for: .seconds(15), until: { member.announcements[server] != nil })
        return server
    }

    // MARK: Records

    @Test func announcedPeersAreFoundAndForgotten() throws {
        let network = HyperTestNetwork.persistent(count: 12, seed: 1)
        let topic = Bytes32(repeating: 0x77)
        let announcer = network.members[3]
        let relays = [SocketAddress(ipv4: 1, 2, 3, 4, port: 5)]
        let announced = network.perform(announcer) {
            $0.announce(topic, as: serverKeys, relayAddresses: relays, bump: 1_700_000_001_000, now: $1)
        }
        network.run(for: .seconds(10))
        let result = try #require(announcer.finished(announced))
        #expect(result.error == nil)
        #expect(result.storedCount >= 10)

        func found(by member: HyperTestNetwork.Member) -> [LookupReply] {
            let lookup = network.perform(member) { $0.lookup(topic, now: $1) }
            network.run(for: .seconds(10))
            return member.events[lookup, default: []].compactMap {
                if case .peers(let reply, _) = $0 { reply } else { nil }
            }
        }
        let replies = found(by: network.members[8])
        #expect(replies.count >= 10)
        for reply in replies {
            #expect(reply.peers == [PeerRecord(publicKey: serverKeys.publicKey, relayAddresses: relays)])
            #expect(reply.bump == 1_700_000_001_000)
        }
        let withdrawn = network.perform(announcer) { $0.unannounce(topic, as: serverKeys, now: $1) }
        network.run(for: .seconds(10))
        #expect(try #require(announcer.finished(withdrawn)).storedCount >= 10)
        #expect(found(by: network.members[8]).isEmpty)
    }

    @Test func clearingAnnouncementReplacesOldRecords() throws {
        let network = HyperTestNetwork.persistent(count: 8, seed: 2)
        let topic = Bytes32(repeating: 0x55)
        let member = network.members[2]
        for port: UInt16 in [1, 2] {
            let id = network.perform(member) {
                $0.announce(
                    topic, as: serverKeys, relayAddresses: [SocketAddress(ipv4: 1, 2, 3, 4, port: port)],
                    isClearing: port == 2, now: $1)
            }
            network.run(for: .seconds(10))
            #expect(try #require(member.finished(id)).error == nil)
        }
        let lookup = network.perform(network.members[5]) { $0.lookup(topic, now: $1) }
        network.run(for: .seconds(10))
        for case .peers(let reply, _) in network.members[5].events[lookup, default: []] {
            #expect(reply.peers.map { $0.relayAddresses.map(\.port) } == [[2]])
        }
    }

    @Test func valuesArePutAndGot() throws {
        let network = HyperTestNetwork.persistent(count: 10, seed: 3)
        let writer = network.members[1]
        let reader = network.members[7]
        let value = Array("hello".utf8)
        for sequence: UInt64 in [4, 5] {
            let put = network.perform(writer) {
                $0.mutablePut(value + [UInt8(sequence)], sequence: sequence, as: serverKeys, now: $1)
            }
            network.run(for: .seconds(10))
            #expect(try #require(writer.finished(put)).error == nil)
        }
        let old = network.perform(writer) { $0.mutablePut(value, sequence: 3, as: serverKeys, now: $1) }
        let put = network.perform(writer) { $0.immutablePut(value, now: $1) }
        network.run(for: .seconds(10))
        #expect(try #require(writer.finished(old)).error == .notStored)
        #expect(try #require(writer.finished(put)).error == nil)

        let get = network.perform(reader) { $0.mutableGet(serverKeys.publicKey, now: $1) }
        let none = network.perform(reader) { $0.mutableGet(serverKeys.publicKey, minimumSequence: 6, now: $1) }
        let fixed = network.perform(reader) { $0.immutableGet(Blake2b.hash32(value), now: $1) }
        network.run(for: .seconds(10))
        let records: [MutableRecord] = reader.events[get, default: []].compactMap {
            if case .mutable(let record, _) = $0 { record } else { nil }
        }
        #expect(records.map(\.sequence) == [5])
        #expect(records.first?.value == value + [5])
        #expect(reader.events[none]?.count == 1)
        let values: [[UInt8]] = reader.events[fixed, default: []].compactMap {
            if case .immutable(let value, _) = $0 { value } else { nil }
        }
        #expect(values == [value])
    }

    @Test func oversizedAndEmptyValuesAreRefused() throws {
        let network = HyperTestNetwork.persistent(count: 3, seed: 4)
        let member = network.members[1]
        for count in [0, HyperLimits.valueByteCount + 1] {
            let value = [UInt8](repeating: 1, count: count)
            let put = network.perform(member) { $0.immutablePut(value, now: $1) }
            #expect(member.finished(put)?.error == .valueSize(count))
            let other = network.perform(member) { $0.mutablePut(value, sequence: 1, as: serverKeys, now: $1) }
            #expect(member.finished(other)?.error == .valueSize(count))
        }
    }

    // MARK: Servers

    @Test func serverAnnouncesKeepsAndWithdraws() throws {
        let network = HyperTestNetwork.persistent(count: 12, seed: 5)
        let member = network.addPeer(1, .consistent)
        let server = try listen(network, member)
        let relays = try #require(member.announcements[server]?.last)
        #expect(relays.count == 3)
        #expect(network.perform(member) { node, _ in node.relayAddresses(of: server) } == relays)
        #expect(network.perform(member) { $0.listen(as: serverKeys, now: $1) } == nil)

        func find() -> Int {
            let seeker = network.members[6]
            let find = network.perform(seeker) { $0.findPeer(serverKeys.publicKey, now: $1) }
            network.run(for: .seconds(10))
            return seeker.events[find, default: []].count {
                if case .peer(let record, _) = $0 { record.publicKey == serverKeys.publicKey } else { false }
            }
        }
        #expect(find() == 3)
        // One relay dies: within seconds another takes its place.
        let lost = try #require(network.members.first { $0.host.hasSameHost(as: relays[0]) })
        lost.isAlive = false
        network.run(for: .seconds(40))
        let later = try #require(member.announcements[server]?.last)
        #expect(later.count == 3)
        #expect(!later.contains(relays[0]))
        // It announces again about every five minutes.
        let count = member.announcements[server]!.count
        network.run(for: .seconds(400))
        #expect(member.announcements[server]!.count > count)

        network.perform(member) { $0.close(server, now: $1) }
        network.run(for: .seconds(15))
        #expect(member.closed == [server])
        #expect(find() == 0)
        #expect(network.perform(member) { $0.listen(as: serverKeys, now: $1) } != nil)
    }

    // MARK: Connections

    private func expectConnected(
        _ network: HyperTestNetwork, _ client: HyperTestNetwork.Member, _ id: ConnectionID,
        _ server: HyperTestNetwork.Member, within duration: Duration = .seconds(30),
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        network.run(
            for: duration,
            until: {
                guard client.isHeard(id), let handshake = server.handshakes.last else {
                    return client.failures[id] != nil
                }
                return server.isHeard(handshake.connection)
            })
        #expect(client.failures[id] == nil, sourceLocation: sourceLocation)
        let handshake = try #require(server.handshakes.last, sourceLocation: sourceLocation)
        #expect(server.failures[handshake.connection] == nil, sourceLocation: sourceLocation)
        let near = try #require(client.paths[id], sourceLocation: sourceLocation)
        let far = try #require(server.paths[handshake.connection], sourceLocation: sourceLocation)
        #expect(near.keys.transmitKey == far.keys.receiveKey, sourceLocation: sourceLocation)
        #expect(near.keys.handshakeHash == far.keys.handshakeHash, sourceLocation: sourceLocation)
        #expect(near.streamID == far.remoteStreamID, sourceLocation: sourceLocation)
        #expect(near.remoteStreamID == far.streamID, sourceLocation: sourceLocation)
        #expect(
            handshake.remotePublicKey == near.keys.remotePublicKey
                || far.keys.remotePublicKey == handshake.remotePublicKey)
        #expect(client.isHeard(id), sourceLocation: sourceLocation)
        #expect(server.isHeard(handshake.connection), sourceLocation: sourceLocation)
    }

    @Test func openServerIsReachedDirectly() throws {
        let network = HyperTestNetwork.persistent(count: 12, seed: 6)
        let server = network.members[4]
        _ = try listen(network, server)
        let client = network.addPeer(2, .consistent)
        let id = network.connect(client, to: serverKeys.publicKey, as: clientKeys)
        try expectConnected(network, client, id, server, within: .seconds(10))
        #expect(client.paths[id]?.socket == .client)
    }

    @Test func openClientIsConnectedByTheServer() throws {
        let network = HyperTestNetwork.persistent(count: 12, seed: 7)
        let server = network.addPeer(1, .random)
        _ = try listen(network, server)
        let client = network.members[5]
        let id = network.connect(client, to: serverKeys.publicKey, as: clientKeys)
        try expectConnected(network, client, id, server, within: .seconds(10))
    }

    @Test func manyKeyPairsListenAtOneNode() throws {
        let network = HyperTestNetwork.persistent(count: 14, seed: 41)
        let member = network.addPeer(1, .consistent)
        let keys = (0..<6).map { KeyPair(seed: Bytes32(repeating: UInt8(100 + $0))) }
        let servers = try keys.map { key in try #require(network.perform(member) { $0.listen(as: key, now: $1) }) }
        #expect(network.perform(member) { $0.listen(as: keys[2], now: $1) } == nil, "each listens once")
        network.run(for: .seconds(10))
        let client = network.addPeer(2, .consistent)
        for (key, server) in zip(keys, servers) {
            let id = network.connect(client, to: key.publicKey, as: clientKeys)
            try expectConnected(network, client, id, member)
            #expect(member.handshakes.last?.server == server)
        }
        // One that goes takes no other with it.
        network.perform(member) { $0.close(servers[0], now: $1) }
        network.run(for: .seconds(15))
        let gone = network.connect(client, to: keys[0].publicKey, as: clientKeys)
        network.run(for: .seconds(30), until: { client.failures[gone] != nil })
        #expect(client.failures[gone] != nil)
        let id = network.connect(client, to: keys[1].publicKey, as: clientKeys)
        try expectConnected(network, client, id, member)
    }

    @Test func peersInOneNetworkUseIt() throws {
        let network = HyperTestNetwork.persistent(count: 12, seed: 8)
        let server = network.addPeer(1, .random)
        _ = try listen(network, server)
        let client = network.addPeer(2, .random, shared: server.translator)
        let id = network.connect(client, to: serverKeys.publicKey, as: clientKeys)
        try expectConnected(network, client, id, server, within: .seconds(10))
        #expect(client.paths[id]?.address == server.host.with(port: 49737))
    }

    @Test func blockedInnerNetworksFallBackToPunching() throws {
        let network = HyperTestNetwork.persistent(count: 12, seed: 36)
        let server = network.addPeer(1, .consistent)
        _ = try listen(network, server)
        let client = network.addPeer(2, .consistent, shared: server.translator)
        network.drops = { _, to, _ in AddressClass(to) == .privateUse }
        let id = network.connect(client, to: serverKeys.publicKey, as: clientKeys)
        try expectConnected(network, client, id, server)
        #expect(client.paths[id]?.address.hasSameHost(as: server.translator!.publicHost) == true)
    }

    @Test func consistentFirewallsArePunched() throws {
        let network = HyperTestNetwork.persistent(count: 14, seed: 9)
        let server = network.addPeer(1, .consistent)
        _ = try listen(network, server)
        let client = network.addPeer(2, .consistent)
        let id = network.connect(client, to: serverKeys.publicKey, as: clientKeys)
        try expectConnected(network, client, id, server)
        let socket = try #require(client.paths[id]?.socket)
        #expect(socket >= .firstExtra)
        network.run(for: .seconds(15))
        // Every other punch socket is given back, on both sides.
        #expect(client.addresses.count == 3)
        #expect(server.addresses.count == 3)
        // Nothing but session openers goes out with a short life, and pings with the usual one.
        for packet in network.sent where packet.bytes.count == 1 {
            #expect(packet.timeToLive == 5 || packet.timeToLive == 64)
        }
    }

    /// On each stretch of its way around, a message of a punch round is lost once, or as often as it is repeated: the round
    /// is made again by the request layer (spec 20 sections 3 and 9), and the connection comes about all the same.
    @Test(arguments: [RelayMode.fromClient, .fromRelay, .fromServer, .reply], [1, 3])
    func lostPunchRoundsAreRepeated(stretch: RelayMode, lossCount: Int) throws {
        let network = HyperTestNetwork.persistent(count: 14, seed: 9)
        let server = network.addPeer(1, .consistent)
        _ = try listen(network, server)
        let client = network.addPeer(2, .consistent)
        // A round keeps its transaction all the way.
        var rounds: [UInt16: Int] = [:]
        network.drops = { _, _, bytes in
            let message: (transaction: UInt16, value: [UInt8]?)
            if let request = try? RPCRequest(datagram: bytes) {
                guard request.command == .external(HyperCommand.peerHolepunch.rawValue) else { return false }
                message = (request.transaction, request.value)
                if rounds[message.transaction] == nil { rounds[message.transaction] = 0 }
            } else if let response = try? RPCResponse(datagram: bytes), rounds[response.transaction] != nil {
                message = (response.transaction, response.value)
            } else {
                return false
            }
            guard let decoded = try? HolepunchMessage(decoding: message.value ?? []), decoded.mode == stretch,
                rounds[message.transaction]! < lossCount
            else { return false }
            rounds[message.transaction]! += 1
            return true
        }
        let id = network.connect(client, to: serverKeys.publicKey, as: clientKeys) { $0.isFastOpenEnabled = false }
        try expectConnected(network, client, id, server)
        #expect(try #require(client.paths[id]).socket >= .firstExtra)
        // The probe and the round that punches.
        #expect(rounds.count >= 2 && rounds.values.allSatisfy { $0 == lossCount }, "\(rounds)")
    }

    @Test func slowSocketsDelayButDoNotBreakPunching() throws {
        let network = HyperTestNetwork.persistent(count: 14, seed: 10)
        let server = network.addPeer(1, .consistent)
        server.bindDelay = .milliseconds(120)
        _ = try listen(network, server)
        let client = network.addPeer(2, .consistent)
        client.bindDelay = .milliseconds(200)
        let id = network.connect(client, to: serverKeys.publicKey, as: clientKeys)
        try expectConnected(network, client, id, server)
    }

    @Test func randomClientReachesConsistentServer() throws {
        let network = HyperTestNetwork.persistent(count: 14, seed: 11)
        let server = network.addPeer(1, .consistent)
        _ = try listen(network, server)
        let client = network.addPeer(2, .random)
        let id = network.connect(client, to: serverKeys.publicKey, as: clientKeys)
        try expectConnected(network, client, id, server, within: .seconds(60))
        let ports = Set(punches(network, from: client).map(\.from.port))
        #expect(ports.count > 200)
        // Birthday sockets are many, but never more than the limit.
        #expect(client.releasedSockets.count < HyperLimits.birthdaySocketCount)
        network.run(for: .seconds(15))
        #expect(client.addresses.count == 3)
    }

    @Test func consistentClientReachesRandomServer() throws {
        let network = HyperTestNetwork.persistent(count: 14, seed: 12)
        let server = network.addPeer(1, .random)
        _ = try listen(network, server)
        let client = network.addPeer(2, .consistent)
        let id = network.connect(client, to: serverKeys.publicKey, as: clientKeys)
        try expectConnected(network, client, id, server, within: .seconds(60))
        let targets = Set(punches(network, from: client).map(\.to))
        #expect(targets.count > 10)
        #expect(targets.allSatisfy { $0.hasSameHost(as: server.translator!.publicHost) && $0.port >= 1000 })
    }

    /// Without the one-byte packets there is no connection: nothing else opened the way.
    @Test(arguments: [
        (HyperTestNetwork.Translator.Mapping.consistent, HyperTestNetwork.Translator.Mapping.consistent, 10.0),
        (.consistent, .random, 35.0), (.random, .consistent, 35.0),
    ])
    func punchingEndsWithoutPackets(
        server mapping: HyperTestNetwork.Translator.Mapping, client other: HyperTestNetwork.Translator.Mapping,
        seconds: Double
    ) throws {
        let network = HyperTestNetwork.persistent(count: 14, seed: 20)
        let server = network.addPeer(1, mapping)
        _ = try listen(network, server)
        let client = network.addPeer(2, other)
        network.drops = { $2.count == 1 }
        let start = network.now
        let id = network.connect(client, to: serverKeys.publicKey, as: clientKeys)
        network.run(for: .seconds(90), until: { client.failures[id] != nil })
        #expect(client.failures[id] == .holepunchAborted)
        #expect(abs((network.now - start).seconds - seconds) < 3)
        network.run(for: .seconds(60))
        #expect(server.failures.count == 1)
        #expect(client.addresses.count == 2)
        #expect(server.addresses.count == 2)
        let sent = punches(network, from: client)
        #expect(sent.count <= HyperLimits.randomPunchPacketCount + HyperLimits.birthdaySocketCount + 4)
    }

    /// A random punch is expensive for the network: a second one has to wait for its turn.
    @Test func randomPunchesAreRationed() throws {
        let network = HyperTestNetwork.persistent(count: 14, seed: 21)
        let server = network.addPeer(1, .consistent)
        _ = try listen(network, server)
        let client = network.addPeer(2, .random)
        network.drops = { $2.count == 1 }
        // Also two that begin together are one too many.
        let twins = (0..<2).map { _ in network.connect(client, to: serverKeys.publicKey, as: clientKeys) }
        network.run(for: .seconds(10))
        #expect(twins.count { client.failures[$0] == .holepunchAborted } == 1)
        let first = try #require(twins.first { client.failures[$0] == nil })
        let second = network.connect(client, to: serverKeys.publicKey, as: clientKeys)
        network.run(for: .seconds(10))
        #expect(client.failures[second] == .holepunchAborted)
        #expect(client.failures[first] == nil)
        network.run(for: .seconds(60))
        #expect(client.failures[first] == .holepunchAborted)
        network.drops = { _, _, _ in false }
        let third = network.connect(client, to: serverKeys.publicKey, as: clientKeys)
        try expectConnected(network, client, third, server, within: .seconds(60))
    }

    private func punches(
        _ network: HyperTestNetwork, from member: HyperTestNetwork.Member
    ) -> [(from: SocketAddress, to: SocketAddress, bytes: [UInt8], timeToLive: UInt8)] {
        network.sent.filter { packet in
            packet.bytes.count == 1 && member.translator.map { packet.from.hasSameHost(as: $0.publicHost) } == true
        }
    }

    @Test func twoRandomFirewallsAreGivenUpBeforePunching() throws {
        let network = HyperTestNetwork.persistent(count: 14, seed: 13)
        let server = network.addPeer(1, .random)
        _ = try listen(network, server)
        let client = network.addPeer(2, .random)
        let id = network.connect(client, to: serverKeys.publicKey, as: clientKeys)
        network.run(for: .seconds(40))
        let error = try #require(client.failures[id])
        #expect([.doubleRandomizedNATs, .remoteAborted, .holepunchAborted].contains(error))
        #expect(client.addresses.count == 2)
        network.run(for: .seconds(20))
        #expect(server.addresses.count == 2)
        #expect(server.failures.count == 1)
    }

    // MARK: Blind relays

    private let relayKey = KeyPair(seed: Bytes32(repeating: 99)).publicKey

    /// Two networks that cannot be punched: the stream runs through the relay, whoever offers it.
    @Test(arguments: [true, false])
    func relaysConnectWhatCannotBePunched(isServerOffering: Bool) throws {
        let network = HyperTestNetwork.persistent(count: 14, seed: 31)
        let server = network.addPeer(1, .random)
        var options = ListenOptions()
        options.relayThrough = isServerOffering ? [relayKey] : []
        let listening = network.perform(server) { $0.listen(as: serverKeys, options: options, now: $1) }
        network.run(for: .seconds(15), until: { server.announcements[listening!] != nil })
        let client = network.addPeer(2, .random)
        let id = network.connect(client, to: serverKeys.publicKey, as: clientKeys) {
            $0.relayThrough = isServerOffering ? [] : [relayKey]
        }
        network.run(for: .seconds(40))
        let near = try #require(client.paths[id])
        let incoming = try #require(server.handshakes.last?.connection)
        let far = try #require(server.paths[incoming])
        #expect(near.isRelayed && far.isRelayed)
        #expect(near.keys.transmitKey == far.keys.receiveKey)
        #expect(client.isHeard(id) && server.isHeard(incoming))
        #expect(client.failures.isEmpty && server.failures.isEmpty)
        #expect(client.upgrades.isEmpty && server.upgrades.isEmpty)
        // The side that offers the relay is the pair's initiator, whoever connects.
        #expect(network.pairRequests.count == 2)
        #expect(network.pairRequests.allSatisfy { $0.relay == relayKey })
        let byServer = try #require(network.pairRequests.first { $0.streamID == far.streamID })
        #expect(byServer.isInitiator == isServerOffering)
        network.run(for: HyperTimes.relayedPunchWait + .seconds(15))
        #expect(client.addresses.count == 2 && server.addresses.count == 2)
        #expect(client.node.connectors.isEmpty && server.node.incoming.isEmpty)
    }

    /// While the stream runs through the relay, the hole is still punched, and then used.
    @Test func relayedStreamsAreUpgraded() throws {
        let network = HyperTestNetwork.persistent(count: 14, seed: 32)
        let server = network.addPeer(1, .consistent)
        var options = ListenOptions()
        options.relayThrough = [relayKey]
        let listening = network.perform(server) { $0.listen(as: serverKeys, options: options, now: $1) }
        network.run(for: .seconds(15), until: { server.announcements[listening!] != nil })
        let client = network.addPeer(2, .random)
        let id = network.connect(client, to: serverKeys.publicKey, as: clientKeys)
        network.run(for: .seconds(60))
        let path = try #require(client.paths[id])
        let incoming = try #require(server.handshakes.last?.connection)
        #expect(path.isRelayed)
        #expect(server.paths[incoming]?.isRelayed == true)
        let near = try #require(client.upgrades[id])
        let far = try #require(server.upgrades[incoming])
        #expect(near.streamID == far.remoteStreamID && near.remoteStreamID == far.streamID)
        #expect(near.socket >= .firstExtra && !near.isRelayed)
        #expect(client.failures.isEmpty && server.failures.isEmpty)
        #expect(client.node.connectors.isEmpty && server.node.incoming.isEmpty)
    }

    /// A direct path that comes first makes the relay superfluous.
    @Test func fastPathsAbandonTheRelay() throws {
        let network = HyperTestNetwork.persistent(count: 14, seed: 33)
        network.isRelayWorking = false
        let server = network.addPeer(1, .consistent)
        _ = try listen(network, server)
        let client = network.addPeer(2, .consistent)
        let id = network.connect(client, to: serverKeys.publicKey, as: clientKeys) { $0.relayThrough = [relayKey] }
        try expectConnected(network, client, id, server)
        #expect(client.paths[id]?.isRelayed == false)
        #expect(client.abandoned == [id])
        #expect(server.abandoned == Set(server.handshakes.map(\.connection)))
    }

    @Test func silentRelaysEndTheAttempt() throws {
        let network = HyperTestNetwork.persistent(count: 14, seed: 34)
        network.isRelayWorking = false
        let server = network.addPeer(1, .random)
        _ = try listen(network, server)
        let client = network.addPeer(2, .random)
        let id = network.connect(client, to: serverKeys.publicKey, as: clientKeys) { $0.relayThrough = [relayKey] }
        network.run(for: .seconds(10))
        #expect(client.failures[id] == nil)
        network.run(for: .seconds(20))
        #expect(client.failures[id] == .doubleRandomizedNATs)
        #expect(client.abandoned == [id])
        #expect(server.failures.count == 1)
        #expect(server.node.incoming.isEmpty)
    }

    /// With a relay there is time: a second random punch waits for its turn instead of failing.
    @Test func relayedPunchesWaitForTheirTurn() throws {
        let network = HyperTestNetwork.persistent(count: 14, seed: 35)
        let server = network.addPeer(1, .consistent)
        _ = try listen(network, server)
        let other = network.addPeer(3, .consistent)
        let otherKeys = KeyPair(seed: Bytes32(repeating: 5))
        let listening = network.perform(other) { $0.listen(as: otherKeys, now: $1) }
        network.run(for: .seconds(15), until: { other.announcements[listening!] != nil })
        let client = network.addPeer(2, .random)
        let first = network.connect(client, to: serverKeys.publicKey, as: clientKeys)
        network.run(for: .seconds(10), until: { client.paths[first] != nil })
        // The end of the first punch is too recent.
        let second = network.connect(client, to: otherKeys.publicKey, as: clientKeys) { $0.relayThrough = [relayKey] }
        network.run(for: .seconds(8))
        #expect(client.paths[second]?.isRelayed == true)
        #expect(client.upgrades[second] == nil)
        network.run(for: .seconds(80))
        #expect(client.upgrades[second] != nil)
        #expect(other.upgrades.count == 1)
        #expect(client.failures.isEmpty)
    }

    @Test func unknownPeersAreNotFound() throws {
        let network = HyperTestNetwork.persistent(count: 6, seed: 14)
        let client = network.addPeer(2, .consistent)
        let id = network.connect(client, to: serverKeys.publicKey, as: clientKeys)
        network.run(for: .seconds(30))
        #expect(client.failures[id] == .peerNotFound)
    }

    @Test func deadServersFail() throws {
        let network = HyperTestNetwork.persistent(count: 10, seed: 15)
        let server = network.addPeer(1, .consistent)
        _ = try listen(network, server)
        server.isAlive = false
        let client = network.addPeer(2, .consistent)
        let id = network.connect(client, to: serverKeys.publicKey, as: clientKeys)
        network.run(for: .seconds(60))
        #expect(client.failures[id] == .peerConnectionFailed)
    }

    @Test func refusedClientsHearNothing() throws {
        let network = HyperTestNetwork.persistent(count: 10, seed: 16)
        let server = network.addPeer(1, .consistent)
        server.isWelcoming = { _ in false }
        _ = try listen(network, server)
        let client = network.addPeer(2, .consistent)
        let id = network.connect(client, to: serverKeys.publicKey, as: clientKeys)
        network.run(for: .seconds(60))
        #expect(client.failures[id] == .peerConnectionFailed)
        // The same message came many times over several relays, and was asked about once per life of the slot.
        #expect(server.handshakes.count >= 1 && server.handshakes.count < 8)
        #expect(server.failures.isEmpty)
    }

    @Test func knownRelaysSpareTheSearch() throws {
        let network = HyperTestNetwork.persistent(count: 12, seed: 17)
        let server = network.addPeer(1, .consistent)
        let listening = try listen(network, server)
        let relays = try #require(server.announcements[listening]?.last)
        let client = network.addPeer(2, .consistent)
        let id = network.connect(client, to: serverKeys.publicKey, as: clientKeys) { $0.relayAddresses = relays }
        try expectConnected(network, client, id, server)
        // Any node forwards to a server over a relay that knows it.
        let other = try #require(
            network.members.first { node in
                node.translator == nil && node.host != HyperTestNetwork.entry
                    && !relays.contains { $0.hasSameHost(as: node.host) }
            })
        #expect(other.isAlive)
        let again = network.connect(client, to: serverKeys.publicKey, as: clientKeys)
        network.run(for: .seconds(30), until: { client.paths[again] != nil || client.failures[again] != nil })
        #expect(client.paths[again] != nil)
    }

    @Test func suspendedNodesRefuseAndRecover() throws {
        let network = HyperTestNetwork.persistent(count: 10, seed: 18)
        let server = network.addPeer(1, .consistent)
        let listening = try listen(network, server)
        let client = network.addPeer(2, .consistent)
        let first = network.connect(client, to: serverKeys.publicKey, as: clientKeys)
        network.perform(client) { $0.suspend(now: $1) }
        #expect(client.failures[first] == .suspended)
        let second = network.connect(client, to: serverKeys.publicKey, as: clientKeys)
        #expect(client.failures[second] == .suspended)
        network.perform(client) { $0.resume(serverPort: 49737, now: $1) }
        network.perform(server) { $0.suspend(now: $1) }
        network.run(for: .seconds(5))
        let count = server.announcements[listening]?.count ?? 0
        network.perform(server) { $0.resume(serverPort: 49737, now: $1) }
        network.run(for: .seconds(15))
        #expect((server.announcements[listening]?.count ?? 0) > count)
        let third = network.connect(client, to: serverKeys.publicKey, as: clientKeys)
        try expectConnected(network, client, third, server)
    }

    @Test func runsAreReproducible() throws {
        func trace() throws -> UInt64 {
            let network = HyperTestNetwork.persistent(count: 10, seed: 19)
            let server = network.addPeer(1, .consistent)
            _ = try listen(network, server)
            let client = network.addPeer(2, .consistent)
            let id = network.connect(client, to: serverKeys.publicKey, as: clientKeys)
            try expectConnected(network, client, id, server)
            return network.trace
        }
        #expect(try trace() == (try trace()))
    }
}
