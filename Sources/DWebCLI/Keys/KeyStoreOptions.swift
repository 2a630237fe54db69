import ArgumentParser
import DWeb

/// Which store is meant.
struct KeyStoreOptions: ParsableArguments {
    @Option(help: "The drive whose own store is meant: its name, or the path that it shares.")
    var drive: String?

    @OptionGroup var storeOptions: StoreOptions

    /// The store's directory.
    func path() throws -> String {
        guard let drive else { return storeOptions.path }
        guard storeOptions.directory == nil else { throw ValidationError("--drive and --store exclude each other.") }
        guard let path = DrivePlace(try DriveReference(drive)).storePath else {
            throw ValidationError("A drive in memory has no store.")
        }
        return path
    }
}
