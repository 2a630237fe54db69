import ArgumentParser
import DWeb

/// `dweb tree`: sorted key-value databases.
struct TreeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tree", abstract: "Read and change trees: sorted key-value databases on a log.",
        discussion: """
            A tree is named by its key, or by a name of one's own in the store. Trees of others are looked up in the \
            network; what was read stays in the store.
            """,
        subcommands: [
            TreeInfoCommand.self, TreeListCommand.self, TreeGetCommand.self, TreePutCommand.self,
            TreeDeleteCommand.self, TreeHistoryCommand.self, TreeDiffCommand.self, TreeWatchCommand.self,
        ])
}
