package import DWebBase

/// A message of the peer DHT that has a wire form; spec 20 sections 8 to 10.
///
/// Decoding ignores trailing bytes, as every decoder of this network does, and throws instead of trapping on anything
/// else that is wrong.
package protocol HyperCodable: Sendable, Equatable {
    /// Reads one message.
    init(from reader: inout ByteReader) throws(CodecError)
    /// Appends the canonical form.
    func encode(into writer: inout ByteWriter)
}

extension HyperCodable {
    /// Reads one message from the start of `bytes`.
    package init(decoding bytes: [UInt8]) throws(CodecError) {
        var reader = ByteReader(bytes)
        try self.init(from: &reader)
    }

    /// The canonical form.
    package var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 128)
        encode(into: &writer)
        return writer.bytes
    }
}

extension ByteReader {
    /// An array of IPv4 addresses; the count is checked against the remaining bytes first.
    mutating func readIPv4Addresses() throws(CodecError) -> [SocketAddress] {
        let count = try readArrayCount(minimumByteCount: 6)
        var addresses: [SocketAddress] = []
        addresses.reserveCapacity(count)
        for _ in 0..<count { addresses.append(try readIPv4Address()) }
        return addresses
    }

    /// An array of IPv6 addresses; the count is checked against the remaining bytes first.
    mutating func readIPv6Addresses() throws(CodecError) -> [SocketAddress] {
        let count = try readArrayCount(minimumByteCount: 18)
        var addresses: [SocketAddress] = []
        addresses.reserveCapacity(count)
        for _ in 0..<count { addresses.append(try readIPv6Address()) }
        return addresses
    }

    /// A `uint` that has to fit 32 bits: a stream or slot id.
    mutating func readStreamID() throws(CodecError) -> UInt32 {
        guard let id = UInt32(exactly: try readUInt()) else { throw .integerOutOfRange }
        return id
    }
}

extension ByteWriter {
    /// An array of addresses, all of one family.
    mutating func writeAddresses(_ addresses: [SocketAddress]) {
        writeUInt(addresses.count)
        for address in addresses { writeAddress(address) }
    }
}
