import ArgumentParser
import DWeb
import Foundation

/// What a command did to a tree.
struct TreeChangeReport: Encodable {
    let key: String
    let version: UInt64
    let sequence: UInt64?
    let count: Int
}

/// `dweb tree put`.
struct TreePutCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "put", abstract: "Put a value under a key; makes the tree if the store has none of that name.",
        discussion: """
            The tree's key goes to standard output. With --batch, lines of standard input are put, each a key, a tab and \
            a value, all visible at once.
            """)

    @OptionGroup var options: TreeOptions

    @Argument(help: "The key.")
    var key: String?

    @Argument(help: "The value.")
    var value: String?

    @Flag(help: "Put the lines of standard input.")
    var batch = false

    @Option(help: "Replace only this value; a key without it, or with another one, stays as it is.")
    var ifValue: String?

    @Flag(help: "Put only if the key is not there yet.")
    var ifMissing = false

    func validate() throws {
        guard batch == (key == nil) else { throw ValidationError("Name a key and a value, or --batch.") }
        guard !batch || (ifValue == nil && !ifMissing) else { throw ValidationError("--batch has no conditions.") }
        guard ifValue == nil || !ifMissing else { throw ValidationError("--if-value and --if-missing exclude each other.") }
    }

    func run() async throws {
        let (console, encoding) = (options.output.console, options.encoding)
        if batch {
            try await options.writing { tree in
                let count = try await putLines(tree, encoding)
                console.emit(
                    TreeChangeReport(key: tree.key.text, version: tree.version, sequence: nil, count: count),
                    text: tree.key.text)
                console.say("Put \(Format.count(UInt64(count))) keys.")
            }
            return
        }
        let key = try encoding.bytes(key ?? "")
        let value = try value.map(encoding.bytes)
        let expected = try ifValue.map(encoding.bytes)
        let isNewOnly = ifMissing
        try await options.writing { tree in
            var sequence: UInt64?
            if expected != nil {
                // The condition is not asked for a key that does not exist.
                let batch = tree.batch()
                try await batch.begin()
                if let present = try await batch.get(key), present.value == expected {
                    try await batch.put(key, value)
                    sequence = try await batch.flush().first
                } else {
                    await batch.close()
                }
            } else {
                let never: ReplacementCondition = { _ in false }
                sequence = try await tree.put(key, value, ifReplacing: isNewOnly ? never : nil)
            }
            guard sequence != nil else {
                throw CommandFailure(.failure, "The key was left as it is: the condition does not hold.")
            }
            console.emit(
                TreeChangeReport(key: tree.key.text, version: tree.version, sequence: sequence, count: 1),
                text: tree.key.text)
        }
    }

    private func putLines(_ tree: DTree, _ encoding: TreeText) async throws -> Int {
        let batch = tree.batch()
        var count = 0
        var rest: [UInt8] = []
        func put(_ line: ArraySlice<UInt8>) async throws {
            guard !line.isEmpty else { return }
            guard let tab = line.firstIndex(of: 0x09) else {
                throw CommandFailure(.usage, "Line \(count + 1) has no tab between key and value.")
            }
            let texts = [line[..<tab], line[(tab + 1)...]].map { String(decoding: $0, as: UTF8.self) }
            try await batch.put(try encoding.bytes(texts[0]), try encoding.bytes(texts[1]))
            count += 1
        }
        do {
            for try await piece in InputPieces(.standardInput) {
                rest += piece
                var start = rest.startIndex
                while let newline = rest[start...].firstIndex(of: 0x0a) {
                    try await put(rest[start..<newline])
                    start = newline + 1
                }
                rest.removeSubrange(..<start)
            }
            try await put(rest[...])
            try await batch.flush()
        } catch {
            await batch.close()
            throw error
        }
        return count
    }
}

