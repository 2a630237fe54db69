package import DWebBase

/// The record under `U(3) core U(0)`: a log's keys and manifest; spec 40 section 13.1.
package struct AuthRecord: Equatable, Sendable {
    /// A signer's key pair as stored: the public half alone, or with libsodium's 64-byte secret form.
    package struct StoredKeyPair: Equatable, Sendable {
        /// The public key.
        package var publicKey: [UInt8]
        /// Seed and public key, if the log is writable.
        package var secretKey: [UInt8]?

        /// Pairs the halves.
        package init(publicKey: [UInt8], secretKey: [UInt8]?) {
            self.publicKey = publicKey
            self.secretKey = secretKey
        }
    }

    /// The log's key.
    package var key: Bytes32
    /// The log's discovery key.
    package var discoveryKey: Bytes32
    /// The manifest in its *stored* encoding, which differs from the hashed one for version 0.
    package var storedManifest: [UInt8]?
    /// The key pair of the local signer.
    package var keyPair: StoredKeyPair?
    /// The block-encryption key; the field exists, the reference does not fill it.
    package var encryptionKey: [UInt8]?

    private enum Flag {
        static let manifest: UInt64 = 1
        static let keyPair: UInt64 = 2
        static let encryptionKey: UInt64 = 4
    }

    /// A record that knows only the key.
    package init(key: Bytes32, discoveryKey: Bytes32) {
        self.key = key
        self.discoveryKey = discoveryKey
    }

    /// Reads a record.
    package init(decoding bytes: [UInt8]) throws(CodecError) {
        var reader = ByteReader(bytes)
        key = try reader.readBytes32()
        discoveryKey = try reader.readBytes32()
        let flags = try reader.readUInt()
        if flags & Flag.manifest != 0 { storedManifest = try reader.readBuffer() }
        if flags & Flag.keyPair != 0 {
            let publicKey = try reader.readBuffer()
            keyPair = StoredKeyPair(publicKey: publicKey, secretKey: try reader.readOptionalBuffer())
        }
        if flags & Flag.encryptionKey != 0 { encryptionKey = try reader.readBuffer() }
    }

    /// The record.
    package var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 256)
        writer.writeBytes32(key)
        writer.writeBytes32(discoveryKey)
        writer.writeUInt(
            (storedManifest == nil ? 0 : Flag.manifest) | (keyPair == nil ? 0 : Flag.keyPair)
                | (encryptionKey == nil ? 0 : Flag.encryptionKey))
        if let storedManifest { writer.writeBuffer(storedManifest) }
        if let keyPair {
            writer.writeBuffer(keyPair.publicKey)
            writer.writeOptionalBuffer(keyPair.secretKey)
        }
        if let encryptionKey { writer.writeBuffer(encryptionKey) }
        return writer.bytes
    }
}

/// The record under `U(4) data U(0)`: the log's signed state; spec 40 section 13.1. No record means an empty log.
package struct HeadRecord: Equatable, Sendable {
    /// How often the log was truncated.
    package var fork: UInt64
    /// The number of blocks.
    package var length: UInt64
    /// The tree hash over the roots.
    package var treeHash: Bytes32
    /// The signature of fork, length and tree hash.
    package var signature: [UInt8]?
    /// Milliseconds since 1970 when the state was written; nil in records of older stores.
    package var timestampMilliseconds: UInt64?

    /// A signed state.
    package init(
        fork: UInt64, length: UInt64, treeHash: Bytes32, signature: [UInt8]?, timestampMilliseconds: UInt64?
    ) {
        self.fork = fork
        self.length = length
        self.treeHash = treeHash
        self.signature = signature
        self.timestampMilliseconds = timestampMilliseconds
    }

    /// Reads a record; one without the flags byte is from before storage version 3.
    package init(decoding bytes: [UInt8]) throws(CodecError) {
        var reader = ByteReader(bytes)
        fork = try reader.readUInt()
        length = try reader.readUInt()
        treeHash = try reader.readBytes32()
        signature = try reader.readOptionalBuffer()
        let flags = reader.isAtEnd ? 0 : try reader.readUInt()
        if flags & 1 != 0 { timestampMilliseconds = try reader.readUInt64() }
    }

    /// The record.
    package var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 128)
        writer.writeUInt(fork)
        writer.writeUInt(length)
        writer.writeBytes32(treeHash)
        writer.writeOptionalBuffer(signature)
        writer.writeUInt(timestampMilliseconds == nil ? 0 : 1)
        if let timestampMilliseconds { writer.writeUInt64(timestampMilliseconds) }
        return writer.bytes
    }
}

