import DWebBase
import DWebDatabase
import DWebDrive
import DWebPorts
import DWebSimulation
import DWebStore
import DWebTree
import Testing

/// What a drive does for its writer.
@Suite struct DriveTests {
    @Test func filesOfManySizes() throws {
        try withDrive { drive in
            for size in [0, 1, 65_535, 65_536, 65_537, 131_077, 3_000_000] {
                let bytes = content(size, byteCount: size)
                let entry = try await drive.write(bytes, to: "/\(size)")
                #expect(entry.byteCount == UInt64(size))
                #expect(entry.blob?.blockLength == UInt64((size + 65_535) / 65_536))
                #expect(try await drive.read("/\(size)") == bytes)
                #expect(try await drive.streamed("/\(size)") == bytes)
                for range in [0..<0, 0..<1, 1..<70_000, 65_536..<65_540, 130_000..<999_999_999] as [Range<UInt64>] {
                    let lower = min(Int(range.lowerBound), size)
                    let expected = Array(bytes[lower..<max(lower, min(Int(range.upperBound), size))])
                    #expect(try await drive.read("/\(size)", range: range) == expected)
                    #expect(try await drive.streamed("/\(size)", range: range) == expected)
                }
                #expect(
                    await failure { _ = try await drive.read("/\(size)", byteCountLimit: 60_000) }
                        == (size > 60_000 ? .tooLarge : nil))
            }
            #expect(try await drive.read("/none") == nil)
            #expect(await failure { _ = try await drive.streamed("/none") } == .notFound)
        }
    }

    @Test func rangesNeverReachTheNextFile() throws {
        try withDrive { drive in
            try await drive.write(bytes("AAAA"), to: "/a")
            try await drive.write(bytes("BBBB"), to: "/b")
            #expect(try await drive.read("/a", range: 2..<8) == bytes("AA"))
            #expect(try await drive.read("/a", range: 9..<12) == [])
        }
    }

    @Test func streamsAreWrittenInEvenBlocks() throws {
        try withDrive { drive in
            let writer = try drive.writer(to: "/stream", DDrive.Attributes(isExecutable: true))
            var expected: [UInt8] = []
            for number in 0..<300 {
                let piece = content(number, byteCount: (number * 977) % 9_000)
                expected += piece
                try await writer.write(piece)
            }
            #expect(try await drive.entry(at: "/stream") == nil)
            let entry = try await writer.finish()
            #expect(entry.isExecutable && entry.byteCount == UInt64(expected.count))
            #expect(entry.blob?.blockLength == UInt64((expected.count + 65_535) / 65_536))
            #expect(try await drive.read("/stream") == expected)
            #expect(await failure { try await writer.write([1]) } == .closed)
            // An aborted writer leaves no entry, and gives its turn back.
            let aborted = try drive.writer(to: "/gone")
            try await aborted.write(content(1, byteCount: 100_000))
            await aborted.abort()
            try await drive.write([1], to: "/next")
            #expect(try await drive.entry(at: "/gone") == nil)
            // So does one that is let go.
            do {
                let forgotten = try drive.writer(to: "/forgotten")
                try await forgotten.write(content(1, byteCount: 10))
            }
            try await drive.write([2], to: "/after")
            #expect(try await drive.read("/after") == [2])
            #expect(try await drive.write(from: drive.content(of: "/stream"), to: "/copy").byteCount == entry.byteCount)
        }
    }

    @Test func entriesLinksAndAttributes() throws {
        try withDrive { drive in
            try await drive.write(bytes("x"), to: "/t/target")
            try await drive.link("/t/l", to: "target")
            try await drive.link("/t/up", to: "../t/target")
            try await drive.link("/abs", to: "/t/target")
            try await drive.link("/out", to: "../../etc/passwd")
            #expect(try await drive.read("/t/l") == nil)
            #expect(try await drive.read("/t/l", links: .follow) == bytes("x"))
            #expect(try await drive.read("/t/l", links: .followAsReference) == nil)
            #expect(try await drive.read("/t/up", links: .follow) == bytes("x"))
            #expect(try await drive.read("/abs", links: .followAsReference) == bytes("x"))
            #expect(await failure { _ = try await drive.read("/out", links: .follow) } == .badLink)
            try await drive.write(bytes("end"), to: "/l16")
            for index in 0..<16 { try await drive.link("/l\(index)", to: "/l\(index + 1)") }
            #expect(try await drive.read("/l0", links: .follow) == bytes("end"))
            try await drive.link("/more", to: "/l0")
            #expect(await failure { _ = try await drive.read("/more", links: .follow) } == .badLink)
            try await drive.link("/loop", to: "/loop")
            #expect(await failure { _ = try await drive.read("/loop", links: .follow) } == .badLink)

            let before = try #require(try await drive.entry(at: "/t/target"))
            let metadata = try #require(JSONDocument(#"{"mode":420,"who":"ü"}"#))
            let changed = try await drive.setAttributes(
                DDrive.Attributes(isExecutable: true, metadata: metadata), of: "t\\target")
            #expect(changed.blob == before.blob && changed.isExecutable && changed.metadata == metadata)
            #expect(await failure { try await drive.setAttributes(.init(), of: "/nothing") } == .notFound)
            try await drive.move("/t/target", to: "/moved/here")
            #expect(try await drive.read("/moved/here") == bytes("x"))
            #expect(try await drive.entry(at: "/t/target") == nil)
            #expect(await failure { try await drive.move("/t/target", to: "/x") } == .notFound)
            #expect(try await drive.remove("/moved/here"))
            #expect(try await drive.remove("/moved/here") == false)
            for path in ["/", "", "..", "/a/../..", "a\0"] {
                #expect(await failure { try await drive.write([], to: path) } == .invalidPath)
            }
        }
    }

    @Test func unknownMembersSurviveAChangeOfAttributes() throws {
        try withDrive { drive in
            try await drive.tree.sub("files").put("/f", #"{"blob":null,"later":{"a":[1]}}"#)
            try await drive.setAttributes(DDrive.Attributes(isExecutable: true), of: "/f")
            #expect(
                try await drive.tree.sub("files").get("/f")?.value
                    == bytes(#"{"executable":true,"linkname":null,"blob":null,"metadata":null,"later":{"a":[1]}}"#))
        }
    }

    @Test func contentLogsNamedByTheHeader() throws {
        let world = SimulatedWorld(seed: 1)
        try world.run {
            let store = try await world.store(1)
            let named = try await store.database(named: "elsewhere")
            for (number, feed) in [named.key.bytes, named.key.bytes + [1, 2], [1, 2, 3]].enumerated() {
                let part = store.namespace("\(number)")
                var options = DTree.Options()
                options.metadata = TreeHeader.Metadata(contentFeed: feed)
                try await DTree(try await part.database(named: "db"), runtime: store.runtime, options: options).put(
                    "x", "y")
                let code = await failure {
                    let drive = try await DDrive.open(in: part)
                    #expect(try await drive.contentDatabase().key == named.key)
                    try await drive.write(bytes("1"), to: "/f")
                    #expect(try await drive.read("/f") == bytes("1"))
                }
                #expect(code == (feed.count < 32 ? .notADrive : nil))
            }
        }
    }

    @Test func encryptedDrivesNeedTheirKey() throws {
        let world = SimulatedWorld(seed: 4)
        try world.run {
            let stores = [try await world.store(1), try await world.store(2), try await world.store(3)]
            let encryption = BlockEncryption.key(Bytes32(repeating: 9))
            let writer = try await DDrive.open(in: stores[0], encryption: encryption)
            try await writer.write(content(1, byteCount: 100_000), to: "/secret")
            try await writer.write(bytes("after"), to: "/after")
            let range: Range<UInt64> = 70_000..<70_100
            let part = try await writer.read("/secret", range: range)
            #expect(part == Array(content(1, byteCount: 100_000)[70_000..<70_100]))
            let reader = try await DDrive.open(in: stores[1], key: writer.key, encryption: encryption)
            let stranger = try await DDrive.open(in: stores[2], key: writer.key)
            try await connected(stores[0], stores[1]) {
                #expect(try await reader.paths() == ["/after", "/secret"])
                let part = try await reader.read("/secret", range: range)
                #expect(part == Array(content(1, byteCount: 100_000)[70_000..<70_100]))
                let all = try await reader.streamed("/secret")
                #expect(all == content(1, byteCount: 100_000))
            }
            try await connected(stores[0], stores[2]) {
                #expect(await failure { _ = try await stranger.paths() } != nil)
                #expect(await failure { _ = try await stranger.read("/secret") } != nil)
            }
        }
    }

    @Test func concurrentWritersDoNotMixContent() throws {
        try withDrive { drive in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<8 {
                    group.addTask {
                        let writer = try drive.writer(to: "/stream\(number)")
                        for piece in 0..<20 { try await writer.write(content(number &+ piece, byteCount: 30_000)) }
                        try await writer.finish()
                    }
                    group.addTask { try await drive.write(content(number, byteCount: 150_000), to: "/whole\(number)") }
                    group.addTask {
                        let batch = drive.batch()
                        for index in 0..<5 {
                            try await batch.write(content(index, byteCount: 99), to: "/b\(number)/\(index)")
                        }
                        try await batch.flush()
                    }
                }
                try await group.waitForAll()
            }
            for number in 0..<8 {
                let whole = try await drive.read("/whole\(number)")
                #expect(whole == content(number, byteCount: 150_000))
                let stream = try await drive.read("/stream\(number)")
                #expect(stream == (0..<20).flatMap { content(number &+ $0, byteCount: 30_000) })
                let small = try await drive.read("/b\(number)/4")
                #expect(small == content(4, byteCount: 99))
            }
        }
    }

    @Test func folders() throws {
        try withDrive { drive in
            for path in ["/a", "/a/x", "/a/y/z", "/a0", "/b"] { try await drive.write(bytes(path), to: path) }
            #expect(try await drive.paths(in: "/a") == ["/a/x", "/a/y/z"])
            #expect(try await drive.paths(in: "/a/") == ["/a/x", "/a/y/z"])
            #expect(try await drive.names().map(\.name) == ["a", "a0", "b"])
            #expect(try await drive.names().map(\.isFolder) == [true, false, false])
        }
        try withDrive { drive in
            for path in ["/dir/x", "/dir0", "/dir0x", "/foo", "/foo-bar", "/foo/bar"] {
                try await drive.write([], to: path)
            }
            let names = try await drive.names()
            #expect(names.map(\.name) == ["dir", "dir0", "dir0x", "foo", "foo-bar"])
            #expect(names.map { $0.entry != nil } == [false, true, true, true, true])
            #expect(names.map(\.isFolder) == [true, false, false, true, false])
        }
    }

    @Test func versionsDifferencesAndWatch() throws {
        try withDrive { drive in
            try await drive.write(bytes("1"), to: "/a")
            try await drive.write(bytes("2"), to: "/b")
            let version = drive.version
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    var iterator = drive.changes(in: "/w").makeAsyncIterator()
                    let pair = try #require(try await iterator.next())
                    #expect(try await pair.previous.paths(in: "/w").isEmpty)
                    #expect(try await pair.current.paths(in: "/w") == ["/w/x"])
                }
                await Task.yield()
                try await drive.write(bytes("3"), to: "/a")
                try await drive.remove("/b")
                try await drive.write(bytes("4"), to: "/w/x")
                try await group.waitForAll()
            }
            let old = drive.checkout(version)
            #expect(try await old.read("/a") == bytes("1"))
            #expect(try await old.paths() == ["/a", "/b"])
            var differences: [String] = []
            for try await step in drive.differences(from: version) {
                differences.append("\(step.path) \(step.left != nil) \(step.right != nil)")
            }
            #expect(differences == ["/a true true", "/b false true", "/w/x true false"])
            #expect(await failure { try await old.write([], to: "/x") } == .notWritable)
            try await drive.truncate(to: version)
            #expect(try await drive.paths() == ["/a", "/b"])
            #expect(try await drive.read("/a") == bytes("1"))
            #expect(try await drive.contentDatabase().length == 2)
            try await drive.write(bytes("5"), to: "/c")
            #expect(try await drive.read("/c") == bytes("5"))
        }
    }

    @Test func filesOfSeveralStreamsAreOneChange() throws {
        try withDrive { drive in
            try await drive.write(bytes("old"), to: "/a")
            let before = drive.version
            let batch = drive.batch()
            try await batch.write(from: Pieces(content(1, byteCount: 200_000)), to: "/a")
            await #expect(throws: PieceFault.self) {
                try await batch.write(from: Pieces(content(2, byteCount: 9), fails: true), to: "/b")
            }
            #expect(try await batch.entry(at: "/b") == nil)
            try await batch.write(from: Pieces(content(3, byteCount: 7)), to: "/c")
            #expect(drive.version == before)
            #expect(try await drive.read("/a") == bytes("old"))
            try await batch.flush()
            #expect(try await drive.paths() == ["/a", "/c"])
            #expect(try await drive.read("/a") == content(1, byteCount: 200_000))
            #expect(try await drive.read("/c") == content(3, byteCount: 7))
        }
    }

    @Test func contentIsCutWhereTheNetworkCutsIt() throws {
        // Spec 50 section 8.8.
        var state: UInt32 = 1
        let content = (0..<16 << 20).map { _ -> UInt8 in
            state = state &* 1_664_525 &+ 1_013_904_223
            return UInt8(state >> 24)
        }
        try withDrive { drive in
            let writer = try drive.writer(to: "/x", blocking: .byContent)
            var start = 0
            while start < content.count {
                let end = min(content.count, start + 999_983)
                try await writer.write(Array(content[start..<end]))
                start = end
            }
            let entry = try await writer.finish()
            let log = try await drive.contentDatabase()
            var counts: [Int] = []
            for try await block in log.blocks(from: 0, .localOnly) { counts.append(block.count) }
            #expect(
                counts == [
                    1_257_677, 895_311, 699_655, 4_267_819, 924_995, 661_016, 689_405, 1_737_290, 4_622_700, 1_021_348,
                ])
            #expect(entry.byteCount == 16 << 20)
            let middle = UInt64(2_000_000)..<2_000_100
            #expect(try await drive.streamed("/x", range: middle) == Array(content[2_000_000..<2_000_100]))
        }
    }

    @Test func batchesAreOneVersion() throws {
        try withDrive { drive in
            let batch = drive.batch()
            for index in 0..<20 { try await batch.write(bytes("\(index)"), to: "/f\(index)") }
            try await batch.remove("/f3")
            try await batch.link("/l", to: "/f1")
            #expect(try await drive.paths().isEmpty)
            #expect(try await batch.entry(at: "/f4") != nil)
            #expect(try await batch.entry(at: "/f3") == nil)
            try await batch.flush()
            #expect(try await drive.paths().count == 20)
            #expect(try await drive.read("/f7") == bytes("7"))
            let discarded = drive.batch()
            try await discarded.write([1], to: "/x")
            await discarded.close()
            #expect(try await drive.entry(at: "/x") == nil)
        }
    }

    @Test func clearedContentIsGoneAndComesBack() throws {
        try withReplica { drive in
            for index in 0..<5 { try await drive.write(content(index, byteCount: 200_000), to: "/f\(index)") }
            try await drive.link("/l", to: "/f1")
        } _: { writer, reader in
            #expect(try await reader.download("/").run().addedCount == 5)
            #expect(try await reader.isStored("/"))
            try await writer.clear("/f1")
            #expect(try await writer.isStored("/f1") == false)
            #expect(try await writer.isStored("/f2"))
            #expect(try await writer.entry(at: "/f1") != nil)
            try await writer.clear("/l")
            #expect(await failure { _ = try await writer.read("/f1", .localOnly) } == .notAvailable)
            #expect(try await writer.read("/f1") == content(1, byteCount: 200_000))
            try await writer.clearAll()
            #expect(try await writer.isStored("/f2") == false)
            #expect(try await writer.streamed("/f2") == content(2, byteCount: 200_000))
        }
    }

    @Test func purgedDrivesStartOver() throws {
        let world = SimulatedWorld(seed: 4)
        try world.run {
            let (first, second) = (try await world.store(1), try await world.store(2))
            let writer = try await DDrive.open(in: first)
            try await writer.write(content(1, byteCount: 100_000), to: "/f")
            var reader = try await DDrive.open(in: second, key: writer.key)
            try await connected(first, second) { [reader] in
                let bytes = try await reader.read("/f")
                #expect(bytes?.count == 100_000)
            }
            let contentKey = try await reader.contentDatabase().discoveryKey
            try await reader.purge()
            #expect(try await second.contains(writer.discoveryKey) == false)
            #expect(try await second.contains(contentKey) == false)
            reader = try await DDrive.open(in: second, key: writer.key)
            #expect(reader.version == 1)
            try await connected(first, second) { [reader] in
                let bytes = try await reader.read("/f")
                #expect(bytes == content(1, byteCount: 100_000))
            }
        }
    }

    @Test func remoteReadsEndAtTheirDeadline() throws {
        let world = SimulatedWorld(seed: 4)
        try world.run {
            let store = try await world.store(1)
            let drive = try await DDrive.open(in: store, key: PublicKey(Bytes32(repeating: 4)))
            let start = store.runtime.loop.now
            #expect(await failure { _ = try await drive.read("/x", .wait(upTo: .seconds(2))) } == .noPeers)
            #expect(store.runtime.loop.now - start == .seconds(2))
            #expect(await failure { _ = try await drive.contentDatabase(.localOnly) } == .notAvailable)
            #expect(try await drive.read("/x", .localOnly) == nil)
            #expect(await failure { try await drive.download("/", stallTimeout: .seconds(5)).run() } == .noPeers)
        }
    }

    @Test func transfersThatStallEnd() async throws {
        try await withSystemReplica { drive in
            try await drive.write(content(1, byteCount: 500_000), to: "/f")
            try await drive.clearAll()
        } _: { writer, reader in
            let folder = try TemporaryFolder()
            #expect(try await reader.entry(at: "/f") != nil)
            #expect(
                await failure { try await reader.download("/", stallTimeout: .milliseconds(600)).run() }
                    == .notAvailable)
            var options = MirrorOptions()
            options.stallTimeout = .milliseconds(600)
            let mirror = reader.mirror(toFolder: folder.path, options)
            #expect(await failure { try await mirror.run() } == .notAvailable)
            #expect(try folder.listing().isEmpty)
        }
    }

    @Test func readersFetchOnlyWhatTheyRead() throws {
        try withReplica { drive in
            for index in 0..<20 { try await drive.write(content(index, byteCount: 400_000), to: "/f\(index)") }
        } _: { writer, reader in
            let range: Range<UInt64> = 200_000..<200_010
            let part = try await reader.read("/f7", range: range)
            #expect(part == Array(content(7, byteCount: 400_000)[200_000..<200_010]))
            #expect(try await reader.contentDatabase().statistics.downloadedBlockCount <= 2)
            #expect(try await reader.streamed("/f3") == content(3, byteCount: 400_000))
            #expect(try await reader.contentDatabase().statistics.downloadedBlockCount <= 9)
            #expect(await failure { try await reader.write([], to: "/x") } == .notWritable)
            #expect(await failure { try await reader.remove("/x") } == .notWritable)
        }
    }

    @Test func downloadsReportProgress() throws {
        try withReplica { drive in
            for index in 0..<50 { try await drive.write(content(index, byteCount: 70_000), to: "/d/f\(index)") }
            try await drive.write(content(9, byteCount: 70_000), to: "/other")
        } _: { writer, reader in
            let transfer = reader.download("/d")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    var last = TransferProgress()
                    for await progress in transfer.progress {
                        #expect(progress.byteCount >= last.byteCount)
                        last = progress
                    }
                    #expect(last.phase == .finished && last.fileCount == 50 && last.byteCount == 3_500_000)
                    #expect(last.totalByteCount == 3_500_000 && last.peerCount == 1)
                }
                let summary = try await transfer.run()
                #expect(summary.addedCount == 50 && summary.byteCount == 3_500_000)
                try await group.waitForAll()
            }
            #expect(try await reader.isStored("/d"))
            #expect(try await reader.isStored("/other") == false)
            #expect(await failure { try await transfer.run() } == .invalidArgument)
            #expect(try await reader.download("/d").run().equalCount == 50)
        }
    }
}

/// The code of the error that `body` fails with.
func failure(_ body: () async throws -> Void) async -> DDriveError.Code? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? DDriveError)?.code ?? .init("\(error)")
    }
}

/// Why a stream of a test ends early.
private struct PieceFault: Error {}

/// Content in pieces, which may fail at the end.
private struct Pieces: AsyncSequence, Sendable {
    let bytes: [UInt8]
    let fails: Bool

    init(_ bytes: [UInt8], fails: Bool = false) {
        self.bytes = bytes
        self.fails = fails
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(rest: bytes[...], fails: fails) }

    struct AsyncIterator: AsyncIteratorProtocol {
        var rest: ArraySlice<UInt8>
        let fails: Bool

        mutating func next() async throws -> [UInt8]? {
            guard !rest.isEmpty else {
                if fails { throw PieceFault() }
                return nil
            }
            defer { rest = rest.dropFirst(60_000) }
            return Array(rest.prefix(60_000))
        }
    }
}
