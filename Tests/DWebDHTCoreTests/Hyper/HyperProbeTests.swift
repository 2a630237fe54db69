import DWebBase
import DWebCrypto
import Testing

@testable import DWebDHTCore

@Suite struct HyperProbeTests {
    func go(_ a: HyperTestNetwork.Translator.Mapping, _ b: HyperTestNetwork.Translator.Mapping, cut: Bool, seed: UInt8) throws {
        let network = HyperTestNetwork.persistent(count: 14, seed: seed)
        let server = network.addPeer(1, a)
        let keys = KeyPair(seed: Bytes32(repeating: 2))
        let id = network.perform(server) { $0.listen(as: keys, now: $1) }!
        network.run(for: .seconds(15), until: { server.announcements[id] != nil })
        let client = network.addPeer(2, b)
        if cut { network.drops = { $2.count == 1 } }
        let from = network.now, before = network.sent.count
        let c = network.connect(client, to: keys.publicKey, as: KeyPair(seed: .zero))
        network.run(for: .seconds(70), until: { client.isHeard(c) || client.failures[c] != nil })
        let p = network.sent[before...].filter { $0.bytes.count == 1 }
        let cl = p.filter { $0.from.hasSameHost(as: SocketAddress(ipv4: 90,0,0,2,port: 0)) }
        print("PROBE server", a, "client", b, "cut", cut, "ms", network.now.milliseconds - from.milliseconds, "path", client.paths[c]?.socket.rawValue as Any, client.paths[c]?.address as Any, "fail", client.failures[c] as Any, "ttl5", p.count { $0.timeToLive == 5 }, "ttl64", p.count { $0.timeToLive == 64 }, "from client", cl.count, "distinct client ports", Set(cl.map(\.from.port)).count, "bound", client.releasedSockets.count)
    }
    @Test func probe() throws {
        for cut in [false, true] {
            try go(.consistent, .consistent, cut: cut, seed: 9)
            try go(.consistent, .random, cut: cut, seed: 11)
            try go(.random, .consistent, cut: cut, seed: 12)
            try go(.random, .random, cut: cut, seed: 13)
        }
    }
}
