import ArgumentParser

/// `dweb keys settle`.
struct KeysSettleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settle", abstract: "Allow writing to a restored store without asking peers.",
        discussion: "Only where no copy of its logs exists anywhere: otherwise their history is split for ever.")

    @OptionGroup var options: KeyStoreOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try RestoredStore(path: try options.path()).settle()
        output.console.say("The store can be written.")
    }
}
