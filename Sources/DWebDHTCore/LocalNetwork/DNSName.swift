/// A domain name as a list of labels, compared without regard to ASCII case; RFC 1035 section 3.1.
package struct DNSName: Sendable {
    /// The most bytes of one label; RFC 1035 section 2.3.4.
    package static let labelByteLimit = 63
    /// The most bytes of a name on the wire, lengths and the final zero included; RFC 1035 section 2.3.4.
    package static let byteLimit = 255

    /// The labels, without the root.
    package let labels: [[UInt8]]

    /// A name of these labels, each of 1 to 63 bytes.
    package init(labels: [[UInt8]]) { self.labels = labels }

    /// A name of these labels, for example `DNSName("_dweb", "_udp", "local")`.
    package init(_ labels: String...) { self.labels = labels.map { Array($0.utf8) } }

    /// The labels in front of `self`.
    package func under(_ label: String) -> DNSName { DNSName(labels: [Array(label.utf8)] + labels) }

    /// The name without its first label; nil for the root.
    package var parent: DNSName? { labels.isEmpty ? nil : DNSName(labels: Array(labels.dropFirst())) }

    /// The bytes that the name takes without compression.
    package var byteCount: Int { labels.reduce(1) { $0 + $1.count + 1 } }

    private var folded: [[UInt8]] { labels.map { $0.map(DNSName.fold) } }

    private static func fold(_ byte: UInt8) -> UInt8 { byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte }
}

extension DNSName: Hashable {
    /// Whether both are the same but for ASCII case.
    package static func == (left: DNSName, right: DNSName) -> Bool { left.folded == right.folded }

    /// Hashes without regard to ASCII case.
    package func hash(into hasher: inout Hasher) { hasher.combine(folded) }
}

extension DNSName: CustomStringConvertible {
    /// The name with dots.
    package var description: String { labels.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ".") + "." }
}
