import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb drive put`.
struct DrivePutCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "put", abstract: "Write a file into a drive; makes the drive if there is none of that name.",
        discussion: "The drive's key goes to standard output. Serve the drive with 'dweb drive serve'.")

    @OptionGroup var options: DriveWriteOptions

    @Argument(help: "The path in the drive.")
    var path: String

    @Argument(help: "The file to write; - reads standard input.", completion: .file())
    var file: String = "-"

    @Flag(help: "Mark it as a program. Default: as the file is.")
    var executable = false

    @Option(help: "What to keep with the file, as JSON.")
    var metadata: String?

    func validate() throws {
        if let metadata, JSONDocument(metadata) == nil { throw ValidationError("--metadata is no JSON.") }
    }

    func run() async throws {
        let (console, path, file) = (options.output.console, path, file)
        let input = file == "-" ? .standardInput : try FileDescriptor.opening(file)
        let attributes = DDrive.Attributes(
            isExecutable: executable || (file != "-" && FileManager.default.isExecutableFile(atPath: file)),
            metadata: metadata.flatMap { JSONDocument($0) })
        let pieces = InputPieces(input)
        try await options.writing(createIfMissing: true) { drive in
            let entry = try await drive.write(from: pieces, to: path, attributes)
            console.emit(
                DriveChangeReport(key: drive.key.text, version: drive.version, paths: [entry.path]),
                text: drive.key.text)
            console.say("Wrote \(entry.path), \(Format.bytes(entry.byteCount)).")
        }
    }
}
