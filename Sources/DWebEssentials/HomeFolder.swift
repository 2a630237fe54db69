/// The folder of the person who runs this program.
public enum HomeFolder {
    /// `$HOME` if it is an absolute path, as for every other program; else what the system has noted for the account.
    public static var path: String {
        let named = ProcessInfo.processInfo.environment["HOME"] ?? ""
        return named.hasPrefix("/") ? named : FileManager.default.homeDirectoryForCurrentUser.path
    }

    /// A file or folder in it.
    public static func appending(_ relativePath: String) -> String {
        FilePath(path).appending(relativePath).string
    }
}
