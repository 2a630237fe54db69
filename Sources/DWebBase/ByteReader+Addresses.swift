// Addresses whose family is written with them; spec 00 section 1.5 and spec 20 section 1.

extension ByteReader {
    /// `ipAddress`: a family byte, the host, then the port little endian. Every family but 4 reads as IPv6.
    public mutating func readAnyAddress() throws(CodecError) -> SocketAddress {
        try readByte() == SocketAddress.Family.ipv4.rawValue ? try readIPv4Address() : try readIPv6Address()
    }

    /// `ipv4` or `ipv6`: a host without family and port; the result's port is 0.
    public mutating func readHost(_ family: SocketAddress.Family) throws(CodecError) -> SocketAddress {
        let range = try skip(family == .ipv4 ? 4 : 16)
        guard let host = SocketAddress(bytes: source[range], port: 0) else { throw .invalidValue }
        return host
    }

    /// `ip`: a family byte and the host; the result's port is 0.
    public mutating func readAnyHost() throws(CodecError) -> SocketAddress {
        try readHost(try readByte() == SocketAddress.Family.ipv4.rawValue ? .ipv4 : .ipv6)
    }
}

extension ByteWriter {
    /// `ipAddress`: the family byte, the host, then the port little endian.
    public mutating func writeAnyAddress(_ address: SocketAddress) {
        writeByte(address.family.rawValue)
        writeAddress(address)
    }

    /// `ipv4` or `ipv6`: the host without family and port.
    public mutating func writeHost(_ address: SocketAddress) { writeBytes(address.hostBytes) }

    /// `ip`: the family byte and the host.
    public mutating func writeAnyHost(_ address: SocketAddress) {
        writeByte(address.family.rawValue)
        writeHost(address)
    }
}
