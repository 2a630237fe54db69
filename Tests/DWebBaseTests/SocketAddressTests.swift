import DWebBase
import Testing

@Suite struct SocketAddressTests {
    @Test(arguments: [
        ("127.0.0.1:49737", "127.0.0.1:49737"),
        ("0.0.0.0:0", "0.0.0.0:0"),
        ("255.255.255.255:65535", "255.255.255.255:65535"),
        ("[::1]:1", "[::1]:1"),
        ("[::]:80", "[::]:80"),
        ("[1:2:3:4:5:6:7:8]:9", "[1:2:3:4:5:6:7:8]:9"),
        ("[2001:DB8::0:1]:9", "[2001:db8::1]:9"),
        ("[1:0:0:4:0:0:0:8]:9", "[1:0:0:4::8]:9"),
        ("[1::]:9", "[1::]:9"),
        ("[0:1:2:3:4:5:6:7]:9", "[0:1:2:3:4:5:6:7]:9"),
        ("[::ffff:1.2.3.4]:9", "[::ffff:102:304]:9"),
    ])
    func textsAreRead(text: String, canonical: String) throws {
        let address = try #require(SocketAddress(text: text))
        #expect(address.description == canonical)
        #expect(SocketAddress(text: canonical) == address)
        #expect(SocketAddress(bytes: address.hostBytes, port: address.port) == address)
    }

    @Test(arguments: [
        "", ":", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "1.2.3.4:-1", "1.2.3:4", "1.2.3.4.5:6", "256.1.1.1:1",
        "1.2.3.+4:1", "1..3.4:1", "localhost:80", "[::1]", "[1:2:3]:4", "[1:2:3:4:5:6:7:8:9]:1", "[::1::2]:3",
        "[12345::]:1", "[g::]:1", "[1:2:3:4:5:6:7::8]:x", "[:::]:1", "[1.2.3.4]:1",
    ])
    func otherTextsAreNot(text: String) { #expect(SocketAddress(text: text) == nil) }

    @Test func byteCountsDecideTheFamily() {
        #expect(SocketAddress(bytes: [1, 2, 3, 4], port: 5)?.description == "1.2.3.4:5")
        #expect(SocketAddress(bytes: [UInt8](repeating: 0, count: 16), port: 5)?.family == .ipv6)
        for count in [0, 1, 3, 5, 15, 17, 32] {
            #expect(SocketAddress(bytes: [UInt8](repeating: 1, count: count), port: 5) == nil)
        }
    }

    @Test func mappedAddressesAreUnmapped() throws {
        let mapped = try #require(SocketAddress(host: "::ffff:10.0.0.1", port: 7))
        #expect(mapped.unmapped == SocketAddress(ipv4: 10, 0, 0, 1, port: 7))
        let other = try #require(SocketAddress(host: "::fffe:a00:1", port: 7))
        #expect(other.unmapped == other)
    }

    @Test func hostsCompareWithoutPorts() {
        let address = SocketAddress(ipv4: 10, 0, 0, 1, port: 7)
        #expect(address.with(port: 8).hasSameHost(as: address))
        #expect(address.with(port: 8) != address)
        #expect(!address.hasSameHost(as: SocketAddress(ipv4: 10, 0, 0, 2, port: 7)))
        #expect(address.ipv4Number == 0x0a00_0001)
    }
}
