import ArgumentParser
import DWeb

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
                    try await DriveSession.joining(database.discoveryKey, of: node, hints: tree) {
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
