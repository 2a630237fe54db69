#if Daemon
    import ArgumentParser
    import DWeb
    import DWebDaemonProto
    import DWebDaemonServer
    import Foundation
    import SwiftProtobuf

    /// `dweb daemon topics`: what is done on the network for each log.
    struct DaemonTopicsCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "topics", abstract: "List what the daemon does on the network for each log, or change it.",
            discussion: """
                With a discovery key and neither --announce nor --lookup the log is left. A change is remembered across \
                restarts unless --no-remember is given. Seeds are announced and looked up in any case.
                """)

        @Argument(help: "The discovery key of a log, in hexadecimal or z-base-32.")
        var discoveryKey: String?

        @Flag(help: "Let others find the log here.")
        var announce = false

        @Flag(help: "Find others who have the log.")
        var lookup = false

        @Flag(inversion: .prefixedNo, help: "Whether the setting outlives the daemon.")
        var remember = true

        @OptionGroup var daemon: DaemonOptions
        @OptionGroup var output: OutputOptions

        private struct Line: Encodable {
            let discoveryKey: String
            let announce: Bool
            let lookup: Bool
            let remember: Bool
            let isJoined: Bool
            let isFlushed: Bool
            let seed: String?
        }

        func run() async throws {
            if let discoveryKey {
                let key = try DiscoveryKey(text: discoveryKey)
                _ = try await daemon.withDaemon { calls, _ in
                    try await calls.configure(
                        .with {
                            $0.discoveryKey = Data(key.bytes)
                            $0.announce = announce
                            $0.lookup = lookup
                            $0.remember = remember
                        }, options: ControlClient.options)
                }
                return
            }
            let topics = try await daemon.withDaemon { calls, _ in
                try await calls.listTopics(Dweb_V1_ListTopicsRequest(), options: ControlClient.options).topics
            }
            if topics.isEmpty { output.console.say("No topic is joined.") }
            for topic in topics {
                let line = Line(
                    discoveryKey: topic.discoveryKey.discoveryText, announce: topic.announce, lookup: topic.lookup,
                    remember: topic.remember, isJoined: topic.isJoined, isFlushed: topic.isFlushed,
                    seed: topic.seedKey.isEmpty ? nil : topic.seedKey.keyText)
                let roles = [topic.announce ? "announce" : nil, topic.lookup ? "lookup" : nil].compactMap { $0 }
                output.console.emit(
                    line,
                    text: "\(line.discoveryKey)  \(roles.joined(separator: "+"))  "
                        + (topic.isJoined ? "joined" : "joining") + (line.seed == nil ? "" : "  for a seed"))
            }
        }
    }
#endif
