import DWeb
import DWebEssentials

/// The mark of a store whose keys were restored: its logs may be longer elsewhere, and writing to one before its newest
/// length is known would split its history for ever.
struct RestoredStore: Sendable {
    /// The store's directory; nil for memory, which is never restored.
    let path: String?

    private var markerPath: String? { path.map { $0 + "/RESTORED" } }

    /// Marks the store.
    func mark() throws {
        guard let markerPath, FileManager.default.createFile(atPath: markerPath, contents: Data()) else {
            throw CommandFailure(.storage, "The store cannot be marked as restored.")
        }
    }

    /// Takes the mark away: the person vouches that no copy is newer.
    func settle() throws {
        guard let markerPath, FileManager.default.fileExists(atPath: markerPath) else { return }
        try FileManager.default.removeItem(atPath: markerPath)
    }

    /// Whether a log must be caught up before it is written.
    func isUnsettled(_ key: PublicKey) -> Bool {
        guard let markerPath, let text = try? String(contentsOfFile: markerPath, encoding: .utf8) else { return false }
        return !text.split(separator: "\n").contains(Substring(key.text))
    }

    /// Makes sure that logs may be written: of a restored store, a peer must have told their newest length first.
    ///
    /// - Throws: ``CommandFailure`` with status `unavailable` if no peer tells.
    func prepareWriting(
        _ drive: DDrive, _ runtime: DWebRuntime, _ store: Basestore, network: NetworkOptions, _ console: Console
    ) async throws {
        guard isUnsettled(drive.key) else { return }
        try await catchingUp(drive.database, runtime, store, network, console) {
            let content = try await drive.contentDatabase(.wait(upTo: RestoredStore.patience))
            try await RestoredStore.catchUp(content)
        }
    }

    /// As for drives, for a single log.
    func prepareWriting(
        _ database: DDatabase, _ runtime: DWebRuntime, _ store: Basestore, network: NetworkOptions, _ console: Console
    ) async throws {
        guard isUnsettled(database.key) else { return }
        try await catchingUp(database, runtime, store, network, console) {}
    }

    private static let patience: Duration = .seconds(30)

    private func catchingUp(
        _ database: DDatabase, _ runtime: DWebRuntime, _ store: Basestore, _ network: NetworkOptions,
        _ console: Console, _ more: @escaping @Sendable () async throws -> Void
    ) async throws {
        console.say("The keys of this store were restored; asking peers how far the log had come ...")
        // Not the store's own identity: the machine that it comes from may still be online with it.
        let identity = KeyPair(seed: runtime.entropy.seed())
        try await Node.with(runtime, store, network: network, identity: identity) { node in
            try await DriveSession.joining(database.discoveryKey, of: node) {
                try await RestoredStore.catchUp(database)
                try await more()
            }
        }
        console.say("The log had \(Format.count(database.length, "block")). It can be written again.")
        guard let markerPath, FileKind(at: markerPath) == .file else { return }
        let file = try FileDescriptor.open(markerPath, .writeOnly, options: [.append])
        try file.closeAfter { _ = try file.writeAll((database.key.text + "\n").utf8) }
    }

    /// Waits until a peer has told the log's length, and takes it over.
    private static func catchUp(_ database: DDatabase) async throws {
        let clock = ContinuousClock()
        let deadline = clock.now + patience
        while clock.now < deadline {
            if database.peerCount > 0 {
                try await database.update(upTo: .seconds(10))
                let peers = try await database.peers()
                if let longest = peers.filter(\.isKnown).map(\.length).max(), longest > 0, database.length >= longest {
                    return
                }
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw CommandFailure(
            .unavailable,
            "The keys of this store were restored, and no peer told how far the log had come. Writing now could split "
                + "its history. Try again when a peer is online, or run 'dweb keys settle' if no copy exists anywhere.")
    }
}
