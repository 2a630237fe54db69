import ArgumentParser
import DWeb
import Foundation

/// `dweb tree`: sorted key-value databases.
struct TreeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tree", abstract: "Read and change trees: sorted key-value databases on a log.",
        discussion: """
            A tree is named by its key, or by a name of one's own in the store. Trees of others are looked up in the \
            network; what was read stays in the store.
            """,
        subcommands: [
            TreeInfoCommand.self, TreeListCommand.self, TreeGetCommand.self, TreePutCommand.self,
            TreeDeleteCommand.self, TreeHistoryCommand.self, TreeDiffCommand.self, TreeWatchCommand.self,
        ])
}

/// How keys and values are written on the command line and shown.
enum TreeText: String, CaseIterable, ExpressibleByArgument {
    case utf8
    case hex

    /// The bytes that a text stands for.
    func bytes(_ text: String) throws -> [UInt8] {
        switch self {
        case .utf8: return Array(text.utf8)
        case .hex:
            guard let bytes = Hex.decode(text) else { throw ValidationError("'\(text)' is not hexadecimal.") }
            return bytes
        }
    }

    /// The text of bytes; bytes that are no text are shown in hexadecimal.
    func text(_ bytes: [UInt8]) -> String {
        switch self {
        case .utf8: String(validating: bytes, as: UTF8.self) ?? Hex.encode(bytes)
        case .hex: Hex.encode(bytes)
        }
    }
}

/// What commands about trees have in common.
struct TreeOptions: ParsableArguments {
    @Argument(help: "The tree: its key, or its name in the store.")
    var tree: String

    @Option(help: "Look only at keys of this sub-tree. Repeatable: sub-trees nest.")
    var sub: [String] = []

    @Option(help: "How keys and values are written: utf8 or hex.")
    var encoding = TreeText.utf8

    @OptionGroup var storeOptions: StoreOptions
    @OptionGroup var network: NetworkOptions
    @OptionGroup var output: OutputOptions

    /// The part of the tree that is meant.
    func view(_ tree: DTree) throws -> DTree {
        try sub.reduce(tree) { tree, name in tree.sub(try encoding.bytes(name)) }
    }

    /// Runs `body` with the tree to read it.
    func reading(
        _ wait: WaitOptions, isServer: Bool = false, _ body: @escaping @Sendable (DTree) async throws -> Void
    ) async throws {
        let options = self
        let work: @Sendable () async throws -> Void = {
            try await Node.withStore(path: options.storeOptions.path) { runtime, store in
                let isKey = DriveReference.key(in: options.tree)
                let database =
                    if let key = isKey {
                        try await store.database(key: key)
                    } else {
                        try await openLog(options.tree, in: store, createNamed: false)
                    }
                let tree = try options.view(DTree(database, runtime: runtime))
                guard !database.isWritable, !wait.offline else { return try await body(tree) }
                try await Node.with(runtime, store, network: options.network) { node in
                    try await DriveSession.joining(database.discoveryKey, of: node) {
                        try await DriveSession.awaitNewest(
                            database, node, timeout: .seconds(wait.timeout), options.output.console, what: "tree")
                        try await body(tree)
                    }
                }
            }
        }
        if isServer { try await servingUntilInterrupted(work) } else { try await untilInterrupted(work) }
    }

    /// Runs `body` with the tree to change it; makes it if there is none of that name.
    func writing(_ body: @escaping @Sendable (DTree) async throws -> Void) async throws {
        let options = self
        try await untilInterrupted {
            try await Node.withStore(path: options.storeOptions.path) { runtime, store in
                let database = try await openLog(options.tree, in: store, createNamed: true)
                guard database.isWritable else {
                    throw CommandFailure(
                        .storage, "The tree \(database.key.text) can only be changed where it was made.")
                }
                try await RestoredStore(path: options.storeOptions.path).prepareWriting(
                    database, runtime, store, network: options.network, options.output.console)
                try await body(try options.view(DTree(database, runtime: runtime)))
            }
        }
    }
}

/// An entry of a tree, for scripts.
struct TreeEntryReport: Encodable {
    let key: String
    let value: String?
    let sequence: UInt64

