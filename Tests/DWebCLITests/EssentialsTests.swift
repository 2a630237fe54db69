import DWebEssentials
import Testing

@Suite struct EssentialsTests {
    @Test(arguments: [
        (0.0, 1, "0.0"), (12.34, 1, "12.3"), (12.35001, 1, "12.4"), (9.999, 2, "10.00"), (-1.25, 1, "-1.3"),
        (-0.001, 1, "0.0"), (1_234.5, 0, "1235"), (0.007, 3, "0.007"), (.infinity, 1, "inf"),
    ])
    func numbersAreWrittenWithTheirDecimals(value: Double, count: Int, text: String) {
        #expect(value.text(decimals: count) == text)
    }

    @Test func columnsAreFilledAndNeverCut() {
        #expect("ab".padded(to: 4) == "ab  ")
        #expect("ab".aligned(to: 4) == "  ab")
        #expect("abcdef".padded(to: 4) == "abcdef")
        #expect(1.5.text(decimals: 1, width: 6) == "   1.5")
    }

    @Test func aPathIsAFolderOrAFileOrNothing() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        #expect(FileKind(at: folder) == nil)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        try Data("twelve bytes".utf8).write(to: URL(fileURLWithPath: folder + "/file"))
        try FileManager.default.createSymbolicLink(atPath: folder + "/link", withDestinationPath: "file")
        #expect(FileKind(at: folder) == .folder)
        #expect(FileKind(at: folder + "/link") == .file)
        #expect(FileKind.byteCount(at: folder + "/file") == 12)
        #expect(FileKind.byteCount(at: folder + "/link") == nil)
        #expect(FileKind.byteCount(at: folder) == nil)
    }

    @Test func aChildSpeaksThroughItsPipeAndItsExitCodeIsKnown() throws {
        let child = try SystemProcess(
            "/bin/sh", ["-c", "echo \"$WORD\"; cat; exit 7"], adding: ["WORD": "heard"], isPiped: true)
        let output = try #require(child.output)
        #expect(try output.readUpTo(6) == Array("heard\n".utf8))
        child.stop()
        #expect(child.wait() == 128 + SIGTERM)
        let other = try SystemProcess("/bin/sh", ["-c", "exit 7"])
        #expect(other.wait() == 7)
    }

    @Test func aProgramThatIsNotThereIsAnError() {
        #expect(throws: Errno.noSuchFileOrDirectory) { try SystemProcess("/nowhere/at/all", []) }
    }
}
