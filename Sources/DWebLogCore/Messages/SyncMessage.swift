package import DWebBase

/// What a side has and wants; sent at the start and on every change; spec 30 section E.2.
package struct SyncMessage: Sendable, Hashable {
    /// The sender's fork.
    package var fork: UInt64
    /// The sender's length.
    package var length: UInt64
    /// The receiver's length as the sender last heard it; 0 if the forks differ.
    package var remoteLength: UInt64
    /// Whether the sender can prove its length to the receiver.
    package var canUpgrade: Bool
    /// Whether the sender answers requests.
    package var uploading: Bool
    /// Whether the sender wants blocks.
    package var downloading: Bool
    /// Whether the sender can give the manifest.
    package var hasManifest: Bool
    /// Whether the sender takes blocks it did not ask for.
    package var allowPush: Bool

    private enum Flag {
        static let canUpgrade: UInt64 = 1
        static let uploading: UInt64 = 2
        static let downloading: UInt64 = 4
        static let hasManifest: UInt64 = 8
        static let allowPush: UInt64 = 16
    }

    /// Puts a message together.
    package init(
        fork: UInt64, length: UInt64, remoteLength: UInt64, canUpgrade: Bool, uploading: Bool, downloading: Bool,
        hasManifest: Bool, allowPush: Bool
    ) {
        self.fork = fork
        self.length = length
        self.remoteLength = remoteLength
        self.canUpgrade = canUpgrade
        self.uploading = uploading
        self.downloading = downloading
        self.hasManifest = hasManifest
        self.allowPush = allowPush
    }

    /// Reads the payload.
    package init(from reader: inout ByteReader) throws(CodecError) {
        let flags = try reader.readUInt()
        fork = try reader.readUInt()
        length = try reader.readUInt()
        remoteLength = try reader.readUInt()
        canUpgrade = flags & Flag.canUpgrade != 0
        uploading = flags & Flag.uploading != 0
        downloading = flags & Flag.downloading != 0
        hasManifest = flags & Flag.hasManifest != 0
        allowPush = flags & Flag.allowPush != 0
    }

    /// Writes the payload.
    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt(
            (canUpgrade ? Flag.canUpgrade : 0) | (uploading ? Flag.uploading : 0)
                | (downloading ? Flag.downloading : 0) | (hasManifest ? Flag.hasManifest : 0)
                | (allowPush ? Flag.allowPush : 0))
        writer.writeUInt(fork)
        writer.writeUInt(length)
        writer.writeUInt(remoteLength)
    }
}
