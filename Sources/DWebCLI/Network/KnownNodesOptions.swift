import ArgumentParser
import DWeb

/// Where DHT nodes are kept from one run to the next.
struct KnownNodesOptions: ParsableArguments {
    @Option(
        name: .customLong("known-nodes"),
        help: "Keep known DHT nodes in this file, so that the next start needs no bootstrap node. Default: nowhere.")
    var path: String?

    /// The file that was named.
    var file: DiskFile? { path.map { DiskFile(path: $0) } }
}
