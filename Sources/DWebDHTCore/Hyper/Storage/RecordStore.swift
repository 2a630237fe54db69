package import DWebBase
package import DWebCrypto

/// The external commands of the peer DHT; spec 20 section 7.
package enum HyperCommand: UInt64, Sendable, CaseIterable {
    case peerHandshake = 0
    case peerHolepunch = 1
    case findPeer = 2
    case lookup = 3
    case announce = 4
    case unannounce = 5
    case mutablePut = 6
    case mutableGet = 7
    case immutablePut = 8
    case immutableGet = 9
    case plugin = 10
}

/// The errors a storing node reports in a response; spec 20 section 7.
package enum StoreErrorCode {
    /// A mutable value with this sequence number and other bytes is stored.
    package static let sequenceReused: UInt64 = 16
    /// A mutable value with a higher sequence number is stored.
    package static let sequenceTooLow: UInt64 = 17
}

/// A request to a storing node, its round-trip token already verified.
package struct StoreRequest: Sendable {
    /// The target, if the request has one.
    package var target: Bytes32?
    /// The round-trip token, if the request has one.
    package var token: Bytes32?
    /// The value, if the request has one.
    package var value: [UInt8]?
    /// Who asks.
    package var from: SocketAddress
    /// The storing node's own id.
    package var nodeID: Bytes32

    /// Describes a request.
    package init(target: Bytes32?, token: Bytes32?, value: [UInt8]?, from: SocketAddress, nodeID: Bytes32) {
        self.target = target
        self.token = token
        self.value = value
        self.from = from
        self.nodeID = nodeID
    }
}

/// What a storing node answers.
package enum StoreReply: Sendable, Equatable {
    /// A response with this value, a token and closer nodes.
    case value([UInt8]?)
    /// An empty response without token and closer nodes.
    case acknowledgement
    /// A response with an error code.
    case error(UInt64)
    /// No response at all.
    case silent
}

/// Where handshakes for a peer that announced itself go.
package struct ForwardEntry: Sendable, Equatable {
    /// The peer's address, as this node sees it.
    package var relayAddress: SocketAddress
    /// The peer's encoded record.
    package var record: [UInt8]
}

