package import DWebBase

/// Builders of the keys that belong to a whole store; spec 40 section 13.
package enum StoreRecordKeys {
    /// The key of the store head.
    package static let head: [UInt8] = [0]
    /// The first key of a store and the first key after it.
    package static let everything: KeySpan = KeySpan(start: [0], end: [7])
    /// The range of all core records, in the order of discovery keys.
    package static let cores: KeySpan = KeySpan(start: [1], end: [2])
    /// The range of all aliases.
    package static let aliases: KeySpan = KeySpan(start: [2], end: [3])

    /// The key of a core record.
    package static func core(_ discoveryKey: DiscoveryKey) -> [UInt8] {
        var writer = OrderedKeyWriter(capacity: 33)
        writer.writeUInt(1)
        writer.writeBytes32(discoveryKey.bytes32)
        return writer.bytes
    }

    /// The discovery key in the key of a core record, or nil if it is another kind of key.
    package static func discoveryKey(ofCoreKey key: [UInt8]) -> DiscoveryKey? {
        guard key.count == 33, key[0] == 1 else { return nil }
        return DiscoveryKey(key[1...])
    }

    /// The key of an alias; its value is the discovery key.
    package static func alias(_ alias: LogAlias) -> [UInt8] {
        var writer = OrderedKeyWriter(capacity: 64)
        writer.writeUInt(2)
        writer.writeBytes32(alias.namespace)
        writer.writeString(alias.name)
        return writer.bytes
    }

    /// The alias in a key, or nil if it is another kind of key.
    package static func alias(ofKey key: [UInt8]) throws(CodecError) -> LogAlias? {
        var reader = OrderedKeyReader(key)
        guard try reader.readUInt() == 2 else { return nil }
        let namespace = try reader.readBytes32()
        let name = try reader.readString()
        guard reader.isAtEnd else { throw .invalidValue }
        return LogAlias(name: name, namespace: namespace)
    }

    /// The range of the aliases in one namespace, in the order of names.
    package static func aliases(in namespace: Bytes32) -> KeySpan {
        var writer = OrderedKeyWriter(capacity: 34)
        writer.writeUInt(2)
        writer.writeBytes32(namespace)
        var end = OrderedKeyWriter(appendingTo: writer.bytes)
        end.writeInfinity()
        return KeySpan(start: writer.bytes, end: end.bytes)
    }

    /// The key of a log's ``AuthRecord``.
    package static func auth(core: UInt64) -> [UInt8] { coreKey(core, 0) }
    /// The key of a log's ``SessionsRecord``.
    package static func sessions(core: UInt64) -> [UInt8] { coreKey(core, 1) }
    /// The key of a log's ``GroupMembership``.
    package static func group(core: UInt64) -> [UInt8] { coreKey(core, 2) }

    private static func coreKey(_ core: UInt64, _ kind: UInt64) -> [UInt8] {
        var writer = OrderedKeyWriter(capacity: 11)
        writer.writeUInt(3)
        writer.writeUInt(core)
        writer.writeUInt(kind)
        return writer.bytes
    }

    /// The key under which a group's topic is registered; the value is its pointer.
    package static func groupTopic(_ topic: Bytes32) -> [UInt8] {
        var writer = OrderedKeyWriter(capacity: 33)
        writer.writeUInt(5)
        writer.writeBytes32(topic)
        return writer.bytes
    }

    /// The keys that list the logs of a group, by the time of their last change.
    package static func groupEntries(_ group: UInt64) -> KeySpan {
        var writer = OrderedKeyWriter(capacity: 12)
        writer.writeUInt(6)
        writer.writeUInt(group)
        var end = OrderedKeyWriter(appendingTo: writer.bytes)
        end.writeInfinity()
        return KeySpan(start: writer.bytes, end: end.bytes)
    }

    /// The key that lists a log in its group by the time of its last change; the value is the log's key.
    package static func groupEntry(group: UInt64, timestampMilliseconds: UInt64, core: UInt64) -> [UInt8] {
        var writer = OrderedKeyWriter(capacity: 24)
        writer.writeUInt(6)
        writer.writeUInt(group)
        writer.writeFixed(timestampMilliseconds, byteCount: 8)
        writer.writeUInt(core)
        return writer.bytes
    }
}

/// The keys from ``start`` to before ``end``.
package struct KeySpan: Equatable, Sendable {
    /// The first key.
    package let start: [UInt8]
    /// The key after the last.
    package let end: [UInt8]

    /// A half-open range of keys.
    package init(start: [UInt8], end: [UInt8]) {
        self.start = start
        self.end = end
    }
}

