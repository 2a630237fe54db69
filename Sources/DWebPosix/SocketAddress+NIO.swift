import CDatagram
import DWebBase
import NIOCore

extension DWebBase.SocketAddress {
    /// The same address in this package's form; IPv4 mapped into IPv6 becomes IPv4. Nil for a Unix socket.
    init?(_ address: NIOCore.SocketAddress) {
        // Port at 2, then an IPv4 host at 4 or an IPv6 host at 8: the layout of both system structures everywhere.
        let found: DWebBase.SocketAddress? = address.withSockAddr { pointer, byteCount in
            let bytes = UnsafeRawBufferPointer(start: pointer, count: byteCount)
            switch address.protocol {
            case .inet where byteCount >= 8:
                let port = UInt16(bytes[2]) << 8 | UInt16(bytes[3])
                return DWebBase.SocketAddress(ipv4: bytes[4], bytes[5], bytes[6], bytes[7], port: port)
            case .inet6 where byteCount >= 24:
                let port = UInt16(bytes[2]) << 8 | UInt16(bytes[3])
                return DWebBase.SocketAddress(bytes: bytes[8..<24], port: port)?.unmapped
            default:
                return nil
            }
        }
        guard let found else { return nil }
        self = found
    }

    /// The address as the send call takes it.
    func systemAddress(isIPv6Socket: Bool) -> dweb_address {
        var address = dweb_address()
        let bytes = hostBytes
        withUnsafeMutableBytes(of: &address.host) { $0.copyBytes(from: bytes) }
        address.host_length = UInt8(bytes.count)
        address.port = port
        address.is_ipv6_socket = isIPv6Socket ? 1 : 0
        return address
    }
}

extension NIOCore.SocketAddress {
    /// The same address in NIO's form.
    init(_ address: DWebBase.SocketAddress) throws {
        try self.init(ipAddress: address.host, port: Int(address.port))
    }
}
