import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb demo`: everything at once on one machine.
struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo", abstract: "Publish and fetch data between processes on this machine, and compare.",
        discussion: """
            Starts a private DHT, a publisher and a getter as separate processes. The getter knows only the key. A folder \
            travels as one archive. Without a path, 64 MB of made-up data is used.
            """)

    @Argument(help: "The file or folder to move.")
    var path: String?

    @Option(help: "Keep what was fetched in this folder.")
    var keep: String?

    @OptionGroup var output: OutputOptions

    private struct Bootstrap: Decodable { let bootstrap: String }
    private struct Published: Decodable {
        let key: String
        let length: UInt64
    }
    private struct Fetched: Decodable {
        let byteLength: UInt64
        let bytesPerSecond: Double
        let seconds: Double
    }
    private struct Outcome: Encodable {
        let key: String
        let byteLength: UInt64
        let blocks: UInt64
        let seconds: Double
        let bytesPerSecond: Double
        let identical: Bool
    }

    private static let madeUpByteCount = 64_000_000

    func run() async throws {
        let console = output.console
        let files = FileManager.default
        let folder = files.temporaryDirectory.appendingPathComponent("dweb-demo-\(UUID().uuidString)")
        try files.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? files.removeItem(at: folder) }
        let input = try prepare(in: folder, console)

        console.say("1. A private DHT of 5 nodes ...")
        let testnet = try ChildProgram(["testnet", "--nodes", "5", "--port", "0", "--json"], isSilent: true)
        defer { testnet.stop() }
        let bootstrap = try testnet.readValue(Bootstrap.self).bootstrap

        console.say("2. A publisher serves \(input.lastPathComponent) ...")
        let publisher = try ChildProgram(
            [
                "log", "publish", input.path, "--store", folder.appendingPathComponent("publisher").path, "--bootstrap",
                bootstrap, "--json",
            ], isSilent: true)
        defer { publisher.stop() }
        let published = try publisher.readValue(Published.self)
        console.say("   key \(published.key)")

        console.say("3. A getter that knows only the key finds it through the DHT ...")
        let fetchedFile = folder.appendingPathComponent("fetched")
        let getter = try ChildProgram(
            [
                "log", "get", published.key, "--out", fetchedFile.path, "--store",
                folder.appendingPathComponent("getter").path, "--bootstrap", bootstrap, "--json",
            ])
        let fetched = try getter.readValue(Fetched.self)
        guard getter.wait() == 0 else { throw CommandFailure(.failure, "The getter failed.") }

        let isIdentical = files.contentsEqual(atPath: input.path, andPath: fetchedFile.path)
        let outcome = Outcome(
            key: published.key, byteLength: fetched.byteLength, blocks: published.length, seconds: fetched.seconds,
            bytesPerSecond: fetched.bytesPerSecond, identical: isIdentical)
        guard isIdentical else {
            throw CommandFailure(.invalidData, "What was fetched differs from what was published.")
        }
        try keepResult(fetchedFile, input)
        console.emit(
            outcome,
            text: "Identical: \(Format.bytes(outcome.byteLength)) in \(Format.count(outcome.blocks, "block")), found, "
                + "fetched and verified in \(Format.duration(seconds: outcome.seconds)) (\(Format.rate(outcome.bytesPerSecond)))."
        )
    }

    /// The file to publish: the one given, an archive of the folder given, or made-up data.
    private func prepare(in folder: URL, _ console: Console) throws -> URL {
        guard let path else {
            let file = folder.appendingPathComponent("made-up-data")
            var state: UInt64 = 1
            var bytes = Data(capacity: DemoCommand.madeUpByteCount)
            while bytes.count < DemoCommand.madeUpByteCount {
                // A linear congruential generator (Knuth, MMIX): incompressible enough, the same every time.
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                withUnsafeBytes(of: state.littleEndian) { bytes.append(contentsOf: $0) }
            }
            try bytes.write(to: file)
            return file
        }
        guard let kind = FileKind(at: path) else {
            throw CommandFailure(.storage, "There is no file or folder '\(path)'.")
        }
        let source = URL(fileURLWithPath: path).standardizedFileURL
        guard kind == .folder else { return source }
        let archive = folder.appendingPathComponent("\(source.lastPathComponent).tar")
        try runTar(["-cf", archive.path, "-C", source.deletingLastPathComponent().path, source.lastPathComponent])
        return archive
    }

    private func keepResult(_ fetched: URL, _ input: URL) throws {
        guard let keep else { return }
        let folder = URL(fileURLWithPath: keep)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        if input.pathExtension == "tar", path.map({ !$0.hasSuffix(".tar") }) ?? false {
            try runTar(["-xf", fetched.path, "-C", folder.path])
        } else {
            let target = folder.appendingPathComponent(input.lastPathComponent)
            try? FileManager.default.removeItem(at: target)
            try FileManager.default.moveItem(at: fetched, to: target)
        }
    }

    private func runTar(_ arguments: [String]) throws {
        let tar = try SystemProcess("/usr/bin/env", ["tar"] + arguments)
        guard tar.wait() == 0 else {
            throw CommandFailure(.storage, "The folder cannot be packed or unpacked by tar.")
        }
    }
}
