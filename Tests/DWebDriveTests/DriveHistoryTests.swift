import DWebDatabase
import DWebDrive
import DWebTree
import Testing

/// A drive's past: what changed, what moved, and content that is not needed any more.
@Suite struct DriveHistoryTests {
    @Test func changesInOrder() throws {
        try withDrive { drive in
            try await drive.write(bytes("1"), to: "/a")
            try await drive.tree.put("application", "not a file")
            try await drive.link("/l", to: "/a")
            try await drive.remove("/a")
            var changes: [String] = []
            for try await change in drive.history() {
                changes.append("\(change.sequence) \(change.isRemoval ? "-" : "+") \(change.path)")
            }
            #expect(changes == ["1 + /a", "3 + /l", "4 - /a"])
            var newest: [DDrive.Change] = []
            for try await change in drive.history(isReversed: true, limit: 2) { newest.append(change) }
            #expect(newest.map(\.path) == ["/a", "/l"])
            #expect(newest[0].entry == nil && newest[1].entry?.linkTarget == "/a")
        }
    }

    @Test func batchesMoveWithoutCopying() throws {
        try withDrive { drive in
            try await drive.write(bytes("1"), to: "/d/a")
            try await drive.write(bytes("2"), to: "/d/b")
            let blob = try await drive.entry(at: "/d/a")?.blob
            let version = drive.version
            let batch = drive.batch()
            try await batch.move("/d/a", to: "/e/a")
            try await batch.move("/d/b", to: "/e/b")
            #expect(await failure { try await batch.move("/d/a", to: "/f") } == .notFound)
            #expect(try await drive.paths() == ["/d/a", "/d/b"])
            try await batch.flush()
            #expect(try await drive.paths() == ["/e/a", "/e/b"])
            #expect(try await drive.entry(at: "/e/a")?.blob == blob)
            #expect(drive.version == version + 4)
        }
    }

    @Test func contentOfOldVersionsIsCleared() throws {
        try withDrive { drive in
            try await drive.write(content(1, byteCount: 200_000), to: "/a")
            try await drive.write(content(2, byteCount: 100_000), to: "/b")
            try await drive.write(content(3, byteCount: 150_000), to: "/a")
            let abandoned = try drive.writer(to: "/never")
            try await abandoned.write(content(4, byteCount: 70_000))
            await abandoned.abort()
            let old = drive.checkout(3)
            #expect(try await old.isStored("/a"))
            try await drive.clearUnneeded()
            #expect(try await drive.read("/a") == content(3, byteCount: 150_000))
            #expect(try await drive.read("/b") == content(2, byteCount: 100_000))
            #expect(try await !old.isStored("/a"))
            #expect(try await old.entry(at: "/a")?.byteCount == 200_000)
            let log = try await drive.contentDatabase()
            #expect(try await !log.has(0))
            // Writing goes on after it.
            try await drive.write(bytes("more"), to: "/c")
            #expect(try await drive.read("/c") == bytes("more"))
        }
    }
}
