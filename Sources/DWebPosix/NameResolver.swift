import DWebBase

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// The system's name resolution. Blocking: call it on a thread that may wait.
enum NameResolver {
    /// The IPv4 addresses of `host`, with port 0; empty if there are none.
    static func ipv4Addresses(of host: String) -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_family = AF_INET
        #if canImport(Darwin)
            hints.ai_socktype = SOCK_DGRAM
        #else
            hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
        #endif
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var current = list
        while let info = current {
            if let raw = info.pointee.ai_addr, info.pointee.ai_family == AF_INET {
                // The address bytes lie behind the family and the port on every system this builds for.
                let bytes = UnsafeRawBufferPointer(start: raw, count: 8)[4..<8]
                if let address = SocketAddress(bytes: bytes, port: 0) { addresses.append(address) }
            }
            current = info.pointee.ai_next
        }
        return addresses
    }
}
