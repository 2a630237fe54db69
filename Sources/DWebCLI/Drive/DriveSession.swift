import DWeb
import DWebEssentials

/// A drive that a command works on, with the network where the drive is not written here.
struct DriveSession: Sendable {
    let drive: DDrive
    let store: Basestore
    /// Nil where the network is not used.
    let node: Node?

    /// Opens a drive to read it. The drive of somebody else is looked up in the network first, unless that is switched
    /// off.
    static func reading<Result: Sendable>(
        _ text: String, _ options: DriveStoreOptions, _ network: NetworkOptions, _ wait: WaitOptions,
        _ console: Console,
        _ body: @escaping @Sendable (DriveSession) async throws -> Result
    ) async throws -> Result {
        let place = DrivePlace(try DriveReference(text), options)
        switch place.reference {
        case .key: break
        case .name, .path:
            guard place.exists else {
                throw CommandFailure(
                    .storage, "There is no drive called '\(place.reference.title)', and that text is no key.")
            }
        }
        do {
            return try await reading(place, network, wait, console, body)
        } catch let error as BasestoreError where error.code == .locked {
            guard let copy = place.copy else { throw error }
            // Shared from this machine at this moment: fetched like from any other.
            return try await reading(copy, network, wait, console, body)
        }
    }

    private static func reading<Result: Sendable>(
        _ place: DrivePlace, _ network: NetworkOptions, _ wait: WaitOptions, _ console: Console,
        _ body: @escaping @Sendable (DriveSession) async throws -> Result
    ) async throws -> Result {
        try await Node.withStore(path: place.storePath, isMemory: place.isMemory) { runtime, store in
            let drive = try await place.open(in: store)
            place.note(drive)
            guard !drive.isWritable, !wait.offline else {
                return try await body(DriveSession(drive: drive, store: store, node: nil))
            }
            return try await Node.with(
                runtime, store, storePath: place.isMemory ? nil : place.storePath, network: network
            ) { node in
                try await joining(drive.discoveryKey, of: node, hints: drive.tree) {
                    try await awaitNewest(
                        drive.database, node, timeout: .seconds(wait.timeout), console, what: "drive")
                    return try await body(DriveSession(drive: drive, store: store, node: node))
                }
            }
        }
    }

    /// Opens a drive to change it, and creates it if there is none of that name.
    static func writing<Result: Sendable>(
        _ text: String, _ options: DriveStoreOptions, _ network: NetworkOptions, _ console: Console,
        createIfMissing: Bool = false, _ body: @escaping @Sendable (DriveSession) async throws -> Result
    ) async throws -> Result {
        let place = DrivePlace(try DriveReference(text), options)
        guard createIfMissing || place.exists || place.isMemory else {
            throw CommandFailure(.storage, "There is no drive '\(place.reference.title)' on this machine.")
        }
        return try await Node.withStore(path: place.storePath, isMemory: place.isMemory) { runtime, store in
            let drive = try await place.open(in: store)
            guard drive.isWritable else {
                throw CommandFailure(.storage, "The drive \(drive.key.text) can only be changed where it was made.")
            }
            place.note(drive)
            try await RestoredStore(path: place.storePath).prepareWriting(
                drive, runtime, store, network: network, console)
            return try await body(DriveSession(drive: drive, store: store, node: nil))
        }
    }

    /// Looks for peers of a log while `body` runs, and takes their hints about a tree in it.
    static func joining<Result: Sendable>(
        _ key: DiscoveryKey, of node: Node, hints tree: DTree? = nil,
        _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Result?.self) { group in
            if let tree {
                group.addTask {
                    try await tree.exchangeHints()
                    return nil
                }
            }
            group.addTask {
                try await node.networker.join(key, announce: false, lookup: true)
                return nil
            }
            group.addTask { try await body() }
            while let outcome = try await group.next() {
                if let outcome {
                    group.cancelAll()
                    return outcome
                }
            }
            throw CancellationError()
        }
    }

    /// Waits until the newest version is known from a peer; goes on with what is here if no peer appears in time.
    ///
    /// - Throws: ``CommandFailure`` with status `unavailable` if nothing is known at the end.
    static func awaitNewest(
        _ database: DDatabase, _ node: Node, timeout: Duration, _ console: Console, what: String
    ) async throws {
        console.say("Looking for peers of \(database.key.text) ...")
        let clock = ContinuousClock()
        let deadline = clock.now + timeout
        // A drive that is here already is not held up for the whole time where nobody has it.
        let patience = clock.now + min(timeout, .seconds(5))
        while clock.now < deadline {
            if database.peerCount > 0 {
                try await database.update(upTo: .seconds(5))
                if database.length > 0 { return }
            } else if database.length > 0, clock.now > patience,
                await node.networker.status(database.discoveryKey)?.isFlushed == true
            {
                break
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        if database.length > 0 {
            console.say("No peer was found. What is on this machine is used, which may be old.")
            return
        }
        throw CommandFailure(
            .unavailable,
            database.peerCount > 0
                ? "The peers that were found do not have this \(what) yet."
                : "No peer with this \(what) was found within \(Format.duration(seconds: timeout.seconds)).")
    }
}
