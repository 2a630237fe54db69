import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb bench share`: how long a folder takes until it can be shared.
struct BenchShareCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "share", abstract: "Measure how long a folder of small files takes to be read into a drive.",
        discussion: "Makes a folder of files of about 1 kB, reads it, and reads it once more unchanged.")

    @Option(help: "The number of files.")
    var files: Int = 10_000

    @Option(help: "One more file of this many megabytes.")
    var large: Int = 0

    @OptionGroup var output: OutputOptions

    private struct Figures: Encodable {
        let files: Int
        let largeMegabytes: Int
        let seconds: Double
        let againSeconds: Double
        let rememberedSeconds: Double
        let processorSeconds: Double
        let peakMemoryByteCount: UInt64
    }

    func run() async throws {
        let manager = FileManager.default
        let folder = manager.temporaryDirectory.appendingPathComponent("dweb-bench-\(UUID().uuidString)").path
        defer { try? manager.removeItem(atPath: folder) }
        try fill(folder)
        let console = output.console
        let (files, large) = (files, large)
        try await BenchStore.with(isMemory: false) { runtime, store in
            let drive = try await DDrive.open(in: store)
            var options = MirrorOptions()
            options.memory = FolderMemory()
            let settings = options
            let processor = ProcessFigures.processorSeconds
            let seconds = try await BenchStore.seconds { try await drive.mirror(fromFolder: folder, settings).run() }
            let used = ProcessFigures.processorSeconds - processor
            let again = try await BenchStore.seconds { try await drive.mirror(fromFolder: folder).run() }
            let remembered = try await BenchStore.seconds {
                try await drive.mirror(fromFolder: folder, settings).run()
            }
            let figures = Figures(
                files: files, largeMegabytes: large, seconds: seconds, againSeconds: again,
                rememberedSeconds: remembered, processorSeconds: used,
                peakMemoryByteCount: ProcessFigures.peakMemoryByteCount)
            console.emit(
                figures,
                text: "\(files) files read in \(Format.duration(seconds: seconds)), unchanged once more in "
                    + "\(Format.duration(seconds: again)), remembered in \(Format.duration(seconds: remembered)); "
                    + "peak memory \(figures.peakMemoryByteCount >> 20) MiB")
        }
    }

    private func fill(_ folder: String) throws {
        let manager = FileManager.default
        for index in 0..<files {
            let parent = "\(folder)/\(index % 100)/\(index % 7)"
            if index < 700 { try manager.createDirectory(atPath: parent, withIntermediateDirectories: true) }
            let line = "file \(index) of a folder that is made up\n"
            let content = String(repeating: line, count: 10 + index % 40)
            guard manager.createFile(atPath: "\(parent)/\(index).txt", contents: Data(content.utf8)) else {
                throw CommandFailure(.storage, "The folder cannot be made.")
            }
        }
        guard large > 0 else { return }
        let file = try FileDescriptor.open(
            folder + "/large", .writeOnly, options: [.create, .truncate], permissions: [.ownerReadWrite])
        defer { try? file.close() }
        var random = SystemRandomNumberGenerator()
        let megabyte = Data((0..<131_072).flatMap { _ in withUnsafeBytes(of: random.next()) { Array($0) } })
        for index in 0..<large {
            var piece = megabyte
            piece[0] = UInt8(truncatingIfNeeded: index)
            piece[1] = UInt8(truncatingIfNeeded: index >> 8)
            try file.writeAll(piece)
        }
    }
}