/// Everything a persistent node stores for others: announcements, forwards and values; spec 20 section 8.
package struct RecordStore: Sendable {
    private struct Refresh: Sendable {
        var target: Bytes32
        var publicKey: PublicKey
        var record: [UInt8]
        var isSelf: Bool
    }

    private var records = RecordCache()
    private var forwards = GenerationCache<Bytes32, ForwardEntry>(
        limit: HyperLimits.forwardCount, maximumAge: HyperTimes.recordAge)
    private var refreshes = GenerationCache<Bytes32, Refresh>(
        limit: HyperLimits.forwardCount, maximumAge: HyperTimes.recordAge)
    private var bumps = GenerationCache<Bytes32, UInt64>(
        limit: HyperLimits.forwardCount, maximumAge: HyperTimes.recordAge)
    private var mutables = GenerationCache<Bytes32, MutableRecord>(
        limit: HyperLimits.valueCount, byteLimit: HyperLimits.valueStoreByteCount, maximumAge: HyperTimes.valueAge)
    private var immutables = GenerationCache<Bytes32, [UInt8]>(
        limit: HyperLimits.valueCount, byteLimit: HyperLimits.valueStoreByteCount, maximumAge: HyperTimes.valueAge)
    /// The records of this node's own servers: nobody else can replace them.
    private var pinned: [Bytes32: [UInt8]] = [:]
    private var random: SecureRandom

    /// An empty store; `random` chooses among more records than fit an answer.
    package init(random: SecureRandom) { self.random = random }

    /// The number of announced records.
    package var recordCount: Int { records.count }
    /// The number of self-announced peers.
    package var forwardCount: Int { forwards.count }
    /// The number of mutable values.
    package var mutableCount: Int { mutables.count }
    /// The number of immutable values.
    package var immutableCount: Int { immutables.count }

    /// Answers for a server of this very node: its entry cannot be replaced by announcements.
    package mutating func pin(_ record: [UInt8], under target: Bytes32) { pinned[target] = record }

    /// Ends ``pin(_:under:)``.
    package mutating func unpin(_ target: Bytes32) { pinned[target] = nil }

    /// The address that handshakes for `target` are forwarded to; using it keeps the entry alive.
    package mutating func forwardAddress(for target: Bytes32, now: MonotonicTime) -> SocketAddress? {
        pinned[target] == nil ? forwards.value(target, now: now)?.relayAddress : nil
    }

    /// FIND_PEER.
    package mutating func findPeer(_ request: StoreRequest, now: MonotonicTime) -> StoreReply {
        guard let target = request.target else { return .silent }
        return .value(selfRecord(target, now: now))
    }

    /// LOOKUP.
    package mutating func lookup(_ request: StoreRequest, now: MonotonicTime) -> StoreReply {
        guard let target = request.target else { return .silent }
        var found = records.records(
            under: target, limit: HyperLimits.lookupRecordCount, now: now, random: &random)
        if found.count < HyperLimits.lookupRecordCount, let own = selfRecord(target, now: now) { found.append(own) }
        guard !found.isEmpty else { return .value(nil) }
        var writer = ByteWriter(capacity: found.count * 52 + 10)
        writer.writeUInt(found.count)
        for record in found { writer.writeBytes(record) }
        writer.writeUInt(bumps.value(target, now: now) ?? 0)
        return .value(writer.bytes)
    }

    /// ANNOUNCE.
    ///
    /// - Parameter unixMilliseconds: The wall clock, against which the bump is checked.
    package mutating func announce(
        _ request: StoreRequest, unixMilliseconds: UInt64, now: MonotonicTime
    ) -> StoreReply {
        guard let target = request.target, let token = request.token, let value = request.value,
            let announcement = try? Announcement(decoding: value)
        else { return .silent }
        guard var peer = announcement.peer else {
            guard let link = announcement.refresh else { return .silent }
            return refresh(link, from: request.from, now: now)
        }
        guard announcement.isValid(.announce, target: target, nodeID: request.nodeID, token: token) else {
            return .silent
        }
        peer.relayAddresses = Array(peer.relayAddresses.prefix(HyperLimits.relayAddressCount))
        let isSelf = Blake2b.hash32(peer.publicKey.bytes) == target
        let entry = Refresh(target: target, publicKey: peer.publicKey, record: peer.encoded, isSelf: isSelf)
        if !isSelf {
            let bump = announcement.bump
            let isInTime = bump <= unixMilliseconds &+ HyperLimits.bumpDriftMilliseconds
            if isInTime, bump > bumps.value(target, now: now) ?? 0 { bumps.set(bump, for: target, now: now) }
        }
        store(entry, from: request.from, now: now)
        if let link = announcement.refresh { refreshes.set(entry, for: link, now: now) }
        return .acknowledgement
    }

    /// UNANNOUNCE.
    package mutating func unannounce(_ request: StoreRequest) -> StoreReply {
        guard let target = request.target, let token = request.token, let value = request.value,
            let announcement = try? Announcement(decoding: value), let peer = announcement.peer,
            announcement.isValid(.unannounce, target: target, nodeID: request.nodeID, token: token)
        else { return .silent }
        if Blake2b.hash32(peer.publicKey.bytes) == target { forwards.remove(target) }
        records.remove(peer.publicKey, under: target)
        return .acknowledgement
    }

    /// MUTABLE_GET.
    package mutating func mutableGet(_ request: StoreRequest, now: MonotonicTime) -> StoreReply {
        guard let target = request.target, let value = request.value else { return .silent }
        var reader = ByteReader(value)
        guard let sequence = try? reader.readUInt() else { return .silent }
        guard let record = mutables.value(target, now: now), record.sequence >= sequence else { return .value(nil) }
        return .value(record.encoded)
    }

    /// MUTABLE_PUT.
    package mutating func mutablePut(_ request: StoreRequest, now: MonotonicTime) -> StoreReply {
        guard let target = request.target, request.token != nil, let value = request.value,
            let put = try? MutablePut(decoding: value), put.record.value.count <= HyperLimits.valueByteCount,
            Blake2b.hash32(put.publicKey.bytes) == target, put.record.isValid(by: put.publicKey)
        else { return .silent }
        if let stored = mutables.value(target, now: now) {
            if stored.sequence == put.record.sequence, stored.value != put.record.value {
                return .error(StoreErrorCode.sequenceReused)
            }
            if put.record.sequence < stored.sequence { return .error(StoreErrorCode.sequenceTooLow) }
        }
        mutables.set(put.record, for: target, byteCount: put.record.value.count + 128, now: now)
        return .value(nil)
    }

    /// IMMUTABLE_GET.
    package mutating func immutableGet(_ request: StoreRequest, now: MonotonicTime) -> StoreReply {
        guard let target = request.target else { return .silent }
        return .value(immutables.value(target, now: now))
    }

    /// IMMUTABLE_PUT.
    package mutating func immutablePut(_ request: StoreRequest, now: MonotonicTime) -> StoreReply {
        guard let target = request.target, request.token != nil, let value = request.value,
            value.count <= HyperLimits.valueByteCount, Blake2b.hash32(value) == target
        else { return .silent }
        immutables.set(value, for: target, byteCount: value.count + 64, now: now)
        return .value(nil)
    }

    private mutating func selfRecord(_ target: Bytes32, now: MonotonicTime) -> [UInt8]? {
        pinned[target] ?? forwards.value(target, now: now)?.record
    }

    private mutating func store(_ entry: Refresh, from: SocketAddress, now: MonotonicTime) {
        if entry.isSelf {
            if pinned[entry.target] == nil {
                forwards.set(
                    ForwardEntry(relayAddress: from, record: entry.record), for: entry.target, now: now)
            }
            records.remove(entry.publicKey, under: entry.target)
        } else {
            records.add(entry.record, of: entry.publicKey, under: entry.target, now: now)
        }
    }

    /// Re-applies what the hash of `link` stands for; from then on only the hash's preimage of `link` works.
    private mutating func refresh(_ link: Bytes32, from: SocketAddress, now: MonotonicTime) -> StoreReply {
        let key = Blake2b.hash32(link.bytes)
        guard let entry = refreshes.value(key, now: now) else { return .silent }
        store(entry, from: from, now: now)
        refreshes.remove(key)
        refreshes.set(entry, for: link, now: now)
        return .acknowledgement
    }
}