/// `dweb tree del`.
struct TreeDeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "del", abstract: "Delete a key.")

    @OptionGroup var options: TreeOptions

    @Argument(help: "The key.")
    var key: String

    func run() async throws {
        let (console, encoding) = (options.output.console, options.encoding)
        let key = try encoding.bytes(key)
        try await options.writing { tree in
            guard let sequence = try await tree.delete(key) else {
                throw CommandFailure(.failure, "The tree has no key '\(encoding.text(key))'.")
            }
            console.emit(
                TreeChangeReport(key: tree.key.text, version: tree.version, sequence: sequence, count: 1),
                text: tree.key.text)
        }
    }
}

/// `dweb tree history`.
struct TreeHistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "Show the changes of a tree in the order they were made, with full keys.")

    @OptionGroup var options: TreeOptions
    @OptionGroup var wait: WaitOptions

    @Option(help: "Start with this change; below zero counts from the end.")
    var from: Int64 = 1

    @Option(help: "Show at most this many.")
    var limit: Int?

    @Flag(name: .shortAndLong, help: "Start with the newest.")
    var reverse = false

    @Flag(help: "Stay, and show changes as they happen.")
    var live = false

    private struct Change: Encodable {
        let operation: String
        let entry: TreeEntryReport
    }

    func validate() throws {
        guard !(live && reverse) else { throw ValidationError("--live and --reverse exclude each other.") }
    }

    func run() async throws {
        let (console, read, encoding) = (options.output.console, wait.read, options.encoding)
        let (from, limit, reverse, live) = (from, limit, reverse, live)
        try await options.reading(wait, isServer: live) { tree in
            let history = tree.history(
                HistoryRange(gte: from), isReversed: reverse, limit: limit, isLive: live, read)
            for try await change in history {
                let report = TreeEntryReport(change.entry, encoding)
                console.emit(
                    Change(operation: change.isDeletion ? "del" : "put", entry: report),
                    text: "\(report.sequence)\t\(change.isDeletion ? "-" : "+")\t\(report.line)")
            }
        }
    }
}

/// A key in which two versions differ, for scripts.
private struct TreeDifferenceReport: Encodable {
    let operation: String
    let now: TreeEntryReport?
    let before: TreeEntryReport?

    init(_ step: DTree.Difference, _ encoding: TreeText) {
        now = step.left.map { TreeEntryReport($0, encoding) }
        before = step.right.map { TreeEntryReport($0, encoding) }
        operation = before == nil ? "add" : now == nil ? "remove" : "change"
    }

    var line: String {
        let sign = operation == "add" ? "+" : operation == "remove" ? "-" : "~"
        return "\(sign) \((now ?? before)?.line ?? "")"
    }
}

/// `dweb tree diff`.
struct TreeDiffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Show the keys in which two versions differ.")

    @OptionGroup var options: TreeOptions
    @OptionGroup var wait: WaitOptions

    @Argument(help: "The version to compare with.")
    var from: UInt64

    @Option(name: .customLong("at"), help: "Compare this version instead of the newest.")
    var version: UInt64?

    func run() async throws {
        let (console, read, encoding) = (options.output.console, wait.read, options.encoding)
        let (from, version) = (from, version)
        try await options.reading(wait) { tree in
            let view = version.map { tree.checkout($0) } ?? tree
            for try await step in view.differences(from: from, read) {
                let report = TreeDifferenceReport(step, encoding)
                console.emit(report, text: report.line)
            }
        }
    }
}

/// `dweb tree watch`.
struct TreeWatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Show changes of keys as they happen, until Ctrl-C.")

    @OptionGroup var options: TreeOptions
    @OptionGroup var wait: WaitOptions

    @Option(help: "Only keys that start with this.")
    var prefix: String = ""

    func run() async throws {
        let (console, read, encoding) = (options.output.console, wait.read, options.encoding)
        let range = prefix.isEmpty ? KeyRange.all : KeyRange(prefix: try encoding.bytes(prefix))
        try await options.reading(wait, isServer: true) { tree in
            console.say("Watching version \(tree.version) ...")
            for try await pair in tree.changes(in: range, read) {
                for try await step in pair.current.differences(from: pair.previous.version, in: range, read) {
                    let report = TreeDifferenceReport(step, encoding)
                    console.emit(report, text: report.line)
                }
            }
        }
    }
}
