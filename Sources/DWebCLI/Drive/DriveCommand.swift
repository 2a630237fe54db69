import ArgumentParser

/// `dweb drive`: everything about drives beside sharing them.
struct DriveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drive", abstract: "Read and change drives: folders that many can read and one can write.",
        discussion: """
            A drive is named by its key, by the path that 'dweb share' shares, or by a name of one's own. Drives of others \
            are looked up in the network; what was read stays on this machine.
            """,
        subcommands: [
            DriveInfoCommand.self, DriveListCommand.self, DriveStatCommand.self, DriveCatCommand.self,
            DrivePutCommand.self, DriveLinkCommand.self, DriveMoveCommand.self, DriveRemoveCommand.self,
            DriveDiffCommand.self, DriveHistoryCommand.self, DriveWatchCommand.self, DriveImportCommand.self,
            DriveExportCommand.self, DriveDownloadCommand.self, DriveClearCommand.self, DrivePurgeCommand.self,
            DriveServeCommand.self,
        ])
}
