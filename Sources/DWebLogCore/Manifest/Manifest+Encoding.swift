public import DWebBase

extension Manifest {
    private enum Flag {
        static let allowPatch: UInt64 = 1
        static let prologue: UInt64 = 2
        static let linked: UInt64 = 4
        static let userData: UInt64 = 8
    }

    private enum LegacyType {
        static let prologueOnly: UInt64 = 0
        static let singleSigner: UInt64 = 1
        static let general: UInt64 = 2
    }

    private static let blake2b: UInt64 = 0
    private static let ed25519: UInt64 = 0

    /// Reads the encoding that travels and is hashed; spec 40 section 4.1. Does not check ``validate()``.
    package init(from reader: inout ByteReader) throws(CodecError) {
        let version = try reader.readUInt()
        guard version <= Manifest.latestVersion else { throw .unknownVersion(version) }
        if version == 0 {
            try self.init(legacyFrom: &reader)
        } else {
            try self.init(version: version, generalFrom: &reader)
        }
    }

    /// Writes the encoding that travels and is hashed.
    package func encode(into writer: inout ByteWriter) {
        if version == 0 {
            encodeLegacy(into: &writer)
        } else {
            encodeStored(into: &writer)
        }
    }

    /// The encoding that travels and is hashed.
    public var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 96)
        encode(into: &writer)
        return writer.bytes
    }

    /// Reads a whole hashed encoding.
    public init(encoded bytes: [UInt8]) throws(CodecError) {
        var reader = ByteReader(bytes)
        try self.init(from: &reader)
    }

    /// Reads the encoding of stored records: the layout of version 1 and above, for version 0 as well; spec 40
    /// section 13.1.
    package init(storedFrom reader: inout ByteReader) throws(CodecError) {
        let version = try reader.readUInt()
        guard version <= Manifest.latestVersion else { throw .unknownVersion(version) }
        try self.init(version: version, generalFrom: &reader)
    }

    /// Reads a whole stored encoding.
    package init(stored bytes: [UInt8]) throws(CodecError) {
        var reader = ByteReader(bytes)
        try self.init(storedFrom: &reader)
    }

    /// The encoding of stored records. For version 0 it is not what is hashed.
    package var storedEncoding: [UInt8] {
        var writer = ByteWriter(capacity: 96)
        encodeStored(into: &writer)
        return writer.bytes
    }

    /// Writes the encoding of stored records.
    package func encodeStored(into writer: inout ByteWriter) {
        writer.writeUInt(version)
        writer.writeUInt(
            (allowPatch ? Flag.allowPatch : 0) | (prologue == nil ? 0 : Flag.prologue)
                | (linked == nil ? 0 : Flag.linked) | (userData == nil ? 0 : Flag.userData))
        writer.writeUInt(Manifest.blake2b)
        writer.writeUInt(quorum)
        encodeSigners(into: &writer)
        if let prologue {
            writer.writeBytes32(prologue.hash)
            writer.writeUInt(prologue.length)
        }
        if let linked {
            writer.writeUInt(linked.count)
            for key in linked { writer.writeBytes32(key.bytes32) }
        }
        if let userData { writer.writeBuffer(userData) }
    }

    private init(version: UInt64, generalFrom reader: inout ByteReader) throws(CodecError) {
        let flags = try reader.readUInt()
        try Manifest.readHashAlgorithm(&reader)
        let quorum = try reader.readUInt()
        let signers = try Manifest.readSigners(&reader)
        var prologue: Prologue?
        if flags & Flag.prologue != 0 {
            prologue = Prologue(hash: try reader.readBytes32(), length: try reader.readUInt())
        }
        var linked: [PublicKey]?
        if flags & Flag.linked != 0 {
            var keys: [PublicKey] = []
            for _ in 0..<(try reader.readArrayCount(minimumByteCount: Bytes32.byteCount)) {
                keys.append(PublicKey(try reader.readBytes32()))
            }
            linked = keys
        }
        let userData = flags & Flag.userData != 0 ? try reader.readBuffer() : nil
        self.init(
            unchecked: version, allowPatch: flags & Flag.allowPatch != 0, quorum: quorum, signers: signers,
            prologue: prologue, linked: linked, userData: userData)
    }

    private init(legacyFrom reader: inout ByteReader) throws(CodecError) {
        try Manifest.readHashAlgorithm(&reader)
        var allowPatch = false
        var quorum: UInt64 = 0
        var signers: [Signer] = []
        var prologue: Prologue?
        switch try reader.readUInt() {
        case LegacyType.prologueOnly:
            prologue = Prologue(hash: try reader.readBytes32(), length: 0)
        case LegacyType.singleSigner:
            quorum = 1
            signers = [try Manifest.readSigner(&reader)]
        case LegacyType.general:
            allowPatch = try reader.readUInt() & Flag.allowPatch != 0
            quorum = try reader.readUInt()
            signers = try Manifest.readSigners(&reader)
        default:
            throw .invalidValue
        }
        self.init(
            unchecked: 0, allowPatch: allowPatch, quorum: quorum, signers: signers, prologue: prologue, linked: nil,
            userData: nil)
    }

    private func encodeLegacy(into writer: inout ByteWriter) {
        writer.writeUInt(version)
        writer.writeUInt(Manifest.blake2b)
        if let prologue, signers.isEmpty {
            writer.writeUInt(LegacyType.prologueOnly)
            writer.writeBytes32(prologue.hash)
        } else if quorum == 1, signers.count == 1, !allowPatch {
            writer.writeUInt(LegacyType.singleSigner)
            encode(signers[0], into: &writer)
        } else {
            writer.writeUInt(LegacyType.general)
            writer.writeUInt(allowPatch ? Flag.allowPatch : 0)
            writer.writeUInt(quorum)
            encodeSigners(into: &writer)
        }
    }

    private func encodeSigners(into writer: inout ByteWriter) {
        writer.writeUInt(signers.count)
        for signer in signers { encode(signer, into: &writer) }
    }

    private func encode(_ signer: Signer, into writer: inout ByteWriter) {
        writer.writeUInt(Manifest.ed25519)
        writer.writeBytes32(signer.namespace)
        writer.writeBytes32(signer.publicKey.bytes32)
    }

    private static func readHashAlgorithm(_ reader: inout ByteReader) throws(CodecError) {
        guard try reader.readUInt() == blake2b else { throw .invalidValue }
    }

    private static func readSigners(_ reader: inout ByteReader) throws(CodecError) -> [Signer] {
        let count = try reader.readArrayCount(minimumByteCount: 1 + 2 * Bytes32.byteCount)
        var signers: [Signer] = []
        signers.reserveCapacity(count)
        for _ in 0..<count { signers.append(try readSigner(&reader)) }
        return signers
    }

    private static func readSigner(_ reader: inout ByteReader) throws(CodecError) -> Signer {
        guard try reader.readUInt() == ed25519 else { throw .invalidValue }
        let namespace = try reader.readBytes32()
        return Signer(publicKey: PublicKey(try reader.readBytes32()), namespace: namespace)
    }
}
