import DWebDatabase
import DWebDrive
import Foundation
import Testing

/// What mirrors know of a folder: what they wrote, what changed since a version, and single files.
@Suite struct MirrorLedgerTests {
    private static func options(_ change: (inout MirrorOptions) -> Void = { _ in }) -> MirrorOptions {
        var options = MirrorOptions()
        options.keepsForeignFiles = true
        change(&options)
        return options
    }

    @Test func filesOfOthersStay() async throws {
        try await withSystemDrive { drive in
            let folder = try TemporaryFolder()
            try await drive.write(bytes("drive a"), to: "/a")
            try await drive.write(bytes("drive b"), to: "/b")
            try await drive.link("/l", to: "/b")
            try folder.write("a", bytes("mine"))
            let first = try await drive.mirror(toFolder: folder.path, Self.options()).run()
            #expect(first.addedCount == 2 && first.changedCount == 0)
            #expect(first.refusals.map(\.path) == ["/a"])
            #expect(try folder.listing()["a"] == bytes("-mine"))
            // What the drive wrote follows the drive.
            try await drive.write(bytes("newer b"), to: "/b")
            try await drive.link("/l", to: "/a")
            let second = try await drive.mirror(toFolder: folder.path, Self.options()).run()
            #expect(second.changedCount == 2 && second.refusalCount == 1)
            #expect(try folder.listing()["b"] == bytes("-newer b"))
            // What was changed since belongs to whoever changed it.
            try folder.write("b", bytes("edited"))
            try await drive.write(bytes("newest b"), to: "/b")
            let third = try await drive.mirror(toFolder: folder.path, Self.options()).run()
            #expect(third.changedCount == 0 && third.refusals.map(\.path).sorted() == ["/a", "/b"])
            #expect(try folder.listing()["b"] == bytes("-edited"))
            let forced = try await drive.mirror(toFolder: folder.path).run()
            #expect(forced.changedCount == 2 && forced.refusalCount == 0)
            #expect(try folder.listing()["a"] == bytes("-drive a"))
        }
    }

    @Test func equalFilesAreTakenOver() async throws {
        try await withSystemDrive { drive in
            let folder = try TemporaryFolder()
            try await drive.write(bytes("same"), to: "/a")
            try folder.write("a", bytes("same"))
            #expect(try await drive.mirror(toFolder: folder.path, Self.options()).run().equalCount == 1)
            try await drive.write(bytes("new"), to: "/a")
            #expect(try await drive.mirror(toFolder: folder.path, Self.options()).run().changedCount == 1)
            #expect(try folder.listing()["a"] == bytes("-new"))
        }
    }

    @Test func onlyOwnFilesArePruned() async throws {
        try await withSystemDrive { drive in
            let folder = try TemporaryFolder()
            for name in ["keep", "gone", "edited"] { try await drive.write(bytes(name), to: "/d/" + name) }
            try await drive.mirror(toFolder: folder.path, Self.options()).run()
            try folder.write("mine", bytes("m"))
            try folder.write("d/edited", bytes("by hand"))
            for name in ["gone", "edited"] { try await drive.remove("/d/" + name) }
            let summary = try await drive.mirror(toFolder: folder.path, Self.options { $0.prunes = true }).run()
            #expect(summary.removedCount == 1)
            #expect(summary.refusals.map(\.path).sorted() == ["/d/edited", "/mine"])
            #expect(try folder.listing().keys.sorted() == ["d/edited", "d/keep", "mine"])
        }
    }

    @Test func onlyWhatChangedSinceAVersionIsLookedAt() async throws {
        try await withSystemDrive { drive in
            let folder = try TemporaryFolder()
            for index in 0..<20 { try await drive.write(bytes("\(index)"), to: "/\(index)") }
            let first = try await drive.mirror(toFolder: folder.path, Self.options()).run()
            #expect(first.version == 21 && first.addedCount == 20)
            try folder.write("7", bytes("not looked at"))
            try await drive.write(bytes("x"), to: "/3")
            try await drive.remove("/4")
            try await drive.write(bytes("n"), to: "/new")
            let second = try await drive.mirror(
                toFolder: folder.path,
                Self.options {
                    $0.since = first.version
                    $0.prunes = true
                }
            ).run()
            #expect(second.version == 24 && second.refusalCount == 0)
            #expect(second.addedCount == 1 && second.changedCount == 1 && second.removedCount == 1)
            #expect(second.equalCount == 0)
            let listing = try folder.listing()
            #expect(listing["3"] == bytes("-x") && listing["4"] == nil && listing["7"] == bytes("-not looked at"))
        }
    }

