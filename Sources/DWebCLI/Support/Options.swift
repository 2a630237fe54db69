import ArgumentParser
import DWeb
import DWebEssentials

/// How the program speaks.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print data as JSON, one object per line.")
    var json = false

    @Flag(name: .shortAndLong, help: "Say nothing on standard error but errors.")
    var quiet = false

    var console: Console { Console(isJSON: json, isQuiet: quiet) }
}

/// Where the logs are kept.
struct StoreOptions: ParsableArguments {
    @Option(name: .customLong("store"), help: "The directory of the store. Default: $DWEB_STORE, else ~/.dweb/store.")
    var directory: String?

    /// The directory, with the defaults applied.
    var path: String {
        if let directory { return directory }
        if let directory = ProcessInfo.processInfo.environment["DWEB_STORE"], !directory.isEmpty { return directory }
        return HomeFolder.appending(".dweb/store")
    }
}

/// How the network is reached.
struct NetworkOptions: ParsableArguments {
    @Option(
        name: .customLong("bootstrap"),
        help: "A DHT node to start from, as host:port. Repeatable. Default: the public network's nodes.")
    var bootstrapTexts: [String] = []

    @Option(help: "The UDP port to listen on. Default: 49737 or the next free one.")
    var port: UInt16?

    @Option(
        help: "The local address to bind, for example 127.0.0.1. Default: all; loopback if every bootstrap node is.")
    var host: String?

    @Option(
        name: .customLong("relay"),
        help: "A blind relay, by its key, for peers that cannot be reached directly. Repeatable. Default: none.")
    var relayTexts: [String] = []

    @Flag(
        name: .customLong("no-local-network"),
        help: "Do not look for peers in the local network, nor be found there; only the DHT is used.")
    var isLocalNetworkOff = false

    /// The keys of the relays.
    func relays() throws -> [PublicKey] { try relayTexts.map { try PublicKey(text: $0) } }

    /// The bootstrap addresses, or nil for the public ones.
    func bootstrapAddresses() throws -> [SocketAddress]? {
        guard !bootstrapTexts.isEmpty else { return nil }
        return try bootstrapTexts.map { text in
            let named = text.hasPrefix("localhost:") ? "127.0.0.1:" + text.dropFirst("localhost:".count) : text
            guard let address = SocketAddress(text: named), address.port > 0 else {
                throw ValidationError("'\(text)' is no address of the form host:port.")
            }
            return address
        }
    }

    /// The address to bind: loopback where the whole network is on loopback.
    func bindHost() throws -> String {
        if let host { return host }
        let addresses = try bootstrapAddresses() ?? []
        return !addresses.isEmpty && addresses.allSatisfy { $0.ipv4Number >> 24 == 127 } ? "127.0.0.1" : "0.0.0.0"
    }

    /// The networker's form of these options.
    func configuration() throws -> SwarmNetworker.Configuration {
        var configuration = SwarmNetworker.Configuration()
        configuration.bootstrap = try bootstrapAddresses()
        configuration.port = port
        // A port that was asked for is taken or refused, never exchanged for another.
        configuration.isAnyPortAllowed = port == nil
        configuration.host = try bindHost()
        configuration.relays = try relays()
        configuration.isLocalDiscoveryEnabled = !isLocalNetworkOff
        return configuration
    }
}