/// Builders of the keys of one log's content, `U(4) data`, with the common prefixes made once; spec 40 section 13.
package struct DataKeys: Sendable {
    /// The pointer of the content.
    package let dataPointer: UInt64
    /// The key of the ``HeadRecord``.
    package let head: [UInt8]
    /// The key of the ``DependencyRecord``.
    package let dependency: [UInt8]
    /// The key of the ``HintsRecord``.
    package let hints: [UInt8]
    /// Everything under the pointer.
    package let everything: KeySpan
    private let blockPrefix: [UInt8]
    private let nodePrefix: [UInt8]
    private let pagePrefix: [UInt8]
    private let userDataPrefix: [UInt8]
    private let localPrefix: [UInt8]

    /// The most bytes that the key of a local record may have; spec 40 section 10.
    package static let localKeyByteLimit = 2_048

    /// Keys under `dataPointer`.
    package init(dataPointer: UInt64) {
        self.dataPointer = dataPointer
        func prefix(_ kind: UInt64) -> [UInt8] {
            var writer = OrderedKeyWriter(capacity: 12)
            writer.writeUInt(4)
            writer.writeUInt(dataPointer)
            writer.writeUInt(kind)
            return writer.bytes
        }
        head = prefix(0)
        dependency = prefix(1)
        hints = prefix(2)
        blockPrefix = prefix(3)
        nodePrefix = prefix(4)
        pagePrefix = prefix(5)
        userDataPrefix = prefix(6)
        localPrefix = prefix(7)
        var start = OrderedKeyWriter()
        start.writeUInt(4)
        start.writeUInt(dataPointer)
        var end = OrderedKeyWriter(appendingTo: start.bytes)
        end.writeInfinity()
        everything = KeySpan(start: start.bytes, end: end.bytes)
    }

    /// The key of a block.
    package func block(_ index: UInt64) -> [UInt8] { DataKeys.key(blockPrefix, index) }
    /// The key of a tree node.
    package func node(_ index: UInt64) -> [UInt8] { DataKeys.key(nodePrefix, index) }

    /// Writes the key of a block.
    package func writeBlockKey(_ index: UInt64, into writer: inout OrderedKeyWriter) {
        writer.writeBytes(blockPrefix)
        writer.writeUInt(index)
    }

    /// Writes the key of a tree node.
    package func writeNodeKey(_ index: UInt64, into writer: inout OrderedKeyWriter) {
        writer.writeBytes(nodePrefix)
        writer.writeUInt(index)
    }

    /// The key of a bitfield page: blocks `page * 32768` and after.
    package func bitfieldPage(_ page: UInt64) -> [UInt8] {
        var writer = OrderedKeyWriter(appendingTo: DataKeys.key(pagePrefix, page))
        writer.writeUInt(0)
        return writer.bytes
    }

    /// The page number in the key of a bitfield page; nil for pages of other types, which are not ours to read.
    package func page(ofKey key: [UInt8]) throws(CodecError) -> UInt64? {
        guard key.starts(with: pagePrefix) else { return nil }
        var reader = OrderedKeyReader(key, startingAt: pagePrefix.count)
        let page = try reader.readUInt()
        return try reader.readUInt() == 0 ? page : nil
    }

    /// The index in the key of a block.
    package func blockIndex(ofKey key: [UInt8]) throws(CodecError) -> UInt64 {
        guard key.starts(with: blockPrefix) else { throw .invalidValue }
        var reader = OrderedKeyReader(key, startingAt: blockPrefix.count)
        return try reader.readUInt()
    }

    /// The index in the key of a tree node.
    package func nodeIndex(ofKey key: [UInt8]) throws(CodecError) -> UInt64 {
        guard key.starts(with: nodePrefix) else { throw .invalidValue }
        var reader = OrderedKeyReader(key, startingAt: nodePrefix.count)
        return try reader.readUInt()
    }

    /// The key of a user-data record.
    package func userData(_ name: String) -> [UInt8] {
        var writer = OrderedKeyWriter(appendingTo: userDataPrefix)
        writer.writeString(name)
        return writer.bytes
    }

    /// The key of a local record.
    package func local(_ key: [UInt8]) -> [UInt8] { localPrefix + key }

    /// The keys of the local records that begin with `prefix`.
    package func locals(prefix: [UInt8]) -> KeySpan {
        let start = local(prefix)
        var end = start
        // The next byte string that does not begin like this; the kind before the key always leaves one.
        while let last = end.popLast() {
            if last < .max {
                end.append(last + 1)
                break
            }
        }
        return KeySpan(start: start, end: end)
    }

    /// The keys of the blocks in `range`.
    package func blocks(_ range: Range<UInt64>) -> KeySpan {
        KeySpan(start: block(range.lowerBound), end: block(range.upperBound))
    }

    /// The keys of all blocks from `start` on.
    package func blocks(from start: UInt64) -> KeySpan {
        KeySpan(start: block(start), end: DataKeys.infinity(blockPrefix))
    }

    /// The keys of the tree nodes whose indices lie in `range`.
    package func nodes(_ range: Range<UInt64>) -> KeySpan {
        KeySpan(start: node(range.lowerBound), end: node(range.upperBound))
    }

    /// The keys of all bitfield pages from `page` on.
    package func bitfieldPages(from page: UInt64) -> KeySpan {
        KeySpan(start: DataKeys.key(pagePrefix, page), end: DataKeys.infinity(pagePrefix))
    }

    /// The keys of all user data.
    package var userData: KeySpan { KeySpan(start: userDataPrefix, end: DataKeys.infinity(userDataPrefix)) }

    /// The name in the key of a user-data record.
    package func userDataName(ofKey key: [UInt8]) throws(CodecError) -> String {
        guard key.starts(with: userDataPrefix) else { throw .invalidValue }
        var reader = OrderedKeyReader(key, startingAt: userDataPrefix.count)
        return try reader.readString()
    }

    private static func key(_ prefix: [UInt8], _ index: UInt64) -> [UInt8] {
        var writer = OrderedKeyWriter(capacity: prefix.count + 10)
        writer.writeBytes(prefix)
        writer.writeUInt(index)
        return writer.bytes
    }

    private static func infinity(_ prefix: [UInt8]) -> [UInt8] {
        var writer = OrderedKeyWriter(appendingTo: prefix)
        writer.writeInfinity()
        return writer.bytes
    }
}
