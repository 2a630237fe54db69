import ArgumentParser

/// `dweb dht`: the distributed hash table by hand.
struct DHTCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dht", abstract: "Ask the DHT, store in it, or run a node of it.",
        subcommands: [
            DHTPingCommand.self, DHTFindCommand.self, DHTLookupCommand.self, DHTPeersCommand.self,
            DHTAnnounceCommand.self, DHTPutCommand.self, DHTGetCommand.self, DHTNodeCommand.self,
            DHTBootstrapCommand.self,
        ])
}
