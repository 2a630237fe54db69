import ArgumentParser

/// The program's exit codes; `dweb --help` lists them.
enum ExitStatus: Int32 {
    /// Everything asked for was done.
    case success = 0
    /// Something else went wrong; standard error says what.
    case failure = 1
    /// No peer had the data in time.
    case unavailable = 3
    /// A file or store cannot be read or written.
    case storage = 4
    /// Another process holds the store.
    case locked = 5
    /// The network refused, for example because the port is in use.
    case network = 6
    /// Data arrived but did not verify.
    case invalidData = 7
    /// The command needs a daemon, and none runs that answers.
    case noDaemon = 8
    /// The command line is wrong (the number the argument parser uses).
    case usage = 64
    /// The program was interrupted before it was done.
    case interrupted = 130

    /// The parser's form.
    var code: ExitCode { ExitCode(rawValue) }
}

/// A failure with the sentence that a person reads and the code that a script sees.
struct CommandFailure: Error, CustomStringConvertible {
    let status: ExitStatus
    let description: String

    init(_ status: ExitStatus, _ description: String) {
        self.status = status
        self.description = description
    }
}