    init(_ entry: DTree.Entry, _ encoding: TreeText) {
        key = encoding.text(entry.key)
        value = entry.value.map { encoding.text($0) }
        sequence = entry.sequence
    }

    /// A line for people.
    var line: String { "\(key)\t\(value ?? "")" }
}

/// `dweb tree info`.
struct TreeInfoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "info", abstract: "Show a tree's key and version.")

    @OptionGroup var options: TreeOptions
    @OptionGroup var wait: WaitOptions

    private struct Info: Encodable {
        let key: String
        let discoveryKey: String
        let version: UInt64
        let writable: Bool
        let metadata: String?
        let peers: Int
    }

    func run() async throws {
        let (console, wait) = (options.output.console, wait)
        try await options.reading(wait) { tree in
            let header = try await tree.header(wait.read)
            let info = Info(
                key: tree.key.text, discoveryKey: tree.database.discoveryKey.hex, version: tree.version,
                writable: tree.isWritable, metadata: header?.metadata?.userData.map { TreeText.utf8.text($0) },
                peers: tree.database.peerCount)
            console.emit(
                info,
                text: """
                    key             \(info.key)
                    discovery key   \(info.discoveryKey)
                    version         \(info.version)
                    writable        \(info.writable ? "yes" : "no")
                    metadata        \(info.metadata ?? "-")
                    peers           \(info.peers)
                    """)
        }
    }
}

/// `dweb tree ls`.
struct TreeListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List keys and values in the order of keys.",
        discussion: "A line for each: the key, a tab and the value.")

    @OptionGroup var options: TreeOptions
    @OptionGroup var wait: WaitOptions

    @Option(help: "Only keys that start with this.")
    var prefix: String?

    @Option(help: "Only keys after this one.")
    var gt: String?

    @Option(help: "Only this key and those after it.")
    var gte: String?

    @Option(help: "Only keys before this one.")
    var lt: String?

    @Option(help: "Only this key and those before it.")
    var lte: String?

    @Option(help: "At most this many.")
    var limit: Int?

    @Flag(name: .shortAndLong, help: "Start with the last key.")
    var reverse = false

    @Option(name: .customLong("at"), help: "Read this version instead of the newest.")
    var version: UInt64?

    func validate() throws {
        guard prefix == nil || (gt ?? gte ?? lt ?? lte) == nil else {
            throw ValidationError("--prefix excludes other bounds.")
        }
    }

    func run() async throws {
        let (console, read, encoding) = (options.output.console, wait.read, options.encoding)
        let (limit, reverse, version) = (limit, reverse, version)
        let range =
            if let prefix {
                KeyRange(prefix: try encoding.bytes(prefix))
            } else {
                KeyRange(
                    gt: try gt.map(encoding.bytes), gte: try gte.map(encoding.bytes), lt: try lt.map(encoding.bytes),
                    lte: try lte.map(encoding.bytes))
            }
        try await options.reading(wait) { tree in
            let view = version.map { tree.checkout($0) } ?? tree
            for try await entry in view.entries(in: range, isReversed: reverse, limit: limit, read) {
                let report = TreeEntryReport(entry, encoding)
                console.emit(report, text: report.line)
            }
        }
    }
}

/// `dweb tree get`.
struct TreeGetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Write the value of a key to standard output.")

    @OptionGroup var options: TreeOptions
    @OptionGroup var wait: WaitOptions

    @Argument(help: "The key.")
    var key: String

    @Option(name: .customLong("at"), help: "Read this version instead of the newest.")
    var version: UInt64?

    func run() async throws {
        let (console, read, encoding) = (options.output.console, wait.read, options.encoding)
        let (key, version) = (try encoding.bytes(key), version)
        try await options.reading(wait) { tree in
            guard let entry = try await (version.map { tree.checkout($0) } ?? tree).get(key, read) else {
                throw CommandFailure(.failure, "The tree has no key '\(encoding.text(key))'.")
            }
            let report = TreeEntryReport(entry, encoding)
            console.emit(report, text: report.value ?? "")
        }
    }
}
