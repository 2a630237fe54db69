/// An IP address and a UDP port, held inline.
public struct SocketAddress: Hashable, Sendable {
    /// The address family.
    public enum Family: UInt8, Sendable {
        /// Four address bytes.
        case ipv4 = 4
        /// Sixteen address bytes.
        case ipv6 = 6
    }

    /// The address family.
    public let family: Family
    /// The port, 0 where none is known.
    public var port: UInt16
    // Big-endian words; IPv4 uses the upper half of the first.
    private let high: UInt64
    private let low: UInt64

    /// An IPv4 address by its four bytes.
    public init(ipv4 a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8, port: UInt16) {
        family = .ipv4
        high = UInt64(a) << 56 | UInt64(b) << 48 | UInt64(c) << 40 | UInt64(d) << 32
        low = 0
        self.port = port
    }

    /// An address by its 4 or 16 bytes in network order; nil for any other count.
    public init?(bytes: some Collection<UInt8>, port: UInt16) {
        var words: (UInt64, UInt64) = (0, 0)
        for (index, byte) in bytes.enumerated() {
            if index < 8 {
                words.0 |= UInt64(byte) << UInt64(56 - index * 8)
            } else if index < 16 {
                words.1 |= UInt64(byte) << UInt64(56 - (index - 8) * 8)
            }
        }
        switch bytes.count {
        case 4: family = .ipv4
        case 16: family = .ipv6
        default: return nil
        }
        (high, low) = words
        self.port = port
    }

    /// Reads a dotted IPv4 host, or an IPv6 host with or without brackets; nil for anything else, names included.
    public init?(host: String, port: UInt16) {
        if let bytes = SocketAddress.parseIPv4(host) {
            self.init(bytes: bytes, port: port)
        } else if let bytes = SocketAddress.parseIPv6(host) {
            self.init(bytes: bytes, port: port)
        } else {
            return nil
        }
    }

    /// Reads `host:port`, for example `127.0.0.1:49737` or `[::1]:49737`.
    public init?(text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        self.init(host: String(text[..<colon]), port: port)
    }

    /// An address by the two words that ``hostWords`` gives.
    public init(family: Family, hostWords: (high: UInt64, low: UInt64), port: UInt16) {
        self.family = family
        high = family == .ipv4 ? hostWords.high & 0xffff_ffff_0000_0000 : hostWords.high
        low = family == .ipv4 ? 0 : hostWords.low
        self.port = port
    }

    /// The address bytes as two big-endian words; IPv4 takes the upper half of the first, and zeros follow.
    public var hostWords: (high: UInt64, low: UInt64) { (high, low) }

    /// The 4 or 16 address bytes in network order.
    public var hostBytes: [UInt8] {
        switch family {
        case .ipv4: (0..<4).map { UInt8(truncatingIfNeeded: high >> UInt64(56 - $0 * 8)) }
        case .ipv6: (0..<16).map { UInt8(truncatingIfNeeded: ($0 < 8 ? high : low) >> UInt64(56 - ($0 % 8) * 8)) }
        }
    }

    /// The IPv4 address as a number whose most significant byte is the first; 0 for IPv6.
    public var ipv4Number: UInt32 { family == .ipv4 ? UInt32(truncatingIfNeeded: high >> 32) : 0 }

    /// The host as text: dotted IPv4, or IPv6 as eight groups with the longest run of zeros shortened.
    public var host: String {
        switch family {
        case .ipv4: hostBytes.map(String.init).joined(separator: ".")
        case .ipv6: SocketAddress.ipv6Text(hostBytes)
        }
    }

    /// The same host with another port.
    public func with(port: UInt16) -> SocketAddress {
        var copy = self
        copy.port = port
        return copy
    }

    /// Whether both have the same host, whatever the ports.
    public func hasSameHost(as other: SocketAddress) -> Bool {
        family == other.family && high == other.high && low == other.low
    }

    /// An IPv4-mapped IPv6 address (`::ffff:a.b.c.d`) as IPv4; every other address unchanged.
    public var unmapped: SocketAddress {
        guard family == .ipv6, high == 0, low >> 32 == 0xffff else { return self }
        return SocketAddress(
            ipv4: UInt8(truncatingIfNeeded: low >> 24), UInt8(truncatingIfNeeded: low >> 16),
            UInt8(truncatingIfNeeded: low >> 8), UInt8(truncatingIfNeeded: low), port: port)
    }

    private static func parseIPv4(_ text: String) -> [UInt8]? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bytes: [UInt8] = []
        for part in parts {
            guard part.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let byte = UInt8(part) else { return nil }
            bytes.append(byte)
        }
        return bytes
    }

    private static func parseIPv6(_ text: String) -> [UInt8]? {
        var host = Substring(text)
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard host.contains(":") else { return nil }
        func groups(_ part: Substring) -> [UInt8]? {
            var bytes: [UInt8] = []
            for group in part.split(separator: ":", omittingEmptySubsequences: false) {
                if let embedded = parseIPv4(String(group)) {
                    bytes += embedded
                } else {
                    guard group.count <= 4, let value = UInt16(group, radix: 16), group.first != "+" else { return nil }
                    bytes += [UInt8(value >> 8), UInt8(value & 255)]
                }
            }
            return bytes
        }
        var gap: Range<Substring.Index>?
        var index = host.startIndex
        while index < host.endIndex, host.index(after: index) < host.endIndex {
            let next = host.index(after: index)
            if host[index] == ":", host[next] == ":" {
                guard gap == nil else { return nil }
                gap = index..<host.index(after: next)
                index = next
            }
            index = host.index(after: index)
        }
        guard let gap else { return groups(host).flatMap { $0.count == 16 ? $0 : nil } }
        let before = host[..<gap.lowerBound]
        let after = host[gap.upperBound...]
        guard let head = before.isEmpty ? [] : groups(before), let tail = after.isEmpty ? [] : groups(after) else {
            return nil
        }
        guard head.count + tail.count <= 14 else { return nil }
        return head + [UInt8](repeating: 0, count: 16 - head.count - tail.count) + tail
    }

    private static func ipv6Text(_ bytes: [UInt8]) -> String {
        let groups = (0..<8).map { UInt16(bytes[$0 * 2]) << 8 | UInt16(bytes[$0 * 2 + 1]) }
        var longest = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > longest.count, end - start > 1 { longest = start..<end }
            start = max(end, start + 1)
        }
        func text(_ range: Range<Int>) -> String { groups[range].map { String($0, radix: 16) }.joined(separator: ":") }
        guard !longest.isEmpty else { return text(0..<8) }
        return text(0..<longest.lowerBound) + "::" + text(longest.upperBound..<8)
    }
}

extension SocketAddress: CustomStringConvertible {
    /// `host:port`, with brackets around an IPv6 host.
    public var description: String { family == .ipv4 ? "\(host):\(port)" : "[\(host)]:\(port)" }
}
