import DWebBase
import DWebCrypto
import DWebLogCore
import DWebTestSupport
import Foundation
import Testing

/// The recorded sessions, with this machine in the place of the writer, of the reader, and of both.
@Suite struct ReplicationVectorTests {
    // MARK: Reading a recording

    enum Step: Sendable {
        case operation(JSONValue)
        case message(from: String, LogMessage)
    }

    struct Scenario: Sendable {
        let name: String
        let json: JSONValue
        let core: JSONValue
        let steps: [(time: Int, step: Step)]

        var key: PublicKey {
            get throws { PublicKey(try core["key"].bytes32Value) }
        }
    }

    /// All scenarios about a single log. Its messages are those on the channel that was opened for it.
    static func scenarios() throws -> [Scenario] { try recorded.get() }

    private static let recorded = Result { try readScenarios() }

    private static func readScenarios() throws -> [Scenario] {
        try VectorFile.json("replication.json")["scenarios"].arrayValue.compactMap { json in
            let cores = try json["cores"].arrayValue
            guard cores.count == 1 else { return nil }
            let discoveryKey = try cores[0]["discoveryKey"].stringValue
            var steps: [(Int, Step)] = []
            var channels: [String: UInt64] = [:]
            for entry in try json["timeline"].arrayValue where !entry["t"].isNull {
                let time = try entry["t"].intValue
                if !entry["op"].isNull {
                    steps.append((time, .operation(entry)))
                    if try entry["op"].stringValue == "connect" { channels = [:] }
                    continue
                }
                let side = try entry["from"].stringValue
                var reader = ByteReader(try entry["hex"].hexValue)
                try readMultiplexed(&reader) { (channel: UInt64, type: UInt64, payload: inout ByteReader) throws in
                    if channel == 0 {
                        guard type == 1 else { return }
                        let id = try payload.readUInt()
                        _ = try payload.readString()
                        if Hex.encode(try payload.readBuffer()) == discoveryKey { channels[side] = id }
                    } else if channel == channels[side] {
                        let message = try #require(try LogMessage.decode(type: type, from: &payload))
                        #expect(payload.isAtEnd)
                        steps.append((time, .message(from: side, message)))
                    }
                }
            }
            return Scenario(name: try json["name"].stringValue, json: json, core: cores[0], steps: steps)
        }
    }

    /// Splits a message of the multiplexer into those of its channels.
    static func readMultiplexed(
        _ reader: inout ByteReader, _ body: (UInt64, UInt64, inout ByteReader) throws -> Void
    ) throws {
        if reader.remaining == 0 { return }
        var channel = try reader.readUInt()
        let type = try reader.readUInt()
        guard channel == 0, type == 0 else { return try body(channel, type, &reader) }
        channel = try reader.readUInt()
        while !reader.isAtEnd {
            let byteCount = try reader.readByteCount()
            if byteCount == 0 {
                channel = try reader.readUInt()
                continue
            }
            var item = ByteReader(try reader.readBytes(byteCount))
            let itemType = try item.readUInt()
            try body(channel, itemType, &item)
        }
    }

    // MARK: Rebuilding the writer

    static func writer(_ scenario: Scenario) throws -> ReplicaShell {
        let key = try scenario.key
        let manifest = try Manifest(encoded: try scenario.core["manifest"].hexValue)
        var pair: KeyPair?
        if let seed = try scenario.core["keyPairSeed"].optional({ try $0.bytes32Value }) {
            pair = KeyPair(seed: seed)
        } else if let name = try scenario.core["name"].optional({ try $0.stringValue }) {
            pair = StoreKeys.keyPair(
                primaryKey: try scenario.json["writerPrimaryKey"].bytes32Value, namespace: StoreKeys.rootNamespace,
                name: name)
        }
        return ReplicaShell(
            name: "writer", key: key, keyPair: pair, rules: SignatureVerifier(key: key, manifest: manifest))
    }

    static func blocks(_ operation: JSONValue, _ scenario: Scenario, firstIndex: UInt64, fork: UInt64) throws
        -> [[UInt8]]
    {
        if try operation["op"].stringValue == "append by rule" {
            let size = try operation["size"].intValue
            let mul = try operation["mul"].intValue
            let add = try operation["add"].intValue
            return (0..<(try operation["count"].intValue)).map { index in
                (0..<size).map { UInt8(truncatingIfNeeded: index * mul + $0 * 7 + add) }
            }
        }
        let plain = try operation["blocks"].arrayValue.map { try $0.hexValue }
        guard let encryptionKey = try scenario.json["encryptionKey"].optional({ try $0.bytes32Value }) else {
            return plain
        }
        let cipher = BlockCipher(mode: .normal, coreKey: try scenario.key, encryptionKey: encryptionKey)
        return plain.enumerated().map { offset, block in
            cipher.seal(block, index: firstIndex + UInt64(offset), fork: fork)
        }
    }

