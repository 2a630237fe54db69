import DWebBase
import DWebCrypto
import Testing

@testable import DWebDHTCore

@Suite struct HyperStoreTests {
    private let nodeID = Bytes32(repeating: 9)
    private let token = Bytes32(repeating: 8)
    private let from = SocketAddress(ipv4: 9, 8, 7, 6, port: 1000)

    private func store() -> RecordStore { RecordStore(random: SecureRandom(seed: .zero)) }

    private func request(_ target: Bytes32, _ value: [UInt8]? = nil, from: SocketAddress? = nil) -> StoreRequest {
        StoreRequest(target: target, token: token, value: value, from: from ?? self.from, nodeID: nodeID)
    }

    private func keys(_ number: Int) -> KeyPair {
        KeyPair(seed: Blake2b.hash32([UInt8(number >> 8), UInt8(number & 255)]))
    }

    private func announcement(
        _ target: Bytes32, _ keyPair: KeyPair, relays: [SocketAddress] = [], refresh: Bytes32? = nil,
        bump: UInt64 = 0, kind: Announcement.Kind = .announce
    ) -> [UInt8] {
        Announcement.signed(
            kind, target: target, nodeID: nodeID, token: token, relayAddresses: relays, refresh: refresh, bump: bump,
            keyPair: keyPair
        ).encoded
    }

    private func peers(_ reply: StoreReply) throws -> LookupReply? {
        guard case .value(let value) = reply else { throw CodecError.invalidValue }
        return try value.map { try LookupReply(decoding: $0) }
    }

    private func minutes(_ count: Double) -> MonotonicTime { MonotonicTime(milliseconds: Int64(count * 60_000)) }

    @Test func lookupReturnsAtMostTwentyRandomRecords() throws {
        var store = store()
        let topic = Bytes32(repeating: 1)
        #expect(try peers(store.lookup(request(topic), now: .zero)) == nil)
        for number in 0..<30 {
            let value = announcement(topic, keys(number))
            #expect(store.announce(request(topic, value), unixMilliseconds: 0, now: .zero) == .acknowledgement)
        }
        var seen: Set<PublicKey> = []
        for _ in 0..<20 {
            let reply = try #require(try peers(store.lookup(request(topic), now: .zero)))
            #expect(reply.peers.count == HyperLimits.lookupRecordCount)
            #expect(Set(reply.peers.map(\.publicKey)).count == HyperLimits.lookupRecordCount)
            seen.formUnion(reply.peers.map(\.publicKey))
        }
        #expect(seen.count == 30)
    }

    @Test func onlyThreeRelayAddressesAreKept() throws {
        var store = store()
        let topic = Bytes32(repeating: 1)
        let relays = (1...5).map { SocketAddress(ipv4: 1, 1, 1, $0, port: 5) }
        let value = announcement(topic, keys(1), relays: relays)
        _ = store.announce(request(topic, value), unixMilliseconds: 0, now: .zero)
        let reply = try #require(try peers(store.lookup(request(topic), now: .zero)))
        #expect(reply.peers.first?.relayAddresses == Array(relays.prefix(HyperLimits.relayAddressCount)))
    }

    @Test func bumpsFromTheFutureAreIgnored() throws {
        var store = store()
        let topic = Bytes32(repeating: 1)
        func bump(_ bump: UInt64) throws -> UInt64? {
            let value = announcement(topic, keys(1), bump: bump)
            _ = store.announce(request(topic, value), unixMilliseconds: 1_000_000, now: .zero)
            return try peers(store.lookup(request(topic), now: .zero))?.bump
        }
        #expect(try bump(1_060_001) == 0)
        #expect(try bump(ByteReader.integerLimit) == 0)
        #expect(try bump(1_060_000) == 1_060_000)
        #expect(try bump(900_000) == 1_060_000)
    }