    @Test func writtenFilesAreNotComparedAgain() async throws {
        try await withSystemDrive { drive in
            let folder = try TemporaryFolder()
            try await drive.write(content(1, byteCount: 300_000), to: "/large")
            try await drive.mirror(toFolder: folder.path, Self.options()).run()
            // Nothing of the content is here any more, and it is not needed.
            try await drive.clearAll()
            let again = Self.options { $0.stallTimeout = .milliseconds(100) }
            #expect(try await drive.mirror(toFolder: folder.path, again).run().equalCount == 1)
            let thorough = Self.options {
                $0.comparesAll = true
                $0.stallTimeout = .milliseconds(100)
            }
            #expect(await failure { try await drive.mirror(toFolder: folder.path, thorough).run() } == .noPeers)
        }
    }

    @Test func leftoversOfKilledProgramsAreUsedUp() async throws {
        try await withSystemDrive { drive in
            let folder = try TemporaryFolder()
            try folder.write(".a.dweb-part", content(9, byteCount: 5_000))
            // A second name of another file: it must not be written to.
            try folder.write("precious", bytes("precious"))
            try FileManager.default.linkItem(
                atPath: folder.path + "/precious", toPath: folder.path + "/.b.dweb-part")
            try await drive.write(bytes("a"), to: "/a")
            try await drive.write(bytes("b"), to: "/b")
            #expect(try await drive.mirror(toFolder: folder.path, Self.options()).run().addedCount == 2)
            let listing = try folder.listing()
            #expect(listing["a"] == bytes("-a") && listing["b"] == bytes("-b"))
            #expect(listing[".a.dweb-part"] == nil && listing["precious"] == bytes("-precious"))
        }
    }

    @Test func singleFilesBothWays() async throws {
        try await withSystemDrive { drive in
            let folder = try TemporaryFolder()
            try folder.write("in", content(3, byteCount: 200_000), isExecutable: true)
            try folder.write("other", bytes("not asked for"))
            let first = try await drive.mirror(fromFile: folder.path + "/in", to: "/x/file").run()
            #expect(first.addedCount == 1 && first.byteCount == 200_000)
            #expect(try await drive.paths() == ["/x/file"])
            #expect(try await drive.mirror(fromFile: folder.path + "/in", to: "/x/file").run().equalCount == 1)
            try await drive.link("/link", to: "/x/file")
            let out = try await drive.mirror(toFile: folder.path + "/out/renamed", from: "/link").run()
            #expect(out.addedCount == 1)
            #expect(try folder.listing()["out/renamed"] == bytes("x") + content(3, byteCount: 200_000))
            #expect(
                await failure { try await drive.mirror(toFile: folder.path + "/o", from: "/no").run() } == .notFound)
            #expect(
                await failure { try await drive.mirror(fromFile: folder.path + "/no", to: "/n").run() } == .localFile)
            #expect(
                await failure { try await drive.mirror(fromFile: folder.path + "/out", to: "/n").run() } == .localFile)
            #expect(
                await failure { try await drive.mirror(toFile: folder.path + "/..", from: "/x/file").run() }
                    == .localFile)
        }
    }

    @Test func rememberedFilesWhoseTimesWereResetAreFound() async throws {
        try await withSystemDrive { drive in
            let folder = try TemporaryFolder()
            let file = folder.path + "/a"
            let past = Date(timeIntervalSince1970: 1_000_000)
            try folder.write("a", bytes("before"))
            try FileManager.default.setAttributes([.modificationDate: past], ofItemAtPath: file)
            // Files are only trusted some time after their last change.
            try await Task.sleep(for: .milliseconds(2_100))
            var options = MirrorOptions()
            options.memory = FolderMemory()
            try await drive.mirror(fromFolder: folder.path, options).run()
            #expect(try await drive.mirror(fromFolder: folder.path, options).run().equalCount == 1)
            try folder.write("a", bytes("after!"))
            try FileManager.default.setAttributes([.modificationDate: past], ofItemAtPath: file)
            #expect(try await drive.mirror(fromFolder: folder.path, options).run().changedCount == 1)
            #expect(try await drive.read("/a") == bytes("after!"))
        }
    }

    @Test func watchesTellOfChanges() async throws {
        let folder = try TemporaryFolder()
        try folder.write("a", bytes("a"))
        var watch = FolderWatch(folder.path, interval: .milliseconds(20)).makeAsyncIterator()
        #expect(try await watch.next() != nil)
        try folder.write("sub/b", bytes("b"))
        #expect(try await watch.next() != nil)
        try FileManager.default.removeItem(atPath: folder.path)
        var code: DDriveError.Code?
        do throws(DDriveError) { while try await watch.next() != nil {} } catch { code = error.code }
        #expect(code == .localFile)
    }
}
