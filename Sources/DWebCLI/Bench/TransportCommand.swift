import ArgumentParser

/// `dweb bench transport`: the stream transport alone.
struct TransportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "transport", abstract: "Measure the stream transport alone, on loopback or between two hosts.",
        discussion: "Between two hosts, run 'listen' on one and 'send' on the other.",
        subcommands: [TransportLoopbackCommand.self, TransportListenCommand.self, TransportSendCommand.self],
        defaultSubcommand: TransportLoopbackCommand.self)
}
