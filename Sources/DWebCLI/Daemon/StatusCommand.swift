#if Daemon
    import ArgumentParser
    import DWebDaemonProto
    import DWebDaemonServer
    import Foundation
    import GRPCCore

    /// `dweb status` and `dweb daemon status`: whether a daemon runs, and how it is.
    struct StatusCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "status", abstract: "Say whether the daemon runs, and how it is.",
            discussion: """
                Tells apart a daemon that runs, one that is starting, one of another version, none, and none with what a \
                killed one left behind. One that runs and does not answer within three seconds is said to hang. The exit \
                code is 0 if it runs and answers, 8 if not.
                """)

        @OptionGroup var daemon: DaemonOptions
        @OptionGroup var output: OutputOptions

        func run() async throws { try await DaemonReport(daemon: daemon, console: output.console).show() }
    }

    /// The same below `dweb daemon`.
    struct DaemonStatusCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "status", abstract: StatusCommand.configuration.abstract,
            discussion: StatusCommand.configuration.discussion)

        @OptionGroup var daemon: DaemonOptions
        @OptionGroup var output: OutputOptions

        func run() async throws { try await DaemonReport(daemon: daemon, console: output.console).show() }
    }

    /// Shows how a daemon is.
    struct DaemonReport {
        let daemon: DaemonOptions
        let console: Console

        private struct Status: Encodable {
            var state: String
            var processID: Int32?
            var version: String?
            var started: UInt64?
            var dashboard: String?
            var health: String?
            var problems: [String]?
            var publicKey: String?
            var localAddress: String?
            var publicAddress: String?
            var isOnline: Bool?
            var isFirewalled: Bool?
            var routingTable: UInt32?
            var peers: UInt32?
            var topics: UInt32?
            var seeds: UInt32?
            var completeSeeds: UInt32?
            var storedBytes: UInt64?
            var downloadedBytes: UInt64?
            var uploadedBytes: UInt64?
            var downloadRate: UInt64?
            var uploadRate: UInt64?
            var openLogs: UInt32?
        }

        func show() async throws {
            let presence = DaemonPresence.probe(daemon.paths)
            guard case .running(let note) = presence else {
                var status = Status(state: presence.word)
                if case .starting(let processID) = presence { status.processID = processID }
                if case .wrongVersion(let note) = presence {
                    status.processID = note.processID
                    status.version = note.version
                }
                console.emit(status, text: presence.word)
                throw CommandFailure(.noDaemon, presence.sentence(daemon.paths))
            }
            do {
                let answer = try await ControlClient.with(socket: note.socket) { calls in
                    try await calls.getStatus(Dweb_V1_GetStatusRequest(), options: ControlClient.promptOptions)
                }
                console.emit(status(note, answer), text: text(note, answer))
            } catch let error as RPCError where error.code == .deadlineExceeded || error.code == .unavailable {
                let word = "not answering"
                console.emit(Status(state: word, processID: note.processID, version: note.version), text: word)
                throw CommandFailure(
                    .noDaemon,
                    "The daemon (process \(note.processID)) runs but has not answered within "
                        + "\(ControlClient.promptTimeout.components.seconds) s. Its log may say why: \(daemon.paths.log)"
                )
            }
        }

        private func status(_ note: DaemonNote, _ answer: Dweb_V1_GetStatusResponse) -> Status {
            Status(
                state: "running", processID: note.processID, version: answer.version, started: answer.started,
                dashboard: answer.dashboardURL.isEmpty ? nil : answer.dashboardURL,
                health: healthWord(answer.health.state), problems: answer.health.problems,
                publicKey: answer.network.publicKey.keyText, localAddress: answer.network.localAddress,
                publicAddress: answer.network.publicAddress, isOnline: answer.network.isOnline,
                isFirewalled: answer.network.isFirewalled, routingTable: answer.network.routingTableSize,
                peers: answer.network.connectedPeers, topics: answer.totals.topics, seeds: answer.totals.seeds,
                completeSeeds: answer.totals.completeSeeds, storedBytes: answer.totals.storedBytes,
                downloadedBytes: answer.totals.downloadedBytes, uploadedBytes: answer.totals.uploadedBytes,
                downloadRate: answer.totals.downloadRate, uploadRate: answer.totals.uploadRate,
                openLogs: answer.totals.openLogs)
        }

        private func text(_ note: DaemonNote, _ answer: Dweb_V1_GetStatusResponse) -> String {
            let uptime = Date().timeIntervalSince1970 - Double(answer.started) / 1_000
            let totals = answer.totals
            let network = answer.network
            let reach =
                network.localAddress.isEmpty
                ? "not in use" : network.isOnline ? "online at \(network.localAddress)" : "no answers"
            var lines = [
                "running     process \(note.processID), version \(answer.version), up \(Format.duration(seconds: uptime))",
                "health      \(healthWord(answer.health.state))",
            ]
            for problem in answer.health.problems { lines.append("            - \(problem).") }
            lines += [
                "network     \(reach), "
                    + Format.count(network.connectedPeers, "peer") + ", " + Format.count(totals.topics, "topic") + ", "
                    + Format.count(network.routingTableSize, "known node"),
                "seeds       \(totals.seeds), \(totals.completeSeeds) of them complete, "
                    + "\(Format.bytes(totals.storedBytes)) stored",
                "traffic     down \(Format.rate(Double(totals.downloadRate))), up \(Format.rate(Double(totals.uploadRate))); "
                    + "\(Format.bytes(totals.downloadedBytes)) and \(Format.bytes(totals.uploadedBytes)) since the start",
                "store       \(answer.storePath)",
                "identity    \(network.publicKey.keyText)",
            ]
            if !answer.dashboardURL.isEmpty { lines.append("dashboard   \(answer.dashboardURL)") }
            return lines.joined(separator: "\n")
        }

        private func healthWord(_ state: Dweb_V1_Health.State) -> String {
            switch state {
            case .healthy: "healthy"
            case .degraded: "needs attention"
            case .readOnly: "read-only"
            case .unspecified, .UNRECOGNIZED: "unknown"
            }
        }
    }
#endif
