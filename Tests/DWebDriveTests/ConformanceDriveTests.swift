import DWebDatabase
import DWebDrive
import DWebTree
import Testing

/// Statements of the checklist of spec 50 about drives that no other suite asserts.
@Suite struct ConformanceDriveTests {
    @Test func emptyMappedBlobsReadAsEmpty() throws {
        try withDrive { drive in
            try await drive.write(bytes("before"), to: "/before")
            let record =
                #"{"executable":false,"linkname":null,"blob":{"blockOffset":1,"byteOffset":6,"blockLength":0,"#
                + #""byteLength":0,"blockMap":true},"metadata":null}"#
            try await drive.tree.sub("files").put("/empty", record)
            #expect(try await drive.read("/empty") == [])
            #expect(try await drive.streamed("/empty") == [])
            #expect(try await drive.isStored("/empty"))
        }
    }

    @Test func contentWithoutAnEntryIsInvisible() throws {
        try withDrive { drive in
            try await drive.write(bytes("1"), to: "/a")
            // What a program leaves that is killed between content and entry.
            try await drive.contentDatabase().append(bytes("orphan"))
            #expect(try await drive.paths() == ["/a"])
            try await drive.write(bytes("2"), to: "/b")
            #expect(try await drive.read("/a") == bytes("1"))
            #expect(try await drive.read("/b") == bytes("2"))
            #expect(try await drive.entry(at: "/b")?.blob?.blockOffset == 2)
        }
    }
}
