import DWebBase

/// What a seed is.
public enum SeedKind: UInt8, Sendable, CaseIterable {
    /// Found out from the first block.
    case automatic = 0
    /// One log.
    case log = 1
    /// A tree: one log.
    case tree = 2
    /// A drive: its tree and its content.
    case drive = 3
}

/// What is done on the network for a log.
public struct TopicSetting: Sendable, Hashable {
    /// Whether to be found.
    public var announce: Bool
    /// Whether to find others.
    public var lookup: Bool
    /// Whether the setting outlives the daemon.
    public var remember: Bool

    /// A setting.
    public init(announce: Bool = true, lookup: Bool = true, remember: Bool = true) {
        self.announce = announce
        self.lookup = lookup
        self.remember = remember
    }
}

/// What is remembered of a seed.
struct SeedRecord: Sendable, Equatable {
    var kind: SeedKind
    var priority: UInt8
    var addedMilliseconds: UInt64
    var lastActiveMilliseconds: UInt64
    /// Whether somebody asked for it by key, not only by a list.
    var isDirect: Bool
    /// The lists that name it.
    var lists: [PublicKey]
    var note: String
}

/// What is remembered of a followed list.
struct ListRecord: Sendable, Equatable {
    var priority: UInt8
    var addedMilliseconds: UInt64
}

/// The daemon's bounds; 0 bytes of storage means any number.
public struct SeedLimits: Sendable, Hashable {
    /// Bytes that all seeds together may take; 0 for any number.
    public var storageByteCount: UInt64 = 0
    /// Bytes that stay free on the disk: below that nothing is downloaded.
    public var freeSpaceFloor: UInt64 = 1 << 30
    /// Peers to stay connected with; applied when the daemon starts.
    public var peerCount = 64
    /// Keys that may be seeded.
    public var seedCount = 10_000

    /// The defaults: any number of bytes, 1 GiB stays free, 64 peers, 10,000 seeds.
    public init() {}
}

/// The layout of the daemon's own store: a byte that names the kind of record, then the key it is about. Values start
/// with the number of their layout, and are in the compact encoding of the network.
enum StateKeys {
    /// The number of the layout of the whole store.
    static let layout: [UInt8] = [0x01]
    static let limits: [UInt8] = [0x02]
    static let topics: UInt8 = 0x10
    static let seeds: UInt8 = 0x11
    static let lists: UInt8 = 0x12

    static func topic(_ key: DiscoveryKey) -> [UInt8] { [topics] + key.bytes }
    static func seed(_ key: PublicKey) -> [UInt8] { [seeds] + key.bytes }
    static func list(_ key: PublicKey) -> [UInt8] { [lists] + key.bytes }
    /// All records of a kind.
    static func span(_ kind: UInt8) -> (start: [UInt8], end: [UInt8]) { ([kind], [kind + 1]) }
}

/// Reads and writes the values of ``StateKeys``.
enum StateCoding {
    /// The layout that this program writes, of each value.
    static let version: UInt8 = 1

    static func encode(_ setting: TopicSetting) -> [UInt8] {
        [version, (setting.announce ? 1 : 0) | (setting.lookup ? 2 : 0)]
    }

    static func decodeTopic(_ bytes: [UInt8]) throws(CodecError) -> TopicSetting {
        var reader = try reader(bytes)
        let flags = try reader.readByte()
        return TopicSetting(announce: flags & 1 != 0, lookup: flags & 2 != 0, remember: true)
    }

    static func encode(_ record: SeedRecord) -> [UInt8] {
        var writer = ByteWriter(capacity: 64)
        writer.writeByte(version)
        writer.writeByte(record.kind.rawValue)
        writer.writeByte(record.priority)
        writer.writeByte(record.isDirect ? 1 : 0)
        writer.writeUInt(record.addedMilliseconds)
        writer.writeUInt(record.lastActiveMilliseconds)
        writer.writeUInt(record.lists.count)
        for list in record.lists { for byte in list.bytes { writer.writeByte(byte) } }
        let note = Array(record.note.utf8)
        writer.writeUInt(note.count)
        for byte in note { writer.writeByte(byte) }
        return writer.bytes
    }

    static func decodeSeed(_ bytes: [UInt8]) throws(CodecError) -> SeedRecord {
        var reader = try reader(bytes)
        // A kind of a newer version is found out again.
        let kind = SeedKind(rawValue: try reader.readByte()) ?? .automatic
        let priority = try reader.readByte()
        let isDirect = try reader.readByte() != 0
        let added = try reader.readUInt()
        let active = try reader.readUInt()
        var lists: [PublicKey] = []
        let count = try reader.readUInt()
        guard count <= UInt64(DaemonConstants.listCount) else { throw .outOfBounds }
        for _ in 0..<count {
            let range = try reader.skip(Bytes32.byteCount)
            guard let key = PublicKey(reader.source[range]) else { throw .outOfBounds }
            lists.append(key)
        }
        let noteCount = try reader.readUInt()
        guard noteCount <= UInt64(DaemonConstants.noteByteCount) else { throw .outOfBounds }
        let note = String(decoding: reader.source[try reader.skip(Int(noteCount))], as: UTF8.self)
        return SeedRecord(
            kind: kind, priority: priority, addedMilliseconds: added, lastActiveMilliseconds: active,
            isDirect: isDirect, lists: lists, note: note)
    }

    static func encode(_ record: ListRecord) -> [UInt8] {
        var writer = ByteWriter(capacity: 16)
        writer.writeByte(version)
        writer.writeByte(record.priority)
        writer.writeUInt(record.addedMilliseconds)
        return writer.bytes
    }

    static func decodeList(_ bytes: [UInt8]) throws(CodecError) -> ListRecord {
        var reader = try reader(bytes)
        return ListRecord(priority: try reader.readByte(), addedMilliseconds: try reader.readUInt())
    }

    static func encode(_ limits: SeedLimits) -> [UInt8] {
        var writer = ByteWriter(capacity: 32)
        writer.writeByte(version)
        writer.writeUInt(min(limits.storageByteCount, ByteReader.integerLimit))
        writer.writeUInt(min(limits.freeSpaceFloor, ByteReader.integerLimit))
        writer.writeUInt(limits.peerCount)
        writer.writeUInt(limits.seedCount)
        return writer.bytes
    }

    static func decodeLimits(_ bytes: [UInt8]) throws(CodecError) -> SeedLimits {
        var reader = try reader(bytes)
        var limits = SeedLimits()
        limits.storageByteCount = try reader.readUInt()
        limits.freeSpaceFloor = try reader.readUInt()
        limits.peerCount = Int(try reader.readUInt())
        limits.seedCount = Int(try reader.readUInt())
        return limits
    }

    private static func reader(_ bytes: [UInt8]) throws(CodecError) -> ByteReader {
        var reader = ByteReader(bytes)
        guard try reader.readByte() == version else { throw .outOfBounds }
        return reader
    }
}
