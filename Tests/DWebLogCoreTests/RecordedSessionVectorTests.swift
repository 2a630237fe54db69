import DWebBase
import DWebCrypto
import DWebLogCore
import DWebTestSupport
import Testing

/// Whole recorded replication sessions, without the replicator: what the writer sent must be what our producer makes
/// of the same requests, and applied one after the other it must lead to the reader's recorded state.
@Suite struct RecordedSessionVectorTests {
    /// One log of a session, on both sides.
    private struct Core {
        var writer: TestLog
        var reader: TestReader
        var search: ReorgSearch?
        var requests: [UInt64: RequestMessage] = [:]
        var sent = 0
    }

    @Test func recordedSessions() throws {
        for scenario in try LogVectors.replication.get()["scenarios"].arrayValue {
            var session = try Session(scenario)
            for event in try scenario["timeline"].arrayValue { try session.take(event) }
            try session.checkResult(scenario["result"])
        }
    }

    private struct Session {
        let name: String
        let isEncrypted: Bool
        var cores: [DiscoveryKey: Core] = [:]
        var keys: [(prefix: String, discoveryKey: DiscoveryKey)] = []
        var channels: [String: [UInt64: DiscoveryKey]] = [:]

        init(_ scenario: JSONValue) throws {
            name = try scenario["name"].stringValue
            isEncrypted = !scenario["encryptionKey"].isNull
            for json in try scenario["cores"].arrayValue {
                let key = PublicKey(try json["key"].bytes32Value)
                let manifest = try Manifest(encoded: try json["manifest"].hexValue)
                let verifier = SignatureVerifier(key: key, manifest: manifest)
                cores[key.discoveryKey] = Core(
                    writer: TestLog(keyPairs: [], verifier: verifier), reader: TestReader(key: key))
                keys.append((key.hex, key.discoveryKey))
            }
        }

        mutating func take(_ event: JSONValue) throws {
            if !event["hex"].isNull {
                let side = try event["from"].stringValue
                try noteOpens(in: event["decoded"].arrayValue, side: side)
                for message in try MultiplexerFrame.messages(in: try event["hex"].hexValue) {
                    guard let discoveryKey = channels[side]?[message.channel], cores[discoveryKey] != nil else {
                        continue
                    }
                    var reader = ByteReader(message.bytes)
                    switch try LogMessage.decode(type: message.type, from: &reader) {
                    case .request(let request): cores[discoveryKey]!.requests[request.id] = request
                    case .data(let data): try receive(data, discoveryKey)
                    default: break
                    }
                }
            } else if event["side"] == .string("writer") {
                try operate(event)
            }
        }

        private mutating func noteOpens(in items: [JSONValue], side: String) throws {
            for item in items {
                if item["kind"] == .string("batch") {
                    try noteOpens(in: item["items"].arrayValue, side: side)
                } else if item["kind"] == .string("open") {
                    channels[side, default: [:]][try item["localId"].uintValue] = DiscoveryKey(
                        try item["id"].bytes32Value)
                }
            }
        }

        private mutating func operate(_ event: JSONValue) throws {
            let prefix = event["core"].isNull ? "" : try event["core"].stringValue
            guard let discoveryKey = keys.first(where: { $0.prefix.hasPrefix(prefix) })?.discoveryKey else { return }
            switch try event["op"].stringValue {
            case "append":
                try append(event["blocks"].arrayValue.map { try $0.hexValue }, to: discoveryKey)
            case "append by rule":
                let (mul, add) = (try event["mul"].intValue, try event["add"].intValue)
                let size = try event["size"].intValue
                try append(
                    (0..<(try event["count"].intValue)).map { block in
                        (0..<size).map { UInt8(truncatingIfNeeded: block * mul + $0 * 7 + add) }
                    }, to: discoveryKey)
            case "truncate":
                let length = try event["newLength"].uintValue
                let log = cores[discoveryKey]!.writer
                cores[discoveryKey]!.writer.table.remove(TreeTruncation(from: log.tree.length, to: length))
                cores[discoveryKey]!.writer.tree = try log.tree.truncated(
                    to: length, fork: log.tree.fork + 1, source: log.table)
                cores[discoveryKey]!.writer.blocks.removeLast(log.blocks.count - Int(length))
            default:
                break
            }
        }

        private mutating func append(_ blocks: [[UInt8]], to discoveryKey: DiscoveryKey) throws {
            var nodes: [TreeNode] = []
            cores[discoveryKey]!.writer.tree.append(blocks: blocks, collecting: &nodes)
            cores[discoveryKey]!.writer.table.insert(nodes)
            cores[discoveryKey]!.writer.blocks += blocks
        }

        private mutating func receive(_ data: DataMessage, _ discoveryKey: DiscoveryKey) throws {
            cores[discoveryKey]!.sent += 1
            if !isEncrypted { try checkProducer(data, cores[discoveryKey]!) }
            if data.fork > cores[discoveryKey]!.reader.tree.fork {
                try reorganise(data, &cores[discoveryKey]!)
            } else {
                let proof = try cores[discoveryKey]!.reader.verify(data)
                cores[discoveryKey]!.reader.apply(proof)
            }
        }

        private func checkProducer(_ data: DataMessage, _ core: Core) throws {
            guard let request = core.requests[data.request] else { return }
            var writer = core.writer
            writer.signature = data.upgrade?.signature
            let value = request.proof.block.map { writer.blocks[Int($0.index)] } ?? []
            let manifest = writer.verifier.isCompatible ? nil : writer.verifier.manifest
            #expect(
                try writer.producer.answer(to: request, blockValue: value, manifest: manifest) == data,
                "\(name): \(request)")
        }

        private func reorganise(_ data: DataMessage, _ core: inout Core) throws {
            if data.upgrade != nil {
                core.search = try ReorgSearch(
                    data, against: core.reader.tree, verifier: core.reader.verifier, source: core.reader.table)
            } else {
                let isExpected = try core.search?.handle(data, source: core.reader.table)
                #expect(isExpected == true, "\(name)")
            }
            guard let search = core.search, search.isFinished else { return }
            core.reader.apply(search)
            core.search = nil
        }

        func checkResult(_ result: JSONValue) throws {
            for json in try result.arrayValue {
                let key = PublicKey(try json["key"].bytes32Value)
                let core = try #require(cores[key.discoveryKey])
                #expect(core.sent > 0 && core.search == nil, "\(name)")
                let reader = core.reader
                #expect(reader.tree.length == (try json["length"].uintValue), "\(name)")
                #expect(reader.tree.fork == (try json["fork"].uintValue), "\(name)")
                #expect(reader.tree.byteLength == (try json["byteLength"].uintValue), "\(name)")
                #expect(reader.tree.hash == (try json["treeHash"].bytes32Value), "\(name)")
                #expect(reader.blocks.count == (try json["hasCount"].intValue), "\(name)")
                let has = try json["has"].arrayValue.map { try $0.uintValue }
                #expect(Array(reader.blocks.keys.sorted().prefix(has.count)) == has, "\(name)")
                if !isEncrypted {
                    #expect(reader.tree == core.writer.tree, "\(name)")
                    reader.expectConsistent(with: core.writer)
                    for (index, value) in reader.blocks { #expect(core.writer.blocks[Int(index)] == value) }
                }
            }
        }
    }
}
