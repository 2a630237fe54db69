public import DWebBase
import DWebCrypto

/// Who signs a log, and by which rules. The log's key is its hash, so a manifest never changes; spec 40 section 4.
public struct Manifest: Sendable, Hashable {
    /// One of those whose signatures count.
    public struct Signer: Sendable, Hashable {
        /// Separates this use of the key from others; matters for version 0 only.
        public var namespace: Bytes32
        /// The Ed25519 key.
        public var publicKey: PublicKey

        /// A signer, by default in the namespace that all tools use.
        public init(publicKey: PublicKey, namespace: Bytes32? = nil) {
            self.publicKey = publicKey
            self.namespace = namespace ?? Namespace.defaultSigner
        }
    }

    /// A beginning of the log that is fixed by the manifest itself and needs no signature.
    public struct Prologue: Sendable, Hashable {
        /// The tree hash at `length`.
        public var hash: Bytes32
        /// The number of blocks that are fixed.
        public var length: UInt64

        /// Fixes the first `length` blocks.
        public init(hash: Bytes32, length: UInt64) {
            self.hash = hash
            self.length = length
        }
    }

    /// The newest version that this implementation knows.
    public static let latestVersion: UInt64 = 2

    /// The version of the format: 0, 1 or 2.
    public let version: UInt64
    /// Whether signers may have signed different lengths, connected by tree nodes.
    public let allowPatch: Bool
    /// How many signers must have signed.
    public let quorum: UInt64
    /// Those whose signatures count, in an order that signatures refer to.
    public let signers: [Signer]
    /// The fixed beginning, if there is one. A version 0 manifest read from its hashed form has length 0 here.
    public let prologue: Prologue?
    /// Keys of logs that belong to this one; version 2. No effect on verification.
    public let linked: [PublicKey]?
    /// Bytes for the application; version 2. No effect on verification.
    public let userData: [UInt8]?

    /// The manifest of a log with one writer: version 1, one signer, nothing else.
    public init(signer publicKey: PublicKey) {
        self.init(
            unchecked: 1, allowPatch: false, quorum: 1, signers: [Signer(publicKey: publicKey)], prologue: nil,
            linked: nil, userData: nil)
    }

    /// A manifest from what an application wants, the rest filled in as the network's tools do; spec 40 section 4.3.
    ///
    /// - Parameters:
    ///   - version: 0, 1 or 2; without it 2 if `linked` or `userData` are given, else 1.
    ///   - quorum: How many must sign; without it the majority of the signers.
    /// - Throws: ``ManifestError`` with what is wrong.
    public init(
        version: UInt64? = nil, allowPatch: Bool = false, quorum: UInt64? = nil, signers: [Signer] = [],
        prologue: Prologue? = nil, linked: [PublicKey] = [], userData: [UInt8]? = nil
    ) throws(ManifestError) {
        let version = version ?? (linked.isEmpty && userData == nil ? 1 : 2)
        let majority = signers.isEmpty ? 0 : UInt64(signers.count / 2 + 1)
        self.init(
            unchecked: version, allowPatch: allowPatch, quorum: quorum ?? majority, signers: signers,
            prologue: prologue, linked: linked.isEmpty ? nil : linked, userData: userData)
        try validate()
    }

    init(
        unchecked version: UInt64, allowPatch: Bool, quorum: UInt64, signers: [Signer], prologue: Prologue?,
        linked: [PublicKey]?, userData: [UInt8]?
    ) {
        self.version = version
        self.allowPatch = allowPatch
        self.quorum = quorum
        self.signers = signers
        self.prologue = prologue
        self.linked = linked
        self.userData = userData
    }

    /// Checks the rules that encodings alone do not enforce; a peer's manifest must pass as well.
    package func validate() throws(ManifestError) {
        guard version <= Manifest.latestVersion else { throw .unknownVersion(version) }
        guard quorum <= UInt64(signers.count) else { throw .quorumTooHigh(quorum: quorum, signerCount: signers.count) }
        if version < 2 {
            guard userData == nil else { throw .needsVersion2("userData") }
            guard linked == nil else { throw .needsVersion2("linked") }
        }
        guard prologue.map({ $0.length <= LogLimits.length }) ?? true else { throw .prologueTooLong }
    }

    /// The hash of the manifest: the key of a log that is not ``isCompatible(with:)``.
    public var hash: Bytes32 {
        var writer = ByteWriter(capacity: 128)
        writer.writeBytes32(Namespace.manifest)
        encode(into: &writer)
        return Blake2b.hash32(writer.bytes)
    }

    /// The key of the log that has this manifest.
    public var key: PublicKey { PublicKey(hash) }

    /// Whether `key` is the public key of the only signer: logs from before manifests have such keys.
    public func isCompatible(with key: PublicKey) -> Bool { signers.count == 1 && signers[0].publicKey == key }

    /// Whether this can be the manifest of the log with `key`: consistent, and either its hash or its only signer is
    /// it.
    public func belongs(to key: PublicKey) -> Bool {
        guard (try? validate()) != nil else { return false }
        return isCompatible(with: key) || self.key == key
    }
}

/// What is wrong with a manifest.
public enum ManifestError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The version is above ``Manifest/latestVersion``.
    case unknownVersion(UInt64)
    /// More signatures are demanded than there are signers.
    case quorumTooHigh(quorum: UInt64, signerCount: Int)
    /// The named field exists from version 2 on.
    case needsVersion2(String)
    /// The prologue is longer than any log.
    case prologueTooLong

    /// One sentence for people.
    public var description: String {
        switch self {
        case .unknownVersion(let version):
            "Manifest version \(version) is unknown; the newest is \(Manifest.latestVersion)."
        case .quorumTooHigh(let quorum, let signerCount):
            "A quorum of \(quorum) cannot be reached by \(signerCount) signers."
        case .needsVersion2(let field):
            "A manifest with \(field) must have version 2."
        case .prologueTooLong:
            "The prologue is longer than a log can be."
        }
    }
}
