import ArgumentParser
import DWeb
import Foundation

/// What a command did to a drive.
struct DriveChangeReport: Encodable {
    let key: String
    let version: UInt64
    let paths: [String]
}

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
        let handle: FileHandle
        if file == "-" {
            handle = .standardInput
        } else {
            guard let opened = FileHandle(forReadingAtPath: file) else {
                throw CommandFailure(.storage, "The file '\(file)' cannot be read.")
            }
            handle = opened
        }
        let attributes = DDrive.Attributes(
            isExecutable: executable || (file != "-" && FileManager.default.isExecutableFile(atPath: file)),
            metadata: metadata.flatMap { JSONDocument($0) })
        let pieces = InputPieces(handle)
        try await options.writing(createIfMissing: true) { drive in
            let entry = try await drive.write(from: pieces, to: path, attributes)
            console.emit(
                DriveChangeReport(key: drive.key.text, version: drive.version, paths: [entry.path]), text: drive.key.text)
            console.say("Wrote \(entry.path), \(Format.bytes(entry.byteCount)).")
        }
    }
}

/// `dweb drive link`.
struct DriveLinkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "link", abstract: "Write a link into a drive.")

    @OptionGroup var options: DriveWriteOptions

    @Argument(help: "The path of the link.")
    var path: String

    @Argument(help: "What it leads to; from the root of the drive if it starts with a slash.")
    var target: String

    func run() async throws {
        let (console, path, target) = (options.output.console, path, target)
        try await options.writing(createIfMissing: true) { drive in
            let entry = try await drive.link(path, to: target)
            console.emit(
                DriveChangeReport(key: drive.key.text, version: drive.version, paths: [entry.path]), text: drive.key.text)
        }
    }
}

/// `dweb drive rm`.
struct DriveRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Remove files from a drive. Older versions keep them.")

    @OptionGroup var options: DriveWriteOptions

    @Argument(help: "The paths.")
    var paths: [String]

    @Flag(name: .shortAndLong, help: "Remove folders with everything below them.")
    var recursive = false

    func run() async throws {
        let (console, paths, isRecursive) = (options.output.console, paths, recursive)
        try await options.writing { drive in
            var removed: [String] = []
            for path in paths {
                if path != "/", try await drive.remove(path) {
                    removed.append(path)
                    continue
                }
                guard isRecursive else {
                    throw CommandFailure(.failure, "There is no file at \(path); folders need --recursive.")
                }
                let all = try await drive.removeAll(in: path)
                guard !all.isEmpty else { throw CommandFailure(.failure, "There is nothing at \(path).") }
                removed += all
            }
            console.emit(
                DriveChangeReport(key: drive.key.text, version: drive.version, paths: removed),
                text: removed.joined(separator: "\n"))
        }
    }
}

/// `dweb drive mv`.
struct DriveMoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mv", abstract: "Move a file or folder within a drive, without copying content.")

    @OptionGroup var options: DriveWriteOptions

    @Argument(help: "What to move.")
    var path: String

    @Argument(help: "Its new path.")
    var newPath: String

    func run() async throws {
        let (console, path, newPath) = (options.output.console, path, newPath)
        try await options.writing { drive in
            let moved = try await drive.moveAll(path, to: newPath)
            console.emit(
                DriveChangeReport(key: drive.key.text, version: drive.version, paths: moved),
                text: moved.joined(separator: "\n"))
        }
    }
}

/// `dweb drive import`.
struct DriveImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Bring a local file or folder into a drive: only what differs is written.")

    @OptionGroup var options: DriveWriteOptions

    @Argument(help: "The local file or folder.", completion: .file())
    var source: String

    @Option(help: "The folder of the drive to write to; for a file, its path.")
    var to: String = "/"

    @Flag(help: "Remove from the drive what the folder lacks.")
    var prune = false

    @Flag(help: "Say what would be done, and do nothing.")
    var dryRun = false

    @Flag(help: "Make everything visible at once, as one version.")
    var atomic = false

    @Option(help: "Leave out what matches this pattern, in the format of .gitignore. Repeatable.")
    var ignore: [String] = []

    func run() async throws {
        let command = self
        let console = options.output.console
        var mirror = MirrorOptions()
        mirror.prefix = to
        mirror.prunes = prune
        mirror.isDryRun = dryRun
        mirror.isAtomic = atomic
        mirror.ignore = mirror.ignore.adding(IgnoreRules(ignore.joined(separator: "\n")))
        if dryRun { mirror.report = { event in console.emit(MirrorStep(event), text: MirrorStep(event).text) } }
        let settings = mirror
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: source, isDirectory: &isDirectory) else {
            throw CommandFailure(.storage, "There is no file or folder '\(source)'.")
        }
        let isFolder = isDirectory.boolValue
        let file = DriveReference.absolute(source)
        let path = to == "/" ? "/" + (file as NSString).lastPathComponent : to
        try await options.writing(createIfMissing: true) { drive in
            let started = Date()
            let transfer =
                isFolder ? drive.mirror(fromFolder: file, settings) : drive.mirror(fromFile: file, to: path, settings)
            let summary = try await TransferView.run(transfer, "Reading", console)
            let report = TransferReport(
                drive, summary, seconds: Date().timeIntervalSince(started), path: command.source)
            if !settings.isDryRun { console.emit(report, text: drive.key.text) }
            console.say(report.text.prefix(1).uppercased() + report.text.dropFirst() + ".")
            try TransferView.check(summary, console)
        }
    }
}

extension DDrive {
    /// Removes everything below a folder at once, and returns the paths.
    func removeAll(in folder: String) async throws -> [String] {
        var paths: [String] = []
        for try await entry in entries(in: folder) { paths.append(entry.path) }
        let batch = batch()
        for path in paths { try await batch.remove(path) }
        try await batch.flush()
        return paths
    }

    /// Moves a file, or everything below a folder at once, and returns the new paths.
    func moveAll(_ path: String, to newPath: String) async throws -> [String] {
        if path != "/", try await contains(path) {
            try await move(path, to: newPath)
            return [newPath]
        }
        let prefix = path.hasSuffix("/") ? path : path + "/"
        let newPrefix = newPath.hasSuffix("/") ? newPath : newPath + "/"
        guard !newPrefix.hasPrefix(prefix) else {
            throw CommandFailure(.usage, "A folder cannot be moved into itself.")
        }
        var paths: [String] = []
        for try await entry in entries(in: path) { paths.append(entry.path) }
        guard let first = paths.first else { throw CommandFailure(.failure, "There is nothing at \(path).") }
        guard first.hasPrefix(prefix) else {
            throw CommandFailure(.usage, "Name the folder by its full path, for example /\(path).")
        }
        let batch = batch()
        var moved: [String] = []
        for old in paths {
            let new = newPrefix + old.dropFirst(prefix.count)
            try await batch.move(old, to: new)
            moved.append(new)
        }
        try await batch.flush()
        return moved
    }
}
