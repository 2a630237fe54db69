import DWeb
import DWebSimulation
import Testing

@testable import DWebCLI

/// What the program's commands change in a drive.
@Suite struct DriveChangeTests {
    private func withDrive(_ body: @escaping @Sendable (DDrive) async throws -> Void) throws {
        let world = SimulatedWorld(seed: 1)
        try world.run {
            let runtime = world.runtime(
                address: SocketAddress(ipv4: 10, 0, 0, 1, port: 0), storage: MemoryStorage())
            let drive = try await DDrive.open(in: try await Basestore.open("store", runtime: runtime))
            for path in ["/a", "/b", "/f/x", "/f/y"] { try await drive.write([1], to: path) }
            try await body(drive)
        }
    }

    private func paths(_ drive: DDrive) async throws -> [String] {
        var paths: [String] = []
        for try await entry in drive.entries(in: "/") { paths.append(entry.path) }
        return paths
    }

    @Test func severalPathsAreRemovedAsOneChange() throws {
        try withDrive { drive in
            let removed = try await drive.removeAll(["a", "/f", "/f/x", "/a"], isRecursive: true)
            #expect(removed == ["/a", "/f/x", "/f/y"])
            #expect(try await paths(drive) == ["/b"])
        }
    }

    @Test func whereOnePathIsMissingNoneIsRemoved() throws {
        try withDrive { drive in
            let version = drive.version
            await #expect(throws: CommandFailure.self) {
                try await drive.removeAll(["/a", "/missing"], isRecursive: true)
            }
            await #expect(throws: CommandFailure.self) {
                try await drive.removeAll(["/a", "/f"], isRecursive: false)
            }
            #expect(drive.version == version)
            let left = try await paths(drive)
            #expect(left == ["/a", "/b", "/f/x", "/f/y"])
            // The turn to change the drive was given back.
            let isRemoved = try await drive.remove("/a")
            #expect(isRemoved)
        }
    }
}
