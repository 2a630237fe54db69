package import DWebBase

/// The record under `U(0)`: next free pointers, the store's primary key and its first log; spec 40 section 13.1.
package struct StoreHead: Equatable, Sendable {
    /// The version that this implementation writes.
    package static let currentVersion: UInt64 = 2

    /// The next core pointer to give out.
    package var nextCore: UInt64 = 0
    /// The next data pointer to give out.
    package var nextData: UInt64 = 0
    /// The next group pointer to give out.
    package var nextGroup: UInt64 = 0
    /// The store's primary key.
    package var primaryKey: Bytes32?
    /// The discovery key of the first log created in the store.
    package var defaultDiscoveryKey: Bytes32?

    private enum Flag {
        static let seed: UInt64 = 1
        static let defaultDiscoveryKey: UInt64 = 2
        // The layout of versions 0 and 1 begins its flags with whether pointers were given out.
        static let oldAllocated: UInt64 = 1
        static let oldSeed: UInt64 = 2
        static let oldDefaultDiscoveryKey: UInt64 = 4
    }

    /// The head of a store in which nothing was created.
    package init() {}

    /// Reads a record of version 0, 1 or 2.
    ///
    /// - Throws: ``CodecError`` with `unknownVersion` for a store written by a newer implementation.
    package init(decoding bytes: [UInt8]) throws(CodecError) {
        var reader = ByteReader(bytes)
        let version = try reader.readUInt()
        switch version {
        case 0, 1:
            let flags = try reader.readUInt()
            if flags & Flag.oldAllocated != 0 {
                nextCore = try reader.readUInt()
                nextData = try reader.readUInt()
            }
            if flags & Flag.oldSeed != 0 { primaryKey = try reader.readBytes32() }
            if flags & Flag.oldDefaultDiscoveryKey != 0 { defaultDiscoveryKey = try reader.readBytes32() }
        case 2:
            nextCore = try reader.readUInt()
            nextData = try reader.readUInt()
            nextGroup = try reader.readUInt()
            let flags = try reader.readUInt()
            if flags & Flag.seed != 0 { primaryKey = try reader.readBytes32() }
            if flags & Flag.defaultDiscoveryKey != 0 { defaultDiscoveryKey = try reader.readBytes32() }
        default:
            throw .unknownVersion(version)
        }
    }

    /// The record in the current version.
    package var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 80)
        writer.writeUInt(StoreHead.currentVersion)
        writer.writeUInt(nextCore)
        writer.writeUInt(nextData)
        writer.writeUInt(nextGroup)
        writer.writeUInt(
            (primaryKey == nil ? 0 : Flag.seed) | (defaultDiscoveryKey == nil ? 0 : Flag.defaultDiscoveryKey))
        if let primaryKey { writer.writeBytes32(primaryKey) }
        if let defaultDiscoveryKey { writer.writeBytes32(defaultDiscoveryKey) }
        return writer.bytes
    }
}

/// The name under which a store keeps a log: spec 40 section 13, `U(2)`.
package struct LogAlias: Hashable, Sendable {
    /// The name inside the namespace.
    package var name: String
    /// The namespace; 32 zero bytes at the root of a store.
    package var namespace: Bytes32

    /// Names a log.
    package init(name: String, namespace: Bytes32) {
        self.name = name
        self.namespace = namespace
    }
}

/// The record under `U(1) discoveryKey`: where a log's records are; spec 40 section 13.1.
package struct CoreRecord: Equatable, Sendable {
    /// The version that this implementation writes.
    package static let currentVersion: UInt64 = 2

    /// The version the record was written in; older ones are rewritten when the log is opened (spec 40 section 15).
    package var version: UInt64
    /// The pointer of the log's own records, `U(3)`.
    package var corePointer: UInt64
    /// The pointer of the log's content, `U(4)`.
    package var dataPointer: UInt64
    /// The log's name, if it has one.
    package var alias: LogAlias?

    /// A record in the current version.
    package init(corePointer: UInt64, dataPointer: UInt64, alias: LogAlias?) {
        version = CoreRecord.currentVersion
        self.corePointer = corePointer
        self.dataPointer = dataPointer
        self.alias = alias
    }

    /// Reads a record.
    ///
    /// - Throws: ``CodecError`` with `unknownVersion` above version 2.
    package init(decoding bytes: [UInt8]) throws(CodecError) {
        var reader = ByteReader(bytes)
        version = try reader.readUInt()
        guard version <= CoreRecord.currentVersion else { throw .unknownVersion(version) }
        corePointer = try reader.readUInt()
        dataPointer = try reader.readUInt()
        let flags = try reader.readUInt()
        if flags & 1 != 0 {
            let name = try reader.readString()
            alias = LogAlias(name: name, namespace: try reader.readBytes32())
        }
    }

    /// The record in the version it states.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.writeUInt(version)
        writer.writeUInt(corePointer)
        writer.writeUInt(dataPointer)
        writer.writeUInt(alias == nil ? 0 : 1)
        if let alias {
            writer.writeString(alias.name)
            writer.writeBytes32(alias.namespace)
        }
        return writer.bytes
    }
}

/// The record under `U(3) core U(2)`: which group of logs a log belongs to; spec 40 section 13.1.
package struct GroupMembership: Equatable, Sendable {
    /// The group's topic.
    package var topic: Bytes32?
    /// The group's pointer; 0 is not written.
    package var groupPointer: UInt64

    /// A membership.
    package init(topic: Bytes32?, groupPointer: UInt64) {
        self.topic = topic
        self.groupPointer = groupPointer
    }

    /// Reads a record.
    package init(decoding bytes: [UInt8]) throws(CodecError) {
        var reader = ByteReader(bytes)
        let flags = try reader.readUInt()
        topic = flags & 1 != 0 ? try reader.readBytes32() : nil
        groupPointer = flags & 2 != 0 ? try reader.readUInt() : 0
    }

    /// The record.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.writeUInt((topic == nil ? 0 : 1) | (groupPointer == 0 ? 0 : 2))
        if let topic { writer.writeBytes32(topic) }
        if groupPointer != 0 { writer.writeUInt(groupPointer) }
        return writer.bytes
    }
}
