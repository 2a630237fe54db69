import DWebBase
import DWebDatabase
import DWebDrive
import DWebTree
import Synchronization
import Testing

/// Drives written by strangers: typed errors, bounded memory, and nothing outside of the folder.
@Suite struct DriveHostileTests {
    @Test func malformedEntries() throws {
        let deep = String(repeating: "[", count: 100) + String(repeating: "]", count: 100)
        let cases = [
            "", "null", "[]", "{", "{}x", #"{"executable":1}"#, #"{"linkname":5}"#, #"{"blob":[]}"#, #"{"blob":{}}"#,
            #"{"blob":{"blockOffset":-1,"byteOffset":0,"blockLength":1,"byteLength":1}}"#,
            #"{"blob":{"blockOffset":0.5,"byteOffset":0,"blockLength":1,"byteLength":1}}"#,
            #"{"blob":{"blockOffset":9007199254740992,"byteOffset":0,"blockLength":1,"byteLength":1}}"#,
            #"{"blob":{"blockOffset":9007199254740991,"byteOffset":0,"blockLength":1,"byteLength":1}}"#,
            #"{"blob":{"blockOffset":0,"byteOffset":0,"blockLength":0,"byteLength":1}}"#,
            #"{"blob":{"blockOffset":0,"byteOffset":0,"blockLength":1,"byteLength":0}}"#,
            #"{"blob":{"blockOffset":0,"byteOffset":0,"blockLength":1,"byteLength":15728641}}"#,
            #"{"blob":{"blockOffset":0,"byteOffset":0,"blockLength":65,"byteLength":99,"blockMap":true}}"#,
            #"{"blob":{"blockOffset":0,"byteOffset":0,"blockLength":1,"byteLength":1,"blockMap":1}}"#,
            #"{"metadata":\#(deep)}"#, "{\"metadata\":\"\u{1}\"}", #"{"metadata":01}"#, #"{"metadata":"\x"}"#,
        ]
        for text in cases {
            #expect(throws: DriveFault.self, "\(text)") { try EntryRecord(decoding: Array(text.utf8)) }
        }
        #expect(throws: DriveFault.self) { try EntryRecord(decoding: [0x22, 0xff, 0x22]) }
        let good = Array(
            #"{"executable":true,"linkname":"/a","blob":null,"metadata":{"a":[1.5e3,"\ud83d\ude00"]}}"#.utf8)
        #expect(try EntryRecord(decoding: good).metadata?["a"] != nil)
        for end in good.indices { #expect(throws: DriveFault.self) { try EntryRecord(decoding: Array(good[..<end])) } }
    }

    @Test func badEntriesAreLeftOutAndReported() throws {
        try withDrive { drive in
            let files = drive.tree.sub("files")
            try await drive.write(bytes("fine"), to: "/fine")
            for path in ["no-slash", "/a//b", "/../up", "/a/./b", "/back\\slash", "/zero\0", "/"] {
                try await files.put(path, #"{"executable":false,"linkname":null,"blob":null,"metadata":null}"#)
            }
            try await files.put("/broken", "not json")
            let reported = Reported()
            var paths: [String] = []
            for try await entry in drive.entries(reportingTo: { reported.note($0) }) { paths.append(entry.path) }
            #expect(paths == ["/fine"])
            #expect(reported.codes.count == 6)
            #expect(await failure { _ = try await drive.entry(at: "/broken") } == .damaged)
            #expect(try await drive.names().map(\.name) == ["fine"])
        }
    }

    @Test func sizesThatDoNotAddUp() throws {
        try withDrive { drive in
            let log = try await drive.contentDatabase()
            try await log.append([
                content(1, byteCount: 1_000), content(2, byteCount: 1_000), [0, 3, 1, 1, 1, 1, 1, 1, 1, 1],
            ])
            let cases: [(BlobID, Range<UInt64>?)] = [
                (BlobID(blockOffset: 0, byteOffset: 0, blockLength: 1, byteLength: 999), nil),
                (BlobID(blockOffset: 0, byteOffset: 0, blockLength: 1, byteLength: 1_001), nil),
                (BlobID(blockOffset: 0, byteOffset: 0, blockLength: 2, byteLength: 500), nil),
                (BlobID(blockOffset: 0, byteOffset: 1_000, blockLength: 1, byteLength: 1_000), 5..<10),
                (BlobID(blockOffset: 0, byteOffset: 1 << 40, blockLength: 1, byteLength: 1_000), 5..<10),
                (BlobID(blockOffset: 2, byteOffset: 2_000, blockLength: 1, byteLength: 10, isMapped: true), nil),
            ]
            for (index, (blob, range)) in cases.enumerated() {
                var record = EntryRecord()
                record.blob = blob
                try await drive.tree.sub("files").put(Array("/f\(index)".utf8), record.encoded)
                #expect(
                    await failure { _ = try await drive.read("/f\(index)", range: range, .localOnly) } == .damaged,
                    "case \(index)")
            }
            var record = EntryRecord()
            record.blob = BlobID(blockOffset: 1 << 40, byteOffset: 0, blockLength: 1 << 40, byteLength: 1 << 50)
            try await drive.tree.sub("files").put(bytes("/far"), record.encoded)
            #expect(await failure { _ = try await drive.streamed("/far") } != nil)
            #expect(try await drive.isStored("/far") == false)
            try await drive.clear("/far")
        }
    }

    @Test func mapsCannotAmplifyWithoutLimit() throws {
        try withDrive { drive in
            let log = try await drive.contentDatabase()
            try await log.append(content(1, byteCount: 100_000))
            let map = BlobMap(pieces: [BlobMap.Piece](repeating: .init(block: 0, byteCount: 100_000), count: 8_192))
            let start = log.byteLength
            try await log.append(map.encoded)
            var record = EntryRecord()
            record.blob = BlobID(
                blockOffset: 1, byteOffset: start, blockLength: 1, byteLength: log.byteLength - start, isMapped: true)
            try await drive.tree.sub("files").put(bytes("/bomb"), record.encoded)
            #expect(await failure { _ = try await drive.read("/bomb") } == .tooLarge)
            #expect(try await drive.read("/bomb", range: 99_999..<100_001)?.count == 2)
        }
    }

    @Test func logsThatAreNoDrives() throws {
        try withDrive { drive in
            try await drive.database.append(bytes("something else"))
            #expect(await failure { _ = try await drive.paths() } == .notADrive)
            #expect(await failure { try await drive.write([], to: "/x") } == .notADrive)
        }
        try withDrive { drive in
            try await drive.database.append([[0, 1, 2], [0, 1, 2]])
            #expect(await failure { _ = try await drive.entry(at: "/x") } == .unsupportedFormat)
        }
    }

    @Test func readersFollowADriveThatWasCut() async throws {
        try await withSystemReplica { drive in
            for index in 0..<10 { try await drive.write(content(index, byteCount: 1_000), to: "/f\(index)") }
        } _: { writer, reader in
            let folder = try TemporaryFolder()
            try await reader.mirror(toFolder: folder.path).run()
            try await writer.truncate(to: 4)
            try await writer.write(bytes("new history"), to: "/new")
            for _ in 0..<100 where reader.version != 5 {
                try await reader.update(upTo: .seconds(1))
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(reader.version == 5)
            #expect(try await reader.paths() == ["/f0", "/f1", "/f2", "/new"])
            #expect(try await reader.read("/new") == bytes("new history"))
            var options = MirrorOptions()
            options.prunes = true
            let summary = try await reader.mirror(toFolder: folder.path, options).run()
            #expect(summary.removedCount == 7 && summary.addedCount == 1)
            #expect(try folder.listing().count == 4)
        }
    }

    @Test func exportsStayInTheirFolder() async throws {
        try await withSystemDrive { drive in
            let outside = try TemporaryFolder()
            let folder = try TemporaryFolder()
            try outside.write("secret", bytes("secret"))
            try await drive.link("/a", to: "../..")
            try await drive.link("/b", to: outside.path)
            try await drive.link("/c", to: "deep/../..")
            try await drive.link("/ok", to: "sub/file")
            try await drive.link("/x/abs", to: "/sub/file")
            try await drive.write(bytes("1"), to: "/sub/file")
            try await drive.write(bytes("evil"), to: "/a/x")
            try await drive.write(bytes("evil"), to: "/b/secret")
            try await drive.write(bytes("evil"), to: "/ok/x")
            try await drive.write(bytes("long"), to: "/" + String(repeating: "n", count: 256))
            try await drive.write(bytes("long"), to: "/" + String(repeating: "d", count: 256) + "/x")
            try await drive.write(bytes("file"), to: "/both")
            try await drive.write(bytes("inside"), to: "/both/inside")
            let summary = try await drive.mirror(toFolder: folder.path).run()
            let listing = try folder.listing()
            #expect(listing["sub/file"] == bytes("-1"))
            #expect(listing["x/abs"] == bytes(">../sub/file"))
            #expect(listing["a/x"] == bytes("-evil"))
            #expect(listing["a"] == nil && listing["b"] == nil && listing["c"] == nil)
            #expect((listing["both"] == nil) != (listing["both/inside"] == nil))
            #expect(try outside.listing() == ["secret": bytes("-secret")])
            // Refused: a, b, c, ok (a folder is there by then), both long names, and one of both.
            #expect(summary.refusalCount == 7)
        }
    }

    @Test func exportsDoNotFollowLinksThatAreThere() async throws {
        try await withSystemDrive { drive in
            let outside = try TemporaryFolder()
            let folder = try TemporaryFolder()
            try outside.write("keep", bytes("keep"))
            try folder.link("dir", to: outside.path)
            try folder.link("file", to: outside.path + "/keep")
            try await drive.write(bytes("new"), to: "/dir/keep")
            try await drive.write(bytes("new"), to: "/file")
            let summary = try await drive.mirror(toFolder: folder.path).run()
            #expect(try outside.listing() == ["keep": bytes("-keep")])
            #expect(try folder.listing()["file"] == bytes("-new"))
            #expect(summary.refusals.map(\.path) == ["/dir/keep"])
        }
    }
}

/// Collects errors from a callback.
final class Reported: Sendable {
    private let errors = Mutex<[DDriveError.Code]>([])

    var codes: [DDriveError.Code] { errors.withLock { $0 } }

    func note(_ error: DDriveError) { errors.withLock { $0.append(error.code) } }
}