    /// Does what the writer's application did; true if it was such an operation.
    static func perform(_ operation: JSONValue, on writer: ReplicaShell, _ scenario: Scenario) throws -> Bool {
        guard try operation["side"].stringValue == "writer" else { return false }
        switch try operation["op"].stringValue {
        case "append", "append by rule":
            writer.append(
                try blocks(operation, scenario, firstIndex: writer.tree.length, fork: writer.tree.fork),
                signature: try operation["signature"].optional { try $0.hexValue })
        case "clear": writer.clear(try operation["start"].uintValue..<(try operation["end"].uintValue))
        case "truncate": writer.truncate(to: try operation["newLength"].uintValue)
        default: return false
        }
        return true
    }

    /// The length of the writer's log that one of its messages reveals.
    static func claimedLength(_ message: LogMessage) -> UInt64? {
        switch message {
        case .sync(let sync): sync.length
        case .range(let range) where !range.drop: range.start + range.length
        case .range, .request, .cancel, .data, .noData, .want, .unwant, .bitfield, .extensionMessage: nil
        }
    }

    // MARK: Tests

    /// As the writer: whatever the recorded reader asks is answered with the recorded bytes.
    @Test func writerAnswersAsRecorded() throws {
        var answerCount = 0
        for scenario in try ReplicationVectorTests.scenarios() {
            let writer = try ReplicationVectorTests.writer(scenario)
            var peer: ReplicationPeerID?
            var peerCount: UInt64 = 0
            var produced: [LogMessage] = []
            var expected: [LogMessage] = []
            var heldMessages: [LogMessage]?
            let appends: [JSONValue] = scenario.steps.compactMap {
                guard case .operation(let operation) = $0.step, case .string(let name) = operation["op"],
                    name.hasPrefix("append")
                else { return nil }
                return operation
            }
            var doneAppends: Set<Int> = []
            writer.sendMessage = { _, message in
                switch message {
                case .data, .noData, .bitfield: produced.append(message)
                case .sync, .request, .cancel, .want, .unwant, .range, .extensionMessage: break
                }
            }
            func receive(_ message: LogMessage) {
                if let peer { writer.machine.handle(message, from: peer, now: writer.now) }
            }
            for (time, step) in scenario.steps {
                writer.now = MonotonicTime(nanoseconds: Int64(time) * 1000)
                switch step {
                case .operation(let operation):
                    switch try operation["op"].stringValue {
                    case "connect":
                        peerCount += 1
                        let id = ReplicationPeerID(peerCount)
                        peer = id
                        writer.machine.addPeer(id, transport: PeerTransport(isUDX: false), now: writer.now)
                        writer.machine.peerOpened(id, supportsSeeks: true, now: writer.now)
                    case "disconnect":
                        if let peer { writer.machine.removePeer(peer, now: writer.now) }
                        peer = nil
                    case "delivery stopped": heldMessages = []
                    case "delivery resumed":
                        let held = heldMessages ?? []
                        heldMessages = nil
                        // One datagram's worth: a cancel overtakes the answer to its request.
                        for message in held { receive(message) }
                    default:
                        if let number = appends.firstIndex(of: operation), !doneAppends.insert(number).inserted {
                            break
                        }
                        _ = try ReplicationVectorTests.perform(operation, on: writer, scenario)
                    }
                case .message("reader", let message):
                    if heldMessages != nil { heldMessages!.append(message) } else { receive(message) }
                case .message(_, let message):
                    // An append was noted once it was finished, which may be after its first messages.
                    while let claimed = ReplicationVectorTests.claimedLength(message), claimed > writer.tree.length {
                        let next = try #require(
                            appends.indices.first { !doneAppends.contains($0) }, "\(scenario.name) ends too early")
                        doneAppends.insert(next)
                        _ = try ReplicationVectorTests.perform(appends[next], on: writer, scenario)
                    }
                    switch message {
                    case .data, .noData, .bitfield: expected.append(message)
                    case .sync, .request, .cancel, .want, .unwant, .range, .extensionMessage: break
                    }
                }
                writer.pump()
            }
            answerCount += expected.count
            let name = scenario.name
            #expect(writer.faults.isEmpty, "\(name)")
            // Answers to different requests may be sent in any order.
            func sorted(_ messages: [LogMessage]) -> [[UInt8]] {
                messages.map { [UInt8($0.type)] + $0.encoded }.sorted { $0.lexicographicallyPrecedes($1) }
            }
            let isSame = sorted(produced) == sorted(expected)
            #expect(isSame, "\(name): \(produced.count) answers, \(expected.count) recorded")
        }
        #expect(answerCount > 0)
    }

    /// As the reader: the recorded writer's messages are taken without a fault, and leave the state that they describe.
    @Test func readerUnderstandsTheRecordedWriter() throws {
        for scenario in try ReplicationVectorTests.scenarios() {
            let reader = ReplicaShell(name: "reader", key: try scenario.key)
            var peer: ReplicationPeerID?
            var peerCount: UInt64 = 0
            var lastSync: SyncMessage?
            for (time, step) in scenario.steps {
                reader.now = MonotonicTime(nanoseconds: Int64(time) * 1000)
                switch step {
                case .operation(let operation):
                    switch try operation["op"].stringValue {
                    case "connect":
                        peerCount += 1
                        peer = ReplicationPeerID(peerCount)
                        reader.machine.addPeer(peer!, transport: PeerTransport(isUDX: false), now: reader.now)
                        reader.machine.peerOpened(peer!, supportsSeeks: true, now: reader.now)
                    case "disconnect":
                        if let peer { reader.machine.removePeer(peer, now: reader.now) }
                        peer = nil
                    default: break
                    }
                case .message("writer", let message):
                    if case .sync(let sync) = message { lastSync = sync }
                    if let peer { reader.machine.handle(message, from: peer, now: reader.now) }
                case .message: break
                }
                reader.pump()
            }
            #expect(reader.faults.isEmpty, "\(scenario.name)")
            let announced = reader.events.contains {
                if case .upgradeAvailable(_, let head) = $0 { head.length > 0 } else { false }
            }
            #expect(announced == (lastSync.map { $0.length > 0 || $0.fork > 0 } ?? false), "\(scenario.name)")
        }
    }

    /// As both: the applications' operations lead to the recorded result. What the recorded reader requested stands for
    /// downloads that were not noted.
    @Test func operationsLeadToTheRecordedResult() throws {
        for scenario in try ReplicationVectorTests.scenarios() {
            let results = try scenario.json["result"].arrayValue
            guard let result = results.first else { continue }
            let writer = try ReplicationVectorTests.writer(scenario)
            let reader = ReplicaShell(name: "reader", key: try scenario.key)
            let world = ReplicaWorld(writer, reader)
            world.recordsMessages = false
            var link: Int?
            var downloads: [ReplicationTicket] = []
            var gets: [UInt64: ReplicationTicket] = [:]
            var lastGet: ReplicationTicket?
            for (time, step) in scenario.steps {
                world.run(until: MonotonicTime(nanoseconds: Int64(time) * 1000))
                if case .message("reader", .request(let request)) = step, let block = request.proof.block {
                    _ = reader.get(block.index)
                    reader.pump()
                }
                guard case .operation(let operation) = step else { continue }
                if try ReplicationVectorTests.perform(operation, on: writer, scenario) { continue }
                switch try operation["op"].stringValue {
                case "connect": link = world.connect(writer, reader, latency: .microseconds(200))
                case "disconnect":
                    if let link { world.disconnect(link) }
                case "download":
                    if let list = try operation["blocks"].optional({ try $0.arrayValue }) {
                        for index in list {
                            let index = try index.uintValue
                            downloads.append(reader.download(index, index + 1))
                        }
                    } else {
                        downloads.append(
                            reader.download(try operation["start"].uintValue, try operation["end"].uintValue))
                    }
                case "download live": downloads.append(reader.download(try operation["start"].uintValue))
                case "download cancelled":
                    for ticket in downloads { reader.machine.cancel(ticket, now: world.now) }
                    downloads = []
                case "get", "get with timeout":
                    lastGet = reader.get(try operation["index"].uintValue)
                    gets[try operation["index"].uintValue] = lastGet
                case "get failed":
                    let ticket = try operation["index"].optional { gets[try $0.uintValue] } ?? lastGet
                    if let ticket { reader.machine.cancel(ticket, now: world.now) }
                case "session with the get closed":
                    if let lastGet { reader.machine.cancel(lastGet, now: world.now) }
                case "seek": _ = reader.seek(try operation["bytes"].uintValue)
                case "delivery stopped":
                    if let link { world.setHeld(link, true) }
                case "delivery resumed":
                    if let link { world.setHeld(link, false) }
                default: break
                }
                reader.pump()
                writer.pump()
            }
            world.run(for: .seconds(1))
            let name = scenario.name
            #expect(reader.rejections.isEmpty, "\(name)")
            #expect(reader.tree.length == (try result["length"].uintValue), "\(name)")
            #expect(reader.tree.fork == (try result["fork"].uintValue), "\(name)")
            #expect(reader.tree.hash == (try result["treeHash"].bytes32Value), "\(name)")
            let has = Set(try result["has"].arrayValue.map { try $0.uintValue })
            let missing = has.subtracting(reader.stored)
            #expect(missing.isEmpty, "\(name): \(missing.sorted())")
        }
    }
}