    @Test func selfAnnouncementsForwardAndAreWithdrawn() throws {
        var store = store()
        let keyPair = keys(1)
        let target = Blake2b.hash32(keyPair.publicKey.bytes)
        let value = announcement(target, keyPair)
        #expect(store.announce(request(target, value), unixMilliseconds: 0, now: .zero) == .acknowledgement)
        #expect(store.forwardAddress(for: target, now: .zero) == from)
        let record = PeerRecord(publicKey: keyPair.publicKey)
        #expect(store.findPeer(request(target), now: .zero) == .value(record.encoded))
        #expect(try peers(store.lookup(request(target), now: .zero))?.peers == [record])
        // Somebody else's withdrawal does not count, nor does an announcement used as one.
        let other = announcement(target, keys(2), kind: .unannounce)
        #expect(store.unannounce(request(target, other)) == .acknowledgement)
        #expect(store.unannounce(request(target, value)) == .silent)
        #expect(store.forwardAddress(for: target, now: .zero) == from)
        #expect(store.unannounce(request(target, announcement(target, keyPair, kind: .unannounce))) == .acknowledgement)
        #expect(store.forwardAddress(for: target, now: .zero) == nil)
        #expect(store.findPeer(request(target), now: .zero) == .value(nil))
    }

    @Test func ownServersCannotBeReplaced() throws {
        var store = store()
        let keyPair = keys(1)
        let target = Blake2b.hash32(keyPair.publicKey.bytes)
        let own = PeerRecord(publicKey: keyPair.publicKey, relayAddresses: [from]).encoded
        store.pin(own, under: target)
        _ = store.announce(request(target, announcement(target, keyPair)), unixMilliseconds: 0, now: .zero)
        #expect(store.forwardAddress(for: target, now: .zero) == nil)
        #expect(store.findPeer(request(target), now: .zero) == .value(own))
        store.unpin(target)
        #expect(store.findPeer(request(target), now: .zero) == .value(nil))
    }

    @Test func refreshChainReappliesTheRecord() throws {
        var store = store()
        let keyPair = keys(1)
        let target = Blake2b.hash32(keyPair.publicKey.bytes)
        let last = Bytes32(repeating: 0x44)
        let links = [Blake2b.hash32(Blake2b.hash32(last.bytes).bytes), Blake2b.hash32(last.bytes), last]
        let value = announcement(target, keyPair, refresh: links[0])
        _ = store.announce(request(target, value), unixMilliseconds: 0, now: .zero)
        let moved = from.with(port: 2000)
        func refresh(_ link: Bytes32) -> StoreReply {
            store.announce(
                request(target, Announcement(peer: nil, refresh: link).encoded, from: moved), unixMilliseconds: 0,
                now: .zero)
        }
        #expect(refresh(links[0]) == .silent)
        #expect(refresh(links[2]) == .silent)
        #expect(refresh(links[1]) == .acknowledgement)
        #expect(store.forwardAddress(for: target, now: .zero) == moved)
        #expect(refresh(links[1]) == .silent)
        #expect(refresh(links[2]) == .acknowledgement)
    }

    @Test func recordsExpire() throws {
        var store = store()
        let topic = Bytes32(repeating: 1)
        let other = Bytes32(repeating: 2)
        _ = store.announce(request(other, announcement(other, keys(2))), unixMilliseconds: 0, now: .zero)
        _ = store.announce(request(topic, announcement(topic, keys(1))), unixMilliseconds: 0, now: minutes(1))
        #expect(try peers(store.lookup(request(topic), now: minutes(14))) != nil)
        #expect(try peers(store.lookup(request(topic), now: minutes(28))) == nil)
        #expect(store.recordCount == 0)
    }

    @Test func usedForwardsAndValuesStay() throws {
        var store = store()
        let keyPair = keys(1)
        let target = Blake2b.hash32(keyPair.publicKey.bytes)
        let value = Array("kept".utf8)
        let hash = Blake2b.hash32(value)
        _ = store.announce(request(target, announcement(target, keyPair)), unixMilliseconds: 0, now: .zero)
        _ = store.immutablePut(request(hash, value), now: .zero)
        for minute in stride(from: 10.0, through: 200, by: 10) {
            #expect(store.forwardAddress(for: target, now: minutes(minute)) != nil)
        }
        #expect(store.forwardAddress(for: target, now: minutes(260)) == nil)
        for day in 1...20 {
            #expect(store.immutableGet(request(hash), now: minutes(Double(day) * 1440)) == .value(value))
        }
        #expect(store.immutableGet(request(hash), now: minutes(1440 * 24)) == .value(nil))
    }

