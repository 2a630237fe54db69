import DWebBase
import DWebDatabase
import DWebDrive
import DWebSimulation
import Synchronization
import Testing

/// Mirrors between drives and folders.
@Suite struct MirrorTests {
    private final class Events: Sendable {
        private let events = Mutex<[MirrorEvent]>([])
        var all: [MirrorEvent] { events.withLock { $0 } }
        func options(_ change: (inout MirrorOptions) -> Void = { _ in }) -> MirrorOptions {
            var options = MirrorOptions()
            options.report = { event in self.events.withLock { $0.append(event) } }
            change(&options)
            return options
        }
        var summary: [String] {
            all.map { event in
                switch event.operation {
                case .add: "+ \(event.path)"
                case .change: "~ \(event.path) \(event.addedByteCount)/\(event.removedByteCount)"
                case .remove: "- \(event.path)"
                case .equal: "= \(event.path)"
                case .refuse: "! \(event.path)"
                }
            }.sorted()
        }
    }

    private static func fill(_ folder: TemporaryFolder) throws {
        try folder.write("a.txt", bytes("a"))
        try folder.write("bin/run", bytes("#!/bin/sh\n"), isExecutable: true)
        try folder.write("deep/er/est/file", content(1, byteCount: 100_000))
        try folder.write("large", content(2, byteCount: 1_500_000))
        try folder.write("empty", [])
        try folder.write("ünï/日本", bytes("unicode"))
        try folder.link("link", to: "deep/er")
        try folder.link("deep/up", to: "../a.txt")
    }

    @Test func folderToDriveAndBack() async throws {
        try await withSystemDrive { drive in
            let (source, target) = (try TemporaryFolder(), try TemporaryFolder())
            try Self.fill(source)
            let first = try await drive.mirror(fromFolder: source.path).run()
            #expect(first.addedCount == 8 && first.refusalCount == 0)
            #expect(try await drive.entry(at: "/deep/up")?.linkTarget == "/a.txt")
            let version = drive.version
            let again = try await drive.mirror(fromFolder: source.path).run()
            #expect(again.equalCount == 8 && again.addedCount + again.changedCount == 0)
            #expect(drive.version == version)
            let out = try await drive.mirror(toFolder: target.path + "/new").run()
            #expect(out.addedCount == 8 && out.refusalCount == 0)
            let copy = try target.listing()
            for (name, content) in try source.listing() { #expect(copy["new/" + name] == content, "\(name)") }
            #expect(copy.count == 8)
            let back = try await drive.mirror(toFolder: target.path + "/new").run()
            #expect(back.equalCount == 8 && back.addedCount + back.changedCount == 0)
        }
    }

    @Test func changesAreFoundByContent() async throws {
        try await withSystemDrive { drive in
            let folder = try TemporaryFolder()
            try Self.fill(folder)
            try await drive.mirror(fromFolder: folder.path).run()
            let blob = try await drive.entry(at: "/large")?.blob
            var changed = content(2, byteCount: 1_500_000)
            changed[1_499_999] ^= 1
            try folder.write("deep/er/est/file", content(3, byteCount: 100_000))
            try folder.write("large", content(2, byteCount: 1_500_000), isExecutable: true)
            try folder.write("new", bytes("n"))
            let dry = Events()
            let version = drive.version
            let planned = try await drive.mirror(fromFolder: folder.path, dry.options { $0.isDryRun = true }).run()
            #expect(drive.version == version && planned.changedCount == 2 && planned.addedCount == 1)
            let events = Events()
            let summary = try await drive.mirror(fromFolder: folder.path, events.options()).run()
            #expect(events.summary == ["+ /new", "~ /deep/er/est/file 100000/100000", "~ /large 0/0"])
            #expect(dry.summary == events.summary)
            #expect(summary.changedCount == 2 && summary.equalCount == 6)
            #expect(try await drive.entry(at: "/large")?.blob == blob)
            #expect(try await drive.entry(at: "/large")?.isExecutable == true)
            try folder.write("large", changed, isExecutable: true)
            #expect(try await drive.mirror(fromFolder: folder.path).run().changedCount == 1)
            #expect(try await drive.read("/large") == changed)
        }
    }

    @Test func pruningOnlyWhenAsked() async throws {
        try await withSystemDrive { drive in
            let folder = try TemporaryFolder()
            try folder.write("keep", bytes("k"))
            try await drive.write(bytes("k"), to: "/keep")
            try await drive.write(bytes("x"), to: "/gone/file")
            try await drive.write(bytes("j"), to: "/.DS_Store")
            try await drive.mirror(fromFolder: folder.path).run()
            #expect(try await drive.paths() == ["/.DS_Store", "/gone/file", "/keep"])
            let events = Events()
            try await drive.mirror(fromFolder: folder.path, events.options { $0.prunes = true }).run()
            #expect(events.summary == ["- /gone/file"])
            #expect(try await drive.paths() == ["/.DS_Store", "/keep"])

            try folder.write("extra/deep/file", bytes("e"))
            try folder.write("extra/Thumbs.db", bytes("junk"))
            try await drive.mirror(toFolder: folder.path).run()
            #expect(try folder.listing().count == 3)
            let out = Events()
            try await drive.mirror(
                toFolder: folder.path,
                out.options {
                    $0.prunes = true; $0.isDryRun = true
                }
            ).run()
            #expect(out.summary == ["- /extra/deep/file"])
            #expect(try folder.listing().count == 3)
            try await drive.mirror(toFolder: folder.path, out.options { $0.prunes = true }).run()
            #expect(try folder.listing().keys.sorted() == ["extra/Thumbs.db", "keep"])
        }
    }

    @Test func ignoreFilesHoldForTheirFolder() async throws {
        try await withSystemDrive { drive in
            let folder = try TemporaryFolder()
            try folder.write(".drivesignore", bytes("*.log\n/build/\n!important.log\n"))
            for name in [
                "a.log", "important.log", "sub/b.log", "build/x", "sub/build/y", "sub/.dwebignore", "sub/c.tmp",
                "d.tmp",
                ".DS_Store", "sub/._x", "node/Thumbs.db", "node/file",
            ] {
                try folder.write(name, name.hasSuffix(".dwebignore") ? bytes("*.tmp\n") : bytes(name))
            }
            try await drive.mirror(fromFolder: folder.path).run()
            #expect(
                try await drive.paths() == [
                    "/.drivesignore", "/d.tmp", "/important.log", "/node/file", "/sub/.dwebignore", "/sub/build/y",
                ])
        }
    }

