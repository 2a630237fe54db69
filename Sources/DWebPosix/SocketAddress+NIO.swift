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
        let words = hostWords
        withUnsafeMutableBytes(of: &address.host) {
            $0.storeBytes(of: words.high.bigEndian, as: UInt64.self)
            $0.storeBytes(of: words.low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        address.host_length = family == .ipv4 ? 4 : 16
        address.port = port
        address.is_ipv6_socket = isIPv6Socket ? 1 : 0
        return address
    }

    /// The address as the receive call gives it; nil for one of another family.
    init?(_ address: dweb_address) {
        let words = withUnsafeBytes(of: address.host) {
            (
                high: UInt64(bigEndian: $0.loadUnaligned(as: UInt64.self)),
                low: UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
        switch address.host_length {
        case 4: self.init(family: .ipv4, hostWords: words, port: address.port)
        case 16: self.init(family: .ipv6, hostWords: words, port: address.port)
        default: return nil
        }
    }
}

extension dweb_address {
    /// Whether both have the same host and port.
    func isSame(as other: dweb_address) -> Bool {
        guard port == other.port, host_length == other.host_length else { return false }
        return withUnsafeBytes(of: host) { left in
            withUnsafeBytes(of: other.host) { right in
                left.loadUnaligned(as: UInt64.self) == right.loadUnaligned(as: UInt64.self)
                    && left.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
                        == right.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
            }
        }
    }
}

extension NIOCore.SocketAddress {
    /// The same address in NIO's form.
    init(_ address: DWebBase.SocketAddress) throws {
        try self.init(ipAddress: address.host, port: Int(address.port))
    }
}