    @Test func requestsThatLackSomethingAreSilent() throws {
        var store = store()
        let value = Array("value".utf8)
        let target = Blake2b.hash32(value)
        var request = request(target, value)
        request.token = nil
        #expect(store.immutablePut(request, now: .zero) == .silent)
        #expect(store.mutablePut(request, now: .zero) == .silent)
        #expect(store.announce(request, unixMilliseconds: 0, now: .zero) == .silent)
        #expect(store.unannounce(request) == .silent)
        request.target = nil
        #expect(store.lookup(request, now: .zero) == .silent)
        #expect(store.findPeer(request, now: .zero) == .silent)
        #expect(store.immutableGet(request, now: .zero) == .silent)
        #expect(store.mutableGet(request, now: .zero) == .silent)
        request.target = target
        request.value = nil
        #expect(store.mutableGet(request, now: .zero) == .silent)
        request.value = [0xfd]
        #expect(store.mutableGet(request, now: .zero) == .silent)
    }

    @Test func largeValuesAreNotStored() throws {
        var store = store()
        let keyPair = keys(1)
        for count in [HyperLimits.valueByteCount, HyperLimits.valueByteCount + 1] {
            let value = [UInt8](repeating: 3, count: count)
            let expected: StoreReply = count <= HyperLimits.valueByteCount ? .value(nil) : .silent
            #expect(store.immutablePut(request(Blake2b.hash32(value), value), now: .zero) == expected)
            let put = MutablePut(
                publicKey: keyPair.publicKey,
                record: .signed(sequence: UInt64(count), value: value, keyPair: keyPair))
            let target = Blake2b.hash32(keyPair.publicKey.bytes)
            #expect(store.mutablePut(request(target, put.encoded), now: .zero) == expected)
        }
    }

    // MARK: Limits

    @Test func generationsHoldNoMoreThanTheirLimit() {
        var cache = GenerationCache<Int, Int>(limit: 10, maximumAge: nil)
        for number in 0..<1000 {
            cache.set(number, for: number, now: .zero)
            #expect(cache.count <= 20)
        }
        #expect(cache.value(999, now: .zero) == 999)
        #expect(cache.value(0, now: .zero) == nil)
        var records = RecordCache(limit: 10)
        for number in 0..<1000 {
            let key = PublicKey(Blake2b.hash32([UInt8(number >> 8), UInt8(number & 255)]))
            records.add([1], of: key, under: Bytes32(repeating: UInt8(number % 3)), now: .zero)
            #expect(records.count <= 20)
        }
    }

    @Test func generationsExpireByAge() {
        var cache = GenerationCache<Int, Int>(limit: 10, maximumAge: .seconds(30))
        cache.set(1, for: 1, now: .zero)
        #expect(cache.value(1, isPromoting: false, now: MonotonicTime(milliseconds: 39_999)) == 1)
        #expect(cache.value(1, isPromoting: false, now: MonotonicTime(milliseconds: 60_000)) == nil)
    }

