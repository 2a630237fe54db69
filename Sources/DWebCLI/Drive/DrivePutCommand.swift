import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb drive put`.
struct DrivePutCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "put", abstract: "Write files into a drive; makes the drive if there is none of that name.",
        discussion: """
            Several files go into the folder PATH, each under its own name, as one change: where one cannot be read, \
            the drive stays as it is. The drive's key goes to standard output. Serve the drive with 'dweb drive serve'.
            """)

    @OptionGroup var options: DriveWriteOptions

    @Argument(help: "The path in the drive; a folder if it ends with a slash or there are several files.")
    var path: String

    @Argument(help: "The files to write; - reads standard input.", completion: .file())
    var files: [String] = ["-"]

    @Flag(help: "Mark it as a program. Default: as the file is.")
    var executable = false

    @Option(help: "What to keep with the file, as JSON.")
    var metadata: String?

    func validate() throws {
        if let metadata, JSONDocument(metadata) == nil { throw ValidationError("--metadata is no JSON.") }
        guard isFolder else { return }
        guard !files.contains("-") else { throw ValidationError("Standard input needs the path of a file.") }
        let names = Set(files.map(DrivePutCommand.name))
        guard names.count == files.count else { throw ValidationError("Two of the files have the same name.") }
        guard names.isDisjoint(with: ["", ".", ".."]) else { throw ValidationError("Name files, not folders.") }
    }

    private var isFolder: Bool { files.count > 1 || path.hasSuffix("/") }

    private static func name(of file: String) -> String {
        file.split(separator: "/").last.map(String.init) ?? ""
    }

    func run() async throws {
        let (console, files) = (options.output.console, files)
        let folder = isFolder ? (path.hasSuffix("/") ? path : path + "/") : nil
        let (path, isExecutable, metadata) = (path, executable, metadata.flatMap { JSONDocument($0) })
        // All of them can be opened before a drive is made.
        for file in files where file != "-" { try FileDescriptor.opening(file).close() }
        try await options.writing(createIfMissing: true) { drive in
            let batch = drive.batch()
            var entries: [DDrive.Entry] = []
            do {
                for file in files {
                    let input = file == "-" ? .standardInput : try FileDescriptor.opening(file)
                    defer { if file != "-" { try? input.close() } }
                    let isProgram = file != "-" && FileManager.default.isExecutableFile(atPath: file)
                    let target = folder.map { $0 + DrivePutCommand.name(of: file) } ?? path
                    try await batch.write(
                        from: InputPieces(input), to: target,
                        DDrive.Attributes(isExecutable: isExecutable || isProgram, metadata: metadata))
                    if let entry = try await batch.entry(at: target) { entries.append(entry) }
                }
                try await batch.flush()
            } catch {
                await batch.close()
                throw error
            }
            console.emit(
                DriveChangeReport(key: drive.key.text, version: drive.version, paths: entries.map(\.path)),
                text: drive.key.text)
            for entry in entries { console.say("Wrote \(entry.path), \(Format.bytes(entry.byteCount)).") }
        }
    }
}
