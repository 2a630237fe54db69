public import DWebBase
import DWebCrypto
import DWebLogCore

/// One signer's agreement to what a log of several signers is to become. Parts travel between the signers in whatever
/// way the application has; see ``DDatabase/signature(appending:)`` and ``DDatabase/append(_:signedBy:)``.
public struct SignaturePart: Sendable, Hashable {
    /// The log.
    public let key: PublicKey
    /// The position of the signer in the log's manifest.
    public let signer: Int
    /// The length that the signer agrees to.
    public let length: UInt64
    /// The fork that the signer agrees to.
    public let fork: UInt64
    let signature: [UInt8]

    private static let currentVersion: UInt64 = 0

    init(key: PublicKey, signer: Int, length: UInt64, fork: UInt64, signature: [UInt8]) {
        self.key = key
        self.signer = signer
        self.length = length
        self.fork = fork
        self.signature = signature
    }

    /// Reads a part that was made into bytes.
    ///
    /// - Throws: ``DDatabaseError`` with code `invalidValue`.
    public init(decoding bytes: [UInt8]) throws(DDatabaseError) {
        do throws(CodecError) {
            var reader = ByteReader(bytes)
            guard try reader.readUInt() == SignaturePart.currentVersion else { throw .invalidValue }
            let key = PublicKey(try reader.readBytes32())
            guard let signer = Int(exactly: try reader.readUInt()) else { throw .invalidValue }
            let length = try reader.readUInt()
            let fork = try reader.readUInt()
            let signature = try reader.readBytes(Ed25519.signatureByteCount)
            guard reader.isAtEnd else { throw .invalidValue }
            self.init(key: key, signer: signer, length: length, fork: fork, signature: signature)
        } catch {
            throw DDatabaseError(.invalidValue, "The bytes are no part of a signature")
        }
    }

    /// The part as bytes.
    public var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 120)
        writer.writeUInt(SignaturePart.currentVersion)
        writer.writeBytes32(key.bytes32)
        writer.writeUInt(UInt64(signer))
        writer.writeUInt(length)
        writer.writeUInt(fork)
        writer.writeBytes(signature)
        return writer.bytes
    }
}

extension DDatabase {
    // MARK: Several signers

    /// Signs, as one of the manifest's signers, the log as it will be once `blocks` are appended. Changes nothing.
    ///
    /// - Throws: ``DDatabaseError`` with code `notWritable` (no signer's key is known here), `signer`, `blockTooLarge`
    ///   or `closed`.
    public func signature(appending blocks: [[UInt8]]) async throws(DDatabaseError) -> SignaturePart {
        try checkOpen()
        return try await engine.signature(appending: blocks, cipher: try cipher())
    }

    /// Appends blocks that several signers agreed to.
    ///
    /// All signers must have appended to the same log; where the manifest allows patches they may have signed
    /// different lengths. As many of the blocks are appended as the manifest's quorum of signers agrees to.
    ///
    /// - Returns: The indices of the blocks that were appended.
    /// - Throws: ``DDatabaseError`` with code `signer` (a part does not belong to these blocks, or too few agree),
    ///   `notWritable` (the manifest is not known), `blockTooLarge`, `storage` or `closed`.
    @discardableResult
    public func append(
        _ blocks: [[UInt8]], signedBy parts: [SignaturePart]
    ) async throws(DDatabaseError) -> Range<UInt64> {
        try checkOpen()
        try checkWritable()
        if isRecovering { try await engine.waitForRecovery(for: hold.session) }
        return try await engine.append(blocks, signedBy: parts, cipher: try cipher())
    }

    /// Signs, as one of the manifest's signers, the log as it will be once it is cut after `length` blocks.
    ///
    /// - Throws: As ``signature(appending:)``, and `outOfBounds`.
    public func signature(truncatingTo length: UInt64) async throws(DDatabaseError) -> SignaturePart {
        try checkOpen()
        return try await engine.signature(truncatingTo: length)
    }

    /// Cuts the log as several signers agreed to.
    ///
    /// - Throws: As ``append(_:signedBy:)``, and `outOfBounds`.
    public func truncate(to length: UInt64, signedBy parts: [SignaturePart]) async throws(DDatabaseError) {
        try checkOpen()
        try checkWritable()
        try await engine.truncate(to: length, signedBy: parts)
    }
}
