import ArgumentParser
import DWeb

/// Which changes of a history to show.
struct HistoryOptions: ParsableArguments {
    @Option(help: "Start with this change; below zero counts from the end.")
    var from: Int64 = 1

    @Option(help: "Show at most this many.")
    var limit: Int?

    @Flag(name: .shortAndLong, help: "Start with the newest.")
    var reverse = false

    @Flag(help: "Stay, and show changes as they happen.")
    var live = false

    func validate() throws {
        guard !(live && reverse) else { throw ValidationError("--live and --reverse exclude each other.") }
    }

    /// The changes as the library names them.
    var range: HistoryRange { HistoryRange(gte: from) }
}
