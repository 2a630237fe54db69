import ArgumentParser
import DWeb

/// `dweb keys`: the secret from which everything one publishes follows.
struct KeysCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "Export and restore the secret key of a store.",
        discussion: """
            Who has this key can write everything that the store publishes. A store that was restored refuses to write to a \
            log until a peer has told its newest length: writing earlier would split its history for ever.
            """,
        subcommands: [KeysExportCommand.self, KeysImportCommand.self, KeysSettleCommand.self])
}
