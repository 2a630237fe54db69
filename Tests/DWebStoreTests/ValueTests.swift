import DWebBase
import DWebDatabase
import DWebPorts
import DWebSimulation
import DWebStore
import Foundation
import Testing

/// Values of Swift types in blocks, and a log's bytes as one stream.
@Suite struct ValueTests {
    struct Note: Codable, Equatable, Sendable {
        var title: String
        var marks: [Int]
    }

    private static let note = BlockCoding.codable(
        Note.self, encode: { try JSONEncoder().encode($0) },
        decode: { (type: Note.Type, data: Data) in try JSONDecoder().decode(type, from: data) })

    @Test func typesRoundTrip() throws {
        let world = SimulatedWorld(seed: 151)
        try world.run {
            let store = try await world.store(1)
            let log = try await store.database(named: "log")
            let notes = [Note(title: "one", marks: [1]), Note(title: "zwölf", marks: [])]
            try await log.append("grüße", as: .utf8)
            try await log.append([1, 2, 3], as: .bytes)
            let range = try await log.append(contentsOf: notes, as: ValueTests.note)
            #expect(range == 2..<4)
            let text = try await log.value(at: 0, as: .utf8)
            let bytes = try await log.value(at: 1, as: .bytes)
            let second = try await log.value(at: 3, as: ValueTests.note)
            #expect(text == "grüße" && bytes == [1, 2, 3] && second == notes[1])
            var read: [Note] = []
            for try await note in log.values(from: 2, as: ValueTests.note) { read.append(note) }
            #expect(read == notes)
            let json = try await log.block(at: 2)
            #expect(try JSONDecoder().decode(Note.self, from: Data(json)) == notes[0])
            await store.close()
        }
    }

    @Test func whatIsNoValueHasItsOwnError() throws {
        let world = SimulatedWorld(seed: 152)
        try world.run {
            let store = try await world.store(1)
            let log = try await store.database(named: "log")
            try await log.append([0xff, 0xfe])
            try await log.append(Array("fine".utf8))
            await expectCode(.invalidValue) { try await log.value(at: 0, as: .utf8) }
            await expectCode(.invalidValue) { try await log.value(at: 1, as: ValueTests.note) }
            struct Refusal: Error {}
            let refusing = BlockCoding<Int>(encode: { _ in throw Refusal() }, decode: { $0.count })
            await expectCode(.invalidValue) { try await log.append(contentsOf: [1, 2], as: refusing) }
            #expect(log.length == 2)
            // A sequence goes on behind what it could not decode.
            var iterator = log.values(as: .utf8).makeAsyncIterator()
            await expectCode(.invalidValue) { try await iterator.next() }
            let next = try await iterator.next()
            let end = try await iterator.next()
            #expect(next == "fine" && end == nil)
            await store.close()
        }
    }

    @Test(arguments: [false, true])
    func bytesAreOneStream(isEncrypted: Bool) throws {
        let world = SimulatedWorld(seed: 153)
        try world.run {
            let store = try await world.store(1)
            let log = try await store.database(
                named: "log", encryption: isEncrypted ? .key(Bytes32(repeating: 4)) : nil)
            var whole: [UInt8] = []
            for index in 0..<50 {
                let block = content(index, byteCount: [0, 1, 7, 300, 64][index % 5])
                try await log.append(block)
                whole += block
            }
            let end = whole.count
            for (start, count) in [(0, nil), (0, 0), (1, 1), (308, 600), (end, nil), (end - 1, 1), (5, end - 5)] {
                var read: [UInt8] = []
                for try await chunk in log.bytes(from: UInt64(start), count: count.map { UInt64($0) }) {
                    #expect(!chunk.isEmpty)
                    read += chunk
                }
                #expect(read == Array(whole[start..<start + (count ?? end - start)]), "\(start) \(count ?? -1)")
            }
            await expectCode(.outOfBounds) {
                for try await chunk in log.bytes(from: 10, count: UInt64(end)) { _ = chunk }
            }
            await expectCode(.outOfBounds) {
                for try await chunk in log.bytes(from: UInt64(end) + 1) { _ = chunk }
            }
            let reader = try await world.store(2)
            let copy = try await reader.database(
                key: log.key, encryption: isEncrypted ? .key(Bytes32(repeating: 4)) : nil)
            try await connected(store, reader) { [whole] in
                #expect(await eventually(world.loop) { copy.length == 50 })
                var read: [UInt8] = []
                for try await chunk in copy.bytes(from: 1_000, count: 2_000) { read += chunk }
                #expect(read == Array(whole[1_000..<3_000]))
                let has = try await copy.has(0)
                #expect(!has)
            }
            await store.close()
            await reader.close()
        }
    }
}
