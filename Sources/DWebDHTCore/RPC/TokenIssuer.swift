package import DWebBase
package import DWebCrypto

/// Issues and checks round-trip tokens, which prove that a requester receives at the host it claims; spec 20 section
/// 2.5.
package struct TokenIssuer: Sendable {
    private var older: [UInt8]
    private var newer: [UInt8]
    private var nextRotation: MonotonicTime

    /// Draws two secrets and keeps the first until one rotation after `now`.
    package init(random: inout SecureRandom, now: MonotonicTime) {
        self.init(secrets: (random.bytes32(), random.bytes32()), now: now)
    }

    /// Uses the given secrets: tokens are issued with the second.
    package init(secrets: (Bytes32, Bytes32), now: MonotonicTime) {
        older = secrets.0.bytes
        newer = secrets.1.bytes
        nextRotation = now + RPCConstants.tokenRotation
    }

    /// The secrets in use, the issuing one last; for recorded data only.
    package var secrets: (Bytes32, Bytes32) { (Bytes32(older) ?? .zero, Bytes32(newer) ?? .zero) }

    /// Replaces secrets whose time is over.
    package mutating func wake(now: MonotonicTime) {
        guard now >= nextRotation else { return }
        // Two rotations already retire every token; more would only be counted.
        var remaining = 3
        while now >= nextRotation, remaining > 0 {
            rotate()
            nextRotation = nextRotation + RPCConstants.tokenRotation
            remaining -= 1
        }
        if now >= nextRotation { nextRotation = now + RPCConstants.tokenRotation }
    }

    /// The token for requesters at the host of `address`.
    package func token(for address: SocketAddress) -> Bytes32 { TokenIssuer.token(for: address, secret: newer) }

    /// Whether `token` was issued to the host of `address` and is still valid.
    package func accepts(_ token: Bytes32, from address: SocketAddress) -> Bool {
        token == TokenIssuer.token(for: address, secret: newer)
            || token == TokenIssuer.token(for: address, secret: older)
    }

    private mutating func rotate() {
        let retired = older
        older = newer
        newer = Blake2b.hash32(retired).bytes
    }

    private static func token(for address: SocketAddress, secret: [UInt8]) -> Bytes32 {
        Blake2b.hash32(Array(address.host.utf8), key: secret)
    }
}
