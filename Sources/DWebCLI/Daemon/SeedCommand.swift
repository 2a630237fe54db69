#if Daemon
    import ArgumentParser
    import DWeb
    import DWebDaemonKit
    import DWebDaemonProto
    import DWebDaemonServer
    import Foundation
    import SwiftProtobuf

    /// `dweb seed`: keeps things available.
    struct SeedCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "seed", abstract: "Keep logs, trees and drives whole and available, or list what is kept.",
            discussion: """
                Without an argument it lists the seeds, how far they are and how many peers hold them whole. With \
                arguments it adds seeds and returns once they are remembered. An argument is a key, or a file with one \
                key per line: optionally 'log', 'tree' or 'drive' before it, 'priority=N' and a note after '#'. With \
                --follow the keys are live lists: trees whose keys are seeded as they come and go.

                The daemon does the work. Without a daemon this command does it, in the foreground until Ctrl-C; what \
                it was told is remembered, and the next daemon goes on with it.
                """)

        @Argument(help: ArgumentHelp("Keys, or files with one key per line.", valueName: "key-or-list"))
        var targets: [String] = []

        @Flag(help: "The keys are live lists to follow.")
        var follow = false

        @Option(help: "What the keys are: log, tree or drive. Default: found out.")
        var kind: String?

        @Option(help: "0 to 255; more is kept longer when space runs out. Default: 100.")
        var priority: UInt8?

        @Option(help: "A note for people, shown in lists.")
        var note: String = ""

        @Flag(help: "Fail where no daemon runs, instead of seeding in the foreground.")
        var requireDaemon = false

        @OptionGroup var start: DaemonStartOptions
        @OptionGroup var daemon: DaemonOptions
        @OptionGroup var output: OutputOptions

        func validate() throws {
            if let kind, SeedKind(name: kind) == nil { throw ValidationError("--kind takes log, tree or drive.") }
        }

        func run() async throws {
            let requests = try targets.flatMap { try read($0) }
            guard !requests.isEmpty else {
                guard targets.isEmpty else { throw CommandFailure(.usage, "The list names no key.") }
                return try await daemon.withDaemon { calls, _ in
                    SeedList(console: output.console).show(
                        try await calls.listSeeds(Dweb_V1_ListSeedsRequest(), options: ControlClient.options).seeds)
                }
            }
            switch DaemonPresence.probe(daemon.paths) {
            case .notRunning where !requireDaemon, .staleLock where !requireDaemon: try await seedHere(requests)
            case .notRunning, .staleLock, .starting, .wrongVersion, .running:
                try await daemon.withDaemon { calls, _ in try await add(requests, calls) }
            }
        }

        /// The targets that an argument names.
        private func read(_ argument: String) throws -> [SeedTarget] {
            if let key = try? PublicKey(text: argument) {
                return [
                    SeedTarget(
                        key: key, kind: kind.flatMap { SeedKind(name: $0) } ?? .automatic,
                        priority: priority ?? SeedTarget.defaultPriority, note: note)
                ]
            }
            guard let text = try? String(contentsOfFile: argument, encoding: .utf8) else {
                throw CommandFailure(.usage, "'\(argument)' is neither a key nor a file that can be read.")
            }
            var result: [SeedTarget] = []
            for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
                do throws(DaemonError) {
                    guard var target = try SeedTarget(line: line) else { continue }
                    if let kind, target.kind == .automatic { target.kind = SeedKind(name: kind) ?? .automatic }
                    if let priority, !line.contains("priority=") { target.priority = priority }
                    result.append(target)
                } catch {
                    throw CommandFailure(.usage, "\(argument), line \(number + 1): \(error.detail).")
                }
            }
            return result
        }

        private func add(_ targets: [SeedTarget], _ calls: ControlClient.Calls) async throws {
            if follow {
                for target in targets {
                    _ = try await calls.followList(
                        .with {
                            $0.key = Data(target.key.bytes)
                            $0.priority = UInt32(target.priority)
                        }, options: ControlClient.options)
                }
                output.console.say("Following \(targets.count == 1 ? "the list" : "\(targets.count) lists").")
                return
            }
            let request = Dweb_V1_SeedRequest.with {
                $0.targets = targets.map { target in
                    .with {
                        $0.key = Data(target.key.bytes)
                        $0.kind = Dweb_V1_SeedKind(target.kind)
                        $0.priority = UInt32(target.priority)
                        $0.note = target.note
                    }
                }
            }
            let added = try await calls.seed(request, options: ControlClient.options).added
            output.console.say(
                "\(added) \(added == 1 ? "key is" : "keys are") now seeded"
                    + (Int(added) < targets.count ? "; the others were already." : "."))
        }

        /// Is the daemon for as long as the command runs.
        private func seedHere(_ targets: [SeedTarget]) async throws {
            let console = output.console
            console.say(
                "No daemon runs: seeding here until Ctrl-C. To seed in the background: dweb daemon start --detach")
            let program = try start.program(daemon, isQuiet: output.quiet)
            let command = self
            let (ready, signal) = AsyncStream.makeStream(of: String.self, bufferingPolicy: .bufferingNewest(1))
            try await endingOnSignals {
                try await translatingDaemonErrors {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask {
                            defer { signal.finish() }
                            try await program.run { note in signal.yield(note.socket) }
                        }
                        for await socket in ready {
                            try await ControlClient.with(socket: socket) { try await command.add(targets, $0) }
                        }
                        try await group.waitForAll()
                    }
                }
            }
        }
    }

    /// `dweb unseed`: stops to keep things available.
    struct UnseedCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "unseed", abstract: "Stop to keep logs, trees, drives or live lists available.",
            discussion: """
                What is stored stays until it is purged. With --purge it is deleted as well, which cannot be undone; \
                logs that are written here are never purged.
                """)

        @Argument(help: "The keys.")
        var keys: [String]

        @Flag(help: "Delete what is stored of them.")
        var purge = false

        @OptionGroup var daemon: DaemonOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let keys = try keys.map { try PublicKey(text: $0) }
            let removed = try await daemon.withDaemon { calls, _ in
                var removed: UInt32 = 0
                var others: [PublicKey] = []
                for key in keys {
                    let answer = try await calls.unfollowList(
                        .with { $0.key = Data(key.bytes) }, options: ControlClient.options)
                    if answer.wasFollowed { removed += 1 } else { others.append(key) }
                }
                guard !others.isEmpty else { return removed }
                let request = Dweb_V1_UnseedRequest.with {
                    $0.keys = others.map { Data($0.bytes) }
                    $0.purge = purge
                }
                return removed + (try await calls.unseed(request, options: ControlClient.options).removed)
            }
            guard removed > 0 else { throw CommandFailure(.failure, "None of these keys is seeded.") }
            output.console.say("\(removed) \(removed == 1 ? "key is" : "keys are") no longer seeded.")
        }
    }

    /// Prints seeds.
    struct SeedList {
        let console: Console

        private struct Line: Encodable {
            let key: String
            let kind: String
            let state: String
            let problem: String?
            let note: String
            let priority: UInt32
            let blocks: UInt64
            let storedBlocks: UInt64
            let bytes: UInt64
            let storedBytes: UInt64
            let downloadedBytes: UInt64
            let uploadedBytes: UInt64
            let peers: Int
            let wholeCopies: Int
            let lastActive: UInt64
            let lists: [String]
        }

        func show(_ seeds: [Dweb_V1_Seed]) {
            if seeds.isEmpty { console.say("Nothing is seeded.") }
            for seed in seeds {
                let line = Line(
                    key: seed.key.keyText, kind: SeedList.kind(seed.kind), state: SeedList.state(seed.state),
                    problem: seed.problem.isEmpty ? nil : seed.problem, note: seed.note, priority: seed.priority,
                    blocks: seed.blocks, storedBlocks: seed.storedBlocks, bytes: seed.bytes,
                    storedBytes: seed.storedBytes, downloadedBytes: seed.downloadedBytes,
                    uploadedBytes: seed.uploadedBytes, peers: seed.holders.count,
                    wholeCopies: seed.holders.count { $0.isComplete }, lastActive: seed.lastActive,
                    lists: seed.lists.map(\.keyText))
                let size =
                    line.storedBytes == line.bytes
                    ? Format.bytes(line.bytes) : "\(Format.bytes(line.storedBytes)) of \(Format.bytes(line.bytes))"
                let copies = "\(line.wholeCopies) whole \(line.wholeCopies == 1 ? "copy" : "copies") at peers"
                console.emit(
                    line,
                    text: "\(line.key)  \(line.kind)  \(line.state)  \(size)  \(copies)"
                        + (line.note.isEmpty ? "" : "  # \(line.note)")
                        + (line.problem.map { "\n    \($0)" } ?? ""))
            }
        }

        static func kind(_ kind: Dweb_V1_SeedKind) -> String {
            switch kind {
            case .log: "log"
            case .tree: "tree"
            case .drive: "drive"
            case .unspecified, .UNRECOGNIZED: "unknown"
            }
        }

        static func state(_ state: Dweb_V1_Seed.State) -> String {
            switch state {
            case .searching: "searching"
            case .downloading: "downloading"
            case .complete: "complete"
            case .evicted: "no room"
            case .paused: "paused"
            case .failed: "failed"
            case .unspecified, .UNRECOGNIZED: "unknown"
            }
        }
    }
#endif
