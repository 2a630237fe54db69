import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb drive cat`.
struct DriveCatCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cat", abstract: "Write the content of a file of a drive to standard output.")

    @OptionGroup var options: DriveReadOptions

    @Argument(help: "The path; links are followed.")
    var path: String

    @Option(help: "Start at this byte.")
    var offset: UInt64 = 0

    @Option(help: "Write at most this many bytes.")
    var count: UInt64?

    func run() async throws {
        let (console, read, path) = (options.output.console, options.wait.read, path)
        let end = count.map { offset.addingReportingOverflow($0) }.map { $0.overflow ? UInt64.max : $0.partialValue }
        let range = offset..<(end ?? .max)
        try await options.reading { drive, _ in
            for try await piece in drive.content(of: path, range: range, links: .follow, read) {
                console.write(piece, to: .standardOutput)
            }
        }
    }
}
