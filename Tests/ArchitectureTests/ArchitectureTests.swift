import Foundation
import Testing

/// The rules of `docs/architecture.md`, checked on the source text: who may import what, and what cores must not touch.
@Suite struct ArchitectureTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private static let collections: Set<String> = [
        "DequeModule", "OrderedCollections", "HeapModule", "Synchronization",
    ]
    private static let system: Set<String> = ["Darwin", "Glibc", "Musl"]

    /// Every target with what it may import.
    private static let allowedImports: [String: Set<String>] = [
        "DWebBase": [],
        "DWebCrypto": ["DWebBase", "CBlake2b", "CSodium"],
        "DWebLogCore": ["DWebBase", "DWebCrypto", "DequeModule", "OrderedCollections", "HeapModule"],
        "DWebWireCore": ["DWebBase", "DWebCrypto", "DequeModule", "OrderedCollections", "HeapModule"],
        "DWebDHTCore": ["DWebBase", "DWebCrypto", "DequeModule", "OrderedCollections", "HeapModule"],
        "DWebStreamCore": ["DWebBase", "DequeModule", "OrderedCollections", "HeapModule"],
        "DWebPorts": ["DWebBase", "Synchronization"],
        "DWebPosix": [
            "DWebBase", "DWebPorts", "CDatagram", "NIOCore", "NIOPosix", "Synchronization", "Darwin", "Glibc",
        ],
        "DWebRocks": system.union(["DWebPorts", "CRocksDB", "CDatagram", "Dispatch", "Synchronization"]),
        "DWebEssentials": system.union(["SystemPackage", "FoundationEssentials", "Foundation"]),
        "DWebSimulation": collections.union(system).union(["DWebBase", "DWebPorts"]),
        "DWebDatabase": collections.union(["DWebBase", "DWebCrypto", "DWebPorts", "DWebLogCore", "DWebWireCore"]),
        "DWebStore": collections.union([
            "DWebBase", "DWebCrypto", "DWebPorts", "DWebLogCore", "DWebWireCore", "DWebDatabase",
        ]),
        "DWebSwarm": collections.union([
            "DWebBase", "DWebCrypto", "DWebPorts", "DWebDHTCore", "DWebStreamCore", "DWebWireCore",
        ]),
        "DWebNetworker": collections.union([
            "DWebBase", "DWebCrypto", "DWebPorts", "DWebWireCore", "DWebDatabase", "DWebStore", "DWebSwarm",
        ]),
        "DWebTree": ["DWebBase", "DWebDatabase", "DWebPorts", "DequeModule", "Synchronization"],
        "DWebDrive": system.union([
            "DWebBase", "DWebCrypto", "DWebPorts", "DWebLogCore", "DWebDatabase", "DWebStore", "DWebTree",
            "DequeModule",
            "Synchronization", "Dispatch",
        ]),
        "DWebLab": collections.union([
            "DWebBase", "DWebCrypto", "DWebPorts", "DWebDHTCore", "DWebSwarm", "DWebSimulation",
        ]),
        "DWebDaemonKit": collections.union([
            "DWebBase", "DWebCrypto", "DWebPorts", "DWebDatabase", "DWebStore", "DWebSwarm", "DWebNetworker",
            "DWebTree",
            "DWebDrive",
        ]),
        "DWebDaemonProto": ["GRPCCore", "GRPCProtobuf", "SwiftProtobuf", "Foundation", "FoundationEssentials"],
        "DWebDaemonServer": system.union([
            "DWeb", "DWebDaemonKit", "DWebDaemonProto", "DWebDrive", "GRPCCore", "GRPCNIOTransportHTTP2Posix",
            "Hummingbird", "HTTPTypes", "NIOCore", "Logging", "SwiftProtobuf", "Foundation", "Dispatch",
            "Synchronization",
        ]),
        "DWeb": [
            "DWebBase", "DWebCrypto", "DWebPorts", "DWebPosix", "DWebRocks", "DWebDatabase", "DWebStore", "DWebSwarm",
            "DWebNetworker", "DWebTree", "DWebDrive",
        ],
    ]

    private static let cores = [
        "DWebBase", "DWebCrypto", "DWebLogCore", "DWebWireCore", "DWebDHTCore", "DWebStreamCore",
    ]

    private struct SourceFile {
        let target: String
        let path: String
        let lines: [Substring]
    }

    private static func sources() throws -> [SourceFile] {
        let folder = root.appendingPathComponent("Sources")
        let files = try #require(FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil))
        var result: [SourceFile] = []
        for case let url as URL in files where url.pathExtension == "swift" {
            let path = String(url.standardizedFileURL.path.dropFirst(folder.standardizedFileURL.path.count + 1))
            let text = try String(contentsOf: url, encoding: .utf8)
            result.append(
                SourceFile(
                    target: String(path.prefix { $0 != "/" }), path: path,
                    lines: text.split(separator: "\n", omittingEmptySubsequences: false)))
        }
        #expect(result.count > 20)
        return result
    }

    private static func importedModule(_ line: Substring) -> String? {
        var words = line.split(separator: " ")
        if let first = words.first, ["public", "package", "internal", "private", "fileprivate"].contains(first) {
            words.removeFirst()
        }
        guard words.first == "import", words.count >= 2 else { return nil }
        return String(words[words.count - 1].prefix { $0 != "." })
    }

    @Test func targetsImportOnlyWhatTheirRingAllows() throws {
        for file in try Self.sources() {
            guard let allowed = Self.allowedImports[file.target] else { continue }
            for line in file.lines {
                guard let module = Self.importedModule(line.drop { $0 == " " }[...]) else { continue }
                #expect(allowed.contains(module), "\(file.path) imports \(module)")
            }
        }
    }

    @Test func onlyTheDaemonLinksAllOfFoundation() throws {
        // Its tables are 30 MB of the program, and a third of the memory of one that moves data (docs/benchmarks.md).
        for file in try Self.sources() where !file.target.hasPrefix("DWebDaemon") && file.target != "DWebEssentials" {
            guard !file.path.hasPrefix("DWebCLI/Daemon/") else { continue }
            for line in file.lines {
                #expect(Self.importedModule(line) != "Foundation", "\(file.path) imports Foundation")
            }
        }
    }

    @Test func coresTouchNoClockNoTaskAndNoGlobalRandomness() throws {
        let forbidden = [
            "Task {", "Task.detached", "Task(", "ContinuousClock", "SuspendingClock", "Date()",
            "SystemRandomNumberGenerator",
            "DispatchQueue", " async ", "await ", ".randomElement()", ".shuffled()", ".shuffle()",
        ]
        for file in try Self.sources() where Self.cores.contains(file.target) {
            for (index, line) in file.lines.enumerated() where !line.drop(while: { $0 == " " }).hasPrefix("//") {
                for symbol in forbidden {
                    #expect(!line.contains(symbol), "\(file.path):\(index + 1) uses \(symbol)")
                }
                if line.contains(".random(in:") {
                    #expect(line.contains("using:"), "\(file.path):\(index + 1) draws from the global generator")
                }
            }
        }
    }

    @Test func librariesStartNoUnstructuredTask() throws {
        // The simulator's own main is the one program that has nobody above it to own its task.
        let exempt = ["DWebSimulation/SimulatedLoop.swift"]
        for file in try Self.sources() where file.target.hasPrefix("DWeb") && !exempt.contains(file.path) {
            for (index, line) in file.lines.enumerated() where !line.drop(while: { $0 == " " }).hasPrefix("//") {
                let rest = line.replacingOccurrences(of: "addTask", with: "")
                for symbol in ["Task {", "Task.detached", "Task(executorPreference", "Task(priority"] {
                    #expect(!rest.contains(symbol), "\(file.path):\(index + 1) starts a task that nobody owns")
                }
            }
        }
    }

    @Test func queuesAndStreamsAreBounded() throws {
        for file in try Self.sources() where file.target.hasPrefix("DWeb") {
            for (index, line) in file.lines.enumerated() {
                #expect(!line.contains(".unbounded"), "\(file.path):\(index + 1) has a stream without a bound")
                let makesStream = ["AsyncStream {", "AsyncStream(", "AsyncThrowingStream", "AsyncStream.makeStream("]
                guard makesStream.contains(where: { line.contains($0) }) else { continue }
                let call = file.lines[index..<min(index + 3, file.lines.count)].joined()
                #expect(call.contains("bufferingPolicy"), "\(file.path):\(index + 1) has a stream without a bound")
            }
        }
    }

    @Test func sourceIsTidy() throws {
        let markers = ["TODO", "FIXME", "XXX"]
        // Generated code keeps no rules of ours.
        for file in try Self.sources() where file.target != "DWebDaemonProto" {
            #expect(file.lines.count <= 800, "\(file.path) has \(file.lines.count) lines: look for a seam")
            for (index, line) in file.lines.enumerated() {
                #expect(line.count <= 140, "\(file.path):\(index + 1) is too long")
                for marker in markers { #expect(!line.contains(marker), "\(file.path):\(index + 1) has a \(marker)") }
            }
        }
    }
}