    @Test func ignoreRulesFollowGitignore() {
        let cases: [(rules: String, path: String, isFolder: Bool, isIgnored: Bool)] = [
            ("foo", "foo", false, true), ("foo", "a/b/foo", false, true), ("foo", "foo/bar", false, true),
            ("foo", "food", false, false), ("/foo", "a/foo", false, false), ("/foo", "foo", false, true),
            ("a/b", "a/b", false, true), ("a/b", "x/a/b", false, false), ("foo/", "foo", false, false),
            ("foo/", "foo", true, true), ("foo/", "x/foo/y", false, true), ("*.o", "x/y.o", false, true),
            ("*.o", "x/y.oo", false, false), ("a/*.o", "a/x/y.o", false, false), ("**/foo", "a/b/foo", false, true),
            ("**/foo", "foo", false, true), ("foo/**", "foo", true, false), ("foo/**", "foo/a/b", false, true),
            ("a/**/b", "a/b", false, true), ("a/**/b", "a/x/y/b", false, true), ("a/**/b", "a/x/c", false, false),
            ("*\n!keep", "keep", false, false), ("*\n!keep", "drop", false, true),
            ("dir/\n!dir/x", "dir/x", false, true),
            ("# comment", "# comment", false, false), ("\\#x", "#x", false, true), ("\\!x", "!x", false, true),
            ("x  ", "x", false, true), ("x\\ ", "x ", false, true), ("f?o", "foo", false, true),
            ("f?o", "f/o", false, false),
            ("[a-c]x", "bx", false, true), ("[!a-c]x", "bx", false, false), ("[^a-c]x", "dx", false, true),
            ("[]]x", "]x", false, true), ("[a", "[a", false, true), ("a*b*c", "aXbYc", false, true),
            ("a*b*c", "aXbY", false, false), ("ü?", "üx", false, true), ("", "x", false, false),
            ("/", "x", false, false),
            ("*", ".hidden", false, true), ("\\*", "*", false, true), ("\\*", "x", false, false),
        ]
        for (rules, path, isFolder, isIgnored) in cases {
            #expect(IgnoreRules(rules).ignores(path, isFolder: isFolder) == isIgnored, "\(rules) on \(path)")
        }
        #expect(IgnoreRules.operatingSystemJunk.ignores("a/.DS_Store", isFolder: false))
        #expect(IgnoreRules.operatingSystemJunk.ignores("Icon\r", isFolder: false))
        #expect(!IgnoreRules.operatingSystemJunk.ignores("Icon", isFolder: false))
        // Patterns that make naive matchers take for ever.
        let stars = String(repeating: "*a", count: 200) + "b"
        #expect(!IgnoreRules(stars).ignores(String(repeating: "a", count: 400), isFolder: false))
        let folders = String(repeating: "**/a/", count: 100) + "b"
        #expect(!IgnoreRules(folders).ignores(String(repeating: "a/", count: 200) + "c", isFolder: false))
    }

