import DWebBase
import DWebCrypto
import Testing

@testable import DWebDHTCore

@Suite struct KnownNodesRecordTests {
    private let network = KnownNodesRecord.network(bootstrap: ["10.0.0.1:1", "10.0.0.2:1"])

    private func node(_ number: Int) -> SocketAddress {
        SocketAddress(ipv4: 10, 0, UInt8(number >> 8), UInt8(number & 255), port: 49_737)
    }

    @Test func nodesComeBackInOrder() throws {
        let record = KnownNodesRecord(network: network, nodes: (1...20).map(node))
        #expect(try KnownNodesRecord(decoding: record.encoded) == record)
    }

    @Test func noMoreThanTheLimitAreKept() {
        let nodes = [node(1).with(port: 0)] + (1...100).map(node)
        let record = KnownNodesRecord(network: network, nodes: nodes)
        #expect(record.nodes == (1...KnownNodesRecord.nodeLimit).map(node))
    }

    @Test func networksDifferByTheirEntryPoints() {
        #expect(network == KnownNodesRecord.network(bootstrap: ["10.0.0.2:1", "10.0.0.1:1"]))
        #expect(network != KnownNodesRecord.network(bootstrap: ["10.0.0.1:1"]))
    }

    @Test func damagedFilesAreRefused() {
        let bytes = KnownNodesRecord(network: network, nodes: [node(1), node(2)]).encoded
        for count in 0..<bytes.count {
            #expect(throws: CodecError.self) { try KnownNodesRecord(decoding: Array(bytes.prefix(count))) }
        }
        #expect(throws: CodecError.self) { try KnownNodesRecord(decoding: [2] + bytes.dropFirst()) }
        var many = bytes
        many[33] = 0xfc
        #expect(throws: CodecError.self) { try KnownNodesRecord(decoding: many) }
    }
}
