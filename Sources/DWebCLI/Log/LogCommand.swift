import ArgumentParser

/// `dweb log`: single logs.
struct LogCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Publish, fetch and follow single logs.",
        subcommands: [
            LogPublishCommand.self, LogGetCommand.self, LogTailCommand.self, LogAppendCommand.self, LogInfoCommand.self,
        ])
}
