import ArgumentParser
import DWeb
import Foundation

/// `dweb drive info`.
struct DriveInfoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "info", abstract: "Show a drive's keys, version, and what of it is on this machine.")

    @OptionGroup var options: DriveReadOptions

    private struct Info: Encodable {
        let key: String
        let discoveryKey: String
        let contentKey: String
        let version: UInt64
        let writable: Bool
        let files: Int
        let links: Int
        let byteCount: UInt64
        let storedBytes: UInt64
        let peers: Int
    }

    func run() async throws {
        let (console, wait) = (options.output.console, options.wait)
        try await options.reading { drive, session in
            let content = try await drive.contentDatabase(wait.read)
            var (files, links, byteCount) = (0, 0, UInt64(0))
            for try await entry in drive.entries(in: "/", wait.read) {
                if entry.kind == .link { links += 1 } else { files += 1 }
                byteCount += entry.byteCount
            }
            let info = Info(
                key: drive.key.text, discoveryKey: drive.discoveryKey.hex, contentKey: content.key.text,
                version: drive.version, writable: drive.isWritable, files: files, links: links, byteCount: byteCount,
                storedBytes: try await session.store.diskUse(of: content.key).blockByteCount,
                peers: drive.database.peerCount)
            console.emit(
                info,
                text: """
                    key             \(info.key)
                    discovery key   \(info.discoveryKey)
                    content key     \(info.contentKey)
                    version         \(info.version)
                    writable        \(info.writable ? "yes" : "no")
                    files           \(info.files), and \(info.links) links
                    content         \(Format.bytes(info.byteCount)), \(Format.bytes(info.storedBytes)) of it here with older versions
                    peers           \(info.peers)
                    """)
        }
    }
}

/// `dweb drive ls`.
struct DriveListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List what is in a folder of a drive.",
        discussion: "Without --long, a name per line; folders end in a slash.")

    @OptionGroup var options: DriveReadOptions

    @Argument(help: "The folder.")
    var folder: String = "/"

    @Flag(name: .shortAndLong, help: "List everything below the folder, with full paths.")
    var recursive = false

    @Flag(name: .shortAndLong, help: "Show kind, size and target of each.")
    var long = false

    private struct Child: Encodable {
        let name: String
        let folder: Bool
        let entry: EntryReport?
    }

    func run() async throws {
        let (console, read, folder, isLong) = (options.output.console, options.wait.read, folder, long)
        let isRecursive = recursive
        try await options.reading { drive, _ in
            var count = 0
            if isRecursive {
                let entries = drive.entries(in: folder, read) { console.say("Left out: \($0.detail).") }
                for try await entry in entries {
                    count += 1
                    let report = EntryReport(entry)
                    console.emit(report, text: isLong ? report.line : entry.path)
                }
            } else {
                for try await child in drive.children(of: folder, read) {
                    count += 1
                    let report = child.entry.map { EntryReport($0) }
                    var text = child.name
                    if isLong {
                        text = report?.line ?? "d \(String().leftPadded(to: 12))  \(child.name)"
                    }
                    console.emit(
                        Child(name: child.name, folder: child.isFolder, entry: report),
                        text: text + (child.isFolder ? "/" : ""))
                }
            }
            guard count == 0, folder != "/" else { return }
            if try await drive.contains(folder, read) {
                throw CommandFailure(.failure, "\(folder) is a file: see 'dweb drive stat'.")
            }
            throw CommandFailure(.failure, "There is nothing in \(folder).")
        }
    }
}

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
                console.write(Data(piece), to: STDOUT_FILENO)
            }
        }
    }
}

/// `dweb drive diff`.
struct DriveDiffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Show the paths in which two versions of a drive differ.",
        discussion: "Compares the version given with the newest one, or the one given with --at.")

    @OptionGroup var options: DriveReadOptions

    @Argument(help: "The version to compare with.")
    var from: UInt64

    @Argument(help: "The folder.")
    var folder: String = "/"

    private struct Difference: Encodable {
        let operation: String
        let path: String
        let now: EntryReport?
        let before: EntryReport?
    }

    func run() async throws {
        let (console, read, from, folder) = (options.output.console, options.wait.read, from, folder)
        try await options.reading { drive, _ in
            for try await step in drive.differences(from: from, in: folder, read) {
                let (operation, sign) =
                    step.right == nil ? ("add", "+") : step.left == nil ? ("remove", "-") : ("change", "~")
                console.emit(
                    Difference(
                        operation: operation, path: step.path, now: step.left.map { EntryReport($0) },
                        before: step.right.map { EntryReport($0) }), text: "\(sign) \(step.path)")
            }
        }
    }
}

/// `dweb drive history`.
struct DriveHistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "Show the changes of a drive in the order they were made.")

    @OptionGroup var options: DriveReadOptions

    @Option(help: "Start with this change; below zero counts from the end.")
    var from: Int64 = 1

    @Option(help: "Show at most this many.")
    var limit: Int?

    @Flag(name: .shortAndLong, help: "Start with the newest.")
    var reverse = false

    @Flag(help: "Stay, and show changes as they happen.")
    var live = false

    private struct Change: Encodable {
        let sequence: UInt64
        let operation: String
        let path: String
        let entry: EntryReport?
    }

    func validate() throws {
        guard !(live && reverse) else { throw ValidationError("--live and --reverse exclude each other.") }
    }

    func run() async throws {
        let (console, read) = (options.output.console, options.wait.read)
        let (from, limit, reverse, live) = (from, limit, reverse, live)
        try await options.reading(isServer: live) { drive, _ in
            let history = drive.history(
                HistoryRange(gte: from), isReversed: reverse, limit: limit, isLive: live, read)
            for try await change in history {
                let operation = change.isRemoval ? "remove" : "put"
                let report = change.entry.map { EntryReport($0) }
                console.emit(
                    Change(sequence: change.sequence, operation: operation, path: change.path, entry: report),
                    text: "\(change.sequence)\t\(change.isRemoval ? "-" : "+")\t\(change.path)")
            }
        }
    }
}

/// `dweb drive watch`.
struct DriveWatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Show what changes in a folder of a drive, until Ctrl-C.")

    @OptionGroup var options: DriveReadOptions

    @Argument(help: "The folder.")
    var folder: String = "/"

    private struct Difference: Encodable {
        let version: UInt64
        let operation: String
        let path: String
    }

    func run() async throws {
        let (console, read, folder) = (options.output.console, options.wait.read, folder)
        try await options.reading(isServer: true) { drive, _ in
            console.say("Watching version \(drive.version) ...")
            for try await pair in drive.changes(in: folder, read) {
                for try await step in pair.current.differences(from: pair.previous.version, in: folder, read) {
                    let (operation, sign) =
                        step.right == nil ? ("add", "+") : step.left == nil ? ("remove", "-") : ("change", "~")
                    console.emit(
                        Difference(version: pair.current.version, operation: operation, path: step.path),
                        text: "\(pair.current.version)\t\(sign)\t\(step.path)")
                }
            }
        }
    }
}