    @Test func forwardingIsRationedPerHost() {
        var gate = RelayGate()
        func admits(_ address: SocketAddress, _ now: MonotonicTime = .zero) -> Bool { gate.admits(address, now: now) }
        let host = SocketAddress(ipv4: 1, 2, 3, 4, port: 1)
        for number in 0..<HyperLimits.relaysPerHostCount { #expect(admits(host.with(port: UInt16(number)))) }
        #expect(!admits(host))
        #expect(admits(SocketAddress(ipv4: 1, 2, 3, 5, port: 1)))
        #expect(admits(host, .zero + HyperLimits.relayWindow))
        gate = RelayGate()
        for number in 0..<HyperLimits.relayHostCount {
            #expect(admits(SocketAddress(ipv4: 2, 0, UInt8(number >> 8), UInt8(number & 255), port: 1)))
        }
        #expect(!admits(host))
    }

    // MARK: Addresses

    @Test func addressesAreClassified() throws {
        let classes: [(String, AddressClass)] = [
            ("10.0.0.1", .privateUse), ("100.64.0.1", .privateUse), ("100.128.0.1", .publicUse),
            ("127.0.0.1", .privateUse), ("169.254.1.1", .privateUse), ("172.16.0.1", .privateUse),
            ("172.32.0.1", .publicUse), ("192.168.1.1", .privateUse), ("0.1.2.3", .reserved),
            ("192.0.0.1", .reserved), ("192.0.2.1", .reserved), ("198.18.0.1", .reserved), ("198.19.0.1", .reserved),
            ("198.51.100.1", .reserved), ("203.0.113.9", .reserved), ("224.0.0.1", .reserved),
            ("255.255.255.255", .reserved), ("8.8.8.8", .publicUse), ("88.99.3.86", .publicUse),
        ]
        for (host, expected) in classes {
            #expect(AddressClass(try #require(SocketAddress(host: host, port: 1))) == expected, "\(host)")
        }
        #expect(AddressClass(try #require(SocketAddress(host: "::1", port: 1))) == .reserved)
    }

    @Test func publicHostsCannotAimAtInnerNetworks() {
        let outside = SocketAddress(ipv4: 8, 8, 8, 8, port: 1)
        let inside = SocketAddress(ipv4: 192, 168, 0, 1, port: 1)
        #expect(AddressClass.mayForward(to: outside, for: outside))
        #expect(!AddressClass.mayForward(to: inside, for: outside))
        #expect(AddressClass.mayForward(to: inside, for: inside))
        #expect(!AddressClass.mayForward(to: outside.with(port: 0), for: outside))
        #expect(!AddressClass.mayForward(to: SocketAddress(ipv4: 224, 0, 0, 1, port: 1), for: inside))
    }

    @Test func theNearestInnerAddressWins() {
        func address(_ text: String) -> SocketAddress { SocketAddress(host: text, port: 1)! }
        let own = [address("192.168.122.238"), address("10.0.0.7")]
        let match = { (others: [String]) in AddressClass.bestMatch(of: own, among: others.map(address))?.host }
        #expect(match(["192.168.0.23", "192.168.122.1"]) == "192.168.122.1")
        #expect(match(["192.1.0.23", "192.168.5.1"]) == "192.168.5.1")
        #expect(match(["10.9.9.9", "172.16.0.1"]) == "10.9.9.9")
        #expect(match(["172.16.0.1"]) == nil)
        #expect(match([]) == nil)
    }

    // MARK: NAT

    @Test func networksAreClassifiedBySamples() {
        func firewall(_ samples: [String]) -> Firewall {
            var view = NATView(isFirewalled: true)
            for (index, text) in samples.enumerated() {
                view.add(
                    SocketAddress(text: text)!, from: SocketAddress(ipv4: 8, 0, 0, UInt8(index), port: 1),
                    isFirewalled: true)
            }
            return view.firewall
        }
        #expect(firewall(["1.1.1.1:5", "1.1.1.1:5"]) == .unknown)
        #expect(firewall(["1.1.1.1:5", "1.1.1.1:5", "1.1.1.1:5"]) == .consistent)
        #expect(firewall(["1.1.1.1:5", "1.1.1.1:6", "1.1.1.1:7"]) == .random)
        #expect(firewall(["1.1.1.1:5", "1.1.1.1:5", "1.1.1.1:7"]) == .unknown)
        #expect(firewall(["1.1.1.1:5", "1.1.1.1:5", "1.1.1.1:7", "1.1.1.1:8"]) == .random)
        #expect(firewall(["1.1.1.1:5", "1.1.1.1:5", "2.2.2.2:7", "2.2.2.2:7"]) == .consistent)
    }

    @Test func oneNodeCountsOnceAndFrozenViewsStay() {
        var view = NATView(isFirewalled: true)
        let node = SocketAddress(ipv4: 8, 0, 0, 1, port: 1)
        let own = SocketAddress(ipv4: 1, 1, 1, 1, port: 5)
        for _ in 0..<5 { view.add(own, from: node, isFirewalled: true) }
        #expect(view.sampleCount == 1)
        view.add(own, from: node.with(port: 2), isFirewalled: true)
        view.add(own, from: node.with(port: 3), isFirewalled: true)
        #expect(view.isAnalyzed)
        #expect(view.addresses == [own])
        view.freeze()
        view.add(own.with(port: 9), from: node.with(port: 4), isFirewalled: true)
        #expect(view.addresses == [own])
        #expect(NATView(isFirewalled: false).firewall == .open)
    }
}
