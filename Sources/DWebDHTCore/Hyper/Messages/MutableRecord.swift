package import DWebBase
package import DWebCrypto

/// A signed value that its owner can replace: the answer to MUTABLE_GET; spec 20 section 8.
package struct MutableRecord: HyperCodable {
    /// The value's version; higher replaces lower.
    package var sequence: UInt64
    /// The value, at most ``HyperLimits/valueByteCount`` bytes.
    package var value: [UInt8]
    /// The owner's signature, 64 bytes.
    package var signature: [UInt8]

    /// Makes a record.
    package init(sequence: UInt64, value: [UInt8], signature: [UInt8]) {
        self.sequence = sequence
        self.value = value
        self.signature = signature
    }

    /// A record signed by `keyPair`.
    package static func signed(sequence: UInt64, value: [UInt8], keyPair: KeyPair) -> MutableRecord {
        let signature = keyPair.sign(signable(sequence: sequence, value: value))
        return MutableRecord(sequence: sequence, value: value, signature: signature)
    }

    /// The sequence and value, as they are hashed for signing.
    package static func inner(sequence: UInt64, value: [UInt8]) -> [UInt8] {
        var writer = ByteWriter(capacity: value.count + 12)
        writer.writeUInt(sequence)
        writer.writeBuffer(value)
        return writer.bytes
    }

    /// The 64 bytes that are signed.
    package static func signable(sequence: UInt64, value: [UInt8]) -> [UInt8] {
        Namespace.mutablePut.bytes + Blake2b.hash32(inner(sequence: sequence, value: value)).bytes
    }

    /// Whether `publicKey` signed this sequence and value.
    package func isValid(by publicKey: PublicKey) -> Bool {
        Ed25519.verify(signature, of: MutableRecord.signable(sequence: sequence, value: value), by: publicKey)
    }

    package init(from reader: inout ByteReader) throws(CodecError) {
        sequence = try reader.readUInt()
        value = try reader.readBuffer()
        signature = try reader.readBytes(Ed25519.signatureByteCount)
    }

    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt(sequence)
        writer.writeBuffer(value)
        writer.writeBytes(signature)
    }
}

/// The value of a MUTABLE_PUT request; spec 20 section 8.
package struct MutablePut: HyperCodable {
    /// The owner.
    package var publicKey: PublicKey
    /// What to store.
    package var record: MutableRecord

    /// Makes a request.
    package init(publicKey: PublicKey, record: MutableRecord) {
        self.publicKey = publicKey
        self.record = record
    }

    package init(from reader: inout ByteReader) throws(CodecError) {
        publicKey = PublicKey(try reader.readBytes32())
        record = try MutableRecord(from: &reader)
    }

    package func encode(into writer: inout ByteWriter) {
        writer.writeBytes32(publicKey.bytes32)
        record.encode(into: &writer)
    }
}
