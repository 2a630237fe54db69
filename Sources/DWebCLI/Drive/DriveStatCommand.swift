import ArgumentParser
import DWeb

/// `dweb drive stat`.
struct DriveStatCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stat", abstract: "Show what a drive says about a path, or about everything below a folder.")

    @OptionGroup var options: DriveReadOptions

    @Argument(help: "The path.")
    var path: String

    private struct Folder: Encodable {
        let path: String
        let kind = "folder"
        let files: Int
        let byteCount: UInt64
    }

    func run() async throws {
        let (console, read, path) = (options.output.console, options.wait.read, path)
        try await options.reading { drive, _ in
            if path != "/", let entry = try await drive.entry(at: path, read) {
                let report = EntryReport(
                    entry, byteCount: try await drive.byteCount(of: entry, read),
                    isStored: try await drive.isStored(entry.path))
                var lines = [
                    "path        \(report.path)", "kind        \(report.kind)", "size        \(report.byteCount) bytes",
                    "executable  \(report.executable ? "yes" : "no")", "change      \(report.sequence)",
                    "stored      \(report.stored == true ? "yes" : "no")",
                ]
                if let link = report.link { lines.append("target      \(link)") }
                if let metadata = report.metadata { lines.append("metadata    \(metadata)") }
                console.emit(report, text: lines.joined(separator: "\n"))
                return
            }
            var (files, byteCount) = (0, UInt64(0))
            for try await entry in drive.entries(in: path, read) {
                files += 1
                byteCount += entry.byteCount
            }
            guard files > 0 else { throw CommandFailure(.failure, "There is nothing at \(path).") }
            let folder = Folder(path: path, files: files, byteCount: byteCount)
            console.emit(
                folder,
                text: "path        \(path)\nkind        folder\nfiles       \(files)\nsize        \(byteCount) bytes")
        }
    }
}
