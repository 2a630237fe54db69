package import DWebBase

/// What a key of the store's key space names; spec 40 section 13. For tools and checks that walk a whole store.
package enum RecordKind: Equatable, Sendable {
    /// The store head.
    case storeHead
    /// A core record.
    case core(DiscoveryKey)
    /// An alias.
    case alias(LogAlias)
    /// A log's keys and manifest.
    case auth(core: UInt64)
    /// A log's named sessions.
    case sessions(core: UInt64)
    /// A log's group.
    case group(core: UInt64)
    /// A log's signed state.
    case head(data: UInt64)
    /// What a named session shares with its parent.
    case dependency(data: UInt64)
    /// Facts that can be recomputed.
    case hints(data: UInt64)
    /// A block.
    case block(data: UInt64, index: UInt64)
    /// A tree node.
    case node(data: UInt64, index: UInt64)
    /// A page of the bitfield, or of another type.
    case page(data: UInt64, page: UInt64, type: UInt64)
    /// A user-data record.
    case userData(data: UInt64, name: String)
    /// A local record.
    case local(data: UInt64, key: [UInt8])
    /// A page of the mark-and-sweep bitfield.
    case mark(data: UInt64, page: UInt64)
    /// A group's pointer.
    case groupTopic(Bytes32)
    /// A log's place in its group.
    case groupEntry(group: UInt64, timestampMilliseconds: UInt64, core: UInt64)

    /// Takes a key apart.
    ///
    /// - Throws: ``CodecError`` for a key that the schema does not have.
    package init(key: [UInt8]) throws(CodecError) {
        var reader = OrderedKeyReader(key)
        switch try reader.readUInt() {
        case 0: self = .storeHead
        case 1: self = .core(DiscoveryKey(try reader.readBytes32()))
        case 2:
            let namespace = try reader.readBytes32()
            self = .alias(LogAlias(name: try reader.readString(), namespace: namespace))
        case 3: self = try RecordKind.core(&reader)
        case 4: self = try RecordKind.data(&reader)
        case 5: self = .groupTopic(try reader.readBytes32())
        case 6:
            let group = try reader.readUInt()
            let timestamp = try reader.readFixed(byteCount: 8)
            self = .groupEntry(group: group, timestampMilliseconds: timestamp, core: try reader.readUInt())
        default: throw .invalidValue
        }
        guard reader.isAtEnd else { throw .invalidValue }
    }

    private static func core(_ reader: inout OrderedKeyReader) throws(CodecError) -> RecordKind {
        let core = try reader.readUInt()
        switch try reader.readUInt() {
        case 0: return .auth(core: core)
        case 1: return .sessions(core: core)
        case 2: return .group(core: core)
        default: throw .invalidValue
        }
    }

    private static func data(_ reader: inout OrderedKeyReader) throws(CodecError) -> RecordKind {
        let data = try reader.readUInt()
        switch try reader.readUInt() {
        case 0: return .head(data: data)
        case 1: return .dependency(data: data)
        case 2: return .hints(data: data)
        case 3: return .block(data: data, index: try reader.readUInt())
        case 4: return .node(data: data, index: try reader.readUInt())
        case 5:
            let page = try reader.readUInt()
            return .page(data: data, page: page, type: try reader.readUInt())
        case 6: return .userData(data: data, name: try reader.readString())
        case 7: return .local(data: data, key: reader.readRest())
        case 8: return .mark(data: data, page: try reader.readUInt())
        default: throw .invalidValue
        }
    }

    /// The key that the schema gives to this record.
    package var key: [UInt8] {
        switch self {
        case .storeHead: return StoreRecordKeys.head
        case .core(let discoveryKey): return StoreRecordKeys.core(discoveryKey)
        case .alias(let alias): return StoreRecordKeys.alias(alias)
        case .auth(let core): return StoreRecordKeys.auth(core: core)
        case .sessions(let core): return StoreRecordKeys.sessions(core: core)
        case .group(let core): return StoreRecordKeys.group(core: core)
        case .head(let data): return DataKeys(dataPointer: data).head
        case .dependency(let data): return DataKeys(dataPointer: data).dependency
        case .hints(let data): return DataKeys(dataPointer: data).hints
        case .block(let data, let index): return DataKeys(dataPointer: data).block(index)
        case .node(let data, let index): return DataKeys(dataPointer: data).node(index)
        case .page(let data, let page, let type):
            var writer = RecordKind.dataWriter(data, kind: 5)
            writer.writeUInt(page)
            writer.writeUInt(type)
            return writer.bytes
        case .userData(let data, let name): return DataKeys(dataPointer: data).userData(name)
        case .local(let data, let key): return DataKeys(dataPointer: data).local(key)
        case .mark(let data, let page):
            var writer = RecordKind.dataWriter(data, kind: 8)
            writer.writeUInt(page)
            return writer.bytes
        case .groupTopic(let topic): return StoreRecordKeys.groupTopic(topic)
        case .groupEntry(let group, let timestamp, let core):
            return StoreRecordKeys.groupEntry(group: group, timestampMilliseconds: timestamp, core: core)
        }
    }

    private static func dataWriter(_ data: UInt64, kind: UInt64) -> OrderedKeyWriter {
        var writer = OrderedKeyWriter()
        writer.writeUInt(4)
        writer.writeUInt(data)
        writer.writeUInt(kind)
        return writer
    }
}