    @Test func linksOutOfTheFolderAreLeftOut() async throws {
        try await withSystemDrive { drive in
            let folder = try TemporaryFolder()
            try folder.write("t/file", bytes("x"))
            try folder.link("t/in", to: "file")
            try folder.link("abs", to: folder.path + "/t/file")
            try folder.link("out", to: "/etc/passwd")
            try folder.link("t/climb", to: "../../x")
            let summary = try await drive.mirror(fromFolder: folder.path).run()
            #expect(try await drive.entry(at: "/t/in")?.linkTarget == "/t/file")
            #expect(try await drive.entry(at: "/abs")?.linkTarget == "/t/file")
            #expect(summary.refusals.map(\.path).sorted() == ["/out", "/t/climb"])
        }
    }

    @Test func prefixesAndAtomicImports() async throws {
        try await withSystemDrive { drive in
            let (source, target) = (try TemporaryFolder(), try TemporaryFolder())
            try Self.fill(source)
            try await drive.write(bytes("x"), to: "/outside")
            let length = drive.version
            var options = MirrorOptions()
            options.prefix = "/site"
            options.isAtomic = true
            options.prunes = true
            try await drive.mirror(fromFolder: source.path, options).run()
            #expect(drive.version == length + 8)
            #expect(try await drive.entry(at: "/site/deep/up")?.linkTarget == "/site/a.txt")
            #expect(try await drive.read("/outside") == bytes("x"))
            try await drive.mirror(toFolder: target.path, options).run()
            #expect(try target.listing() == (try source.listing()))
        }
    }

    @Test func remoteDrivesAreExportedWhileTheyArrive() async throws {
        try await withSystemReplica { drive in
            for index in 0..<300 { try await drive.write(content(index, byteCount: 500), to: "/small/\(index)") }
            try await drive.write(content(7, byteCount: 3_000_000), to: "/large")
        } _: { writer, reader in
            let folder = try TemporaryFolder()
            let summary = try await reader.mirror(toFolder: folder.path).run()
            #expect(summary.addedCount == 301 && summary.byteCount == 3_150_000)
            let listing = try folder.listing()
            #expect(listing.count == 301)
            #expect(listing["large"] == bytes("-") + content(7, byteCount: 3_000_000))
            #expect(listing["small/299"] == bytes("-") + content(299, byteCount: 500))
            try await writer.write(bytes("changed"), to: "/small/5")
            try await reader.update()
            let second = try await reader.mirror(toFolder: folder.path).run()
            #expect(second.changedCount == 1 && second.equalCount == 300)
        }
    }

    @Test func failuresOfTheFolderAreTold() async throws {
        try await withSystemDrive { drive in
            #expect(await failure { try await drive.mirror(fromFolder: "/nonexistent/folder").run() } == .localFile)
            let folder = try TemporaryFolder()
            try folder.write("file", bytes("x"))
            #expect(await failure { try await drive.mirror(toFolder: folder.path + "/file").run() } == .localFile)
            var options = MirrorOptions()
            options.isDryRun = true
            try await drive.write(bytes("x"), to: "/a")
            let summary = try await drive.mirror(toFolder: folder.path + "/missing", options).run()
            #expect(summary.addedCount == 1)
            #expect(try folder.listing().count == 1)
        }
    }
}