/// The record under `U(4) data U(1)`: which part of a named session is shared with its parent; spec 40 section 9.
package struct DependencyRecord: Equatable, Sendable {
    /// The parent's data pointer.
    package var dataPointer: UInt64
    /// How many leading blocks are the parent's.
    package var length: UInt64

    /// A dependency.
    package init(dataPointer: UInt64, length: UInt64) {
        self.dataPointer = dataPointer
        self.length = length
    }

    /// Reads a record.
    package init(decoding bytes: [UInt8]) throws(CodecError) {
        var reader = ByteReader(bytes)
        dataPointer = try reader.readUInt()
        length = try reader.readUInt()
    }

    /// The record.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.writeUInt(dataPointer)
        writer.writeUInt(length)
        return writer.bytes
    }
}

/// The record under `U(3) core U(1)`: the named sessions of a log; spec 40 section 9.
package struct SessionsRecord: Equatable, Sendable {
    /// A named session.
    package struct Session: Equatable, Sendable {
        /// Its name.
        package var name: String
        /// The pointer of its content.
        package var dataPointer: UInt64

        /// A named session.
        package init(name: String, dataPointer: UInt64) {
            self.name = name
            self.dataPointer = dataPointer
        }
    }

    /// The sessions in the order they were created.
    package var sessions: [Session]

    /// A list of sessions.
    package init(sessions: [Session]) { self.sessions = sessions }

    /// Reads a record.
    package init(decoding bytes: [UInt8]) throws(CodecError) {
        var reader = ByteReader(bytes)
        let count = try reader.readArrayCount(minimumByteCount: 2)
        sessions = []
        sessions.reserveCapacity(count)
        for _ in 0..<count {
            let name = try reader.readString()
            sessions.append(Session(name: name, dataPointer: try reader.readUInt()))
        }
    }

    /// The record.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.writeUInt(sessions.count)
        for session in sessions {
            writer.writeString(session.name)
            writer.writeUInt(session.dataPointer)
        }
        return writer.bytes
    }
}

/// The record under `U(4) data U(2)`: facts that can be recomputed; spec 40 section 13.1.
package struct HintsRecord: Equatable, Sendable {
    /// No block below this one is missing. May be too small, never too large.
    package var contiguousLength: UInt64 = 0
    /// The greatest contiguous length that a peer of the same fork announced.
    package var remoteContiguousLength: UInt64 = 0
    /// Milliseconds since 1970 when a lossy recovery of the store began; 0 if none is under way.
    package var recoveringMilliseconds: UInt64 = 0

    /// Hints of an empty log.
    package init() {}

    /// Reads a record.
    package init(decoding bytes: [UInt8]) throws(CodecError) {
        var reader = ByteReader(bytes)
        let flags = try reader.readUInt()
        if flags & 1 != 0 { contiguousLength = try reader.readUInt() }
        if flags & 2 != 0 { remoteContiguousLength = try reader.readUInt() }
        if flags & 4 != 0 { recoveringMilliseconds = try reader.readUInt() }
    }

    /// The record; zero fields are left out.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.writeUInt(
            (contiguousLength == 0 ? 0 : 1) | (remoteContiguousLength == 0 ? 0 : 2)
                | (recoveringMilliseconds == 0 ? 0 : 4))
        if contiguousLength != 0 { writer.writeUInt(contiguousLength) }
        if remoteContiguousLength != 0 { writer.writeUInt(remoteContiguousLength) }
        if recoveringMilliseconds != 0 { writer.writeUInt(recoveringMilliseconds) }
        return writer.bytes
    }
}
