#if canImport(Darwin)
    private typealias SpawnActions = posix_spawn_file_actions_t?
#else
    private typealias SpawnActions = posix_spawn_file_actions_t
#endif

/// Another program, run as a child of this process.
public final class SystemProcess {
    /// What it was started with, the program's name left out.
    public let arguments: [String]
    /// What it says on its standard output; nil unless it was asked to say it here.
    public let output: FileDescriptor?
    // Never written to: it ends when this process does, and the child can tell.
    private let input: FileDescriptor?
    private let identifier: pid_t
    private var exitCode: Int32?

    /// The file of the program that runs here; nil where the system does not tell.
    public static var ownProgram: String? {
        #if canImport(Darwin)
            return Bundle.main.executablePath
        #else
            return try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        #endif
    }

    /// Starts `program`.
    ///
    /// - Parameters:
    ///   - program: Its file.
    ///   - arguments: What follows its name.
    ///   - adding: What its environment has beside ours.
    ///   - isPiped: Whether its standard output is read here, and its standard input is a pipe that never says anything.
    ///   - isSilent: Whether its standard error goes nowhere.
    /// - Throws: `Errno`.
    public init(
        _ program: String, _ arguments: [String], adding: [String: String] = [:], isPiped: Bool = false,
        isSilent: Bool = false
    ) throws {
        self.arguments = arguments
        var actions = SystemProcess.noActions
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if isSilent { posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) }
        var childEnds: [FileDescriptor] = []
        defer { for end in childEnds { try? end.close() } }
        if isPiped {
            let (childInput, input) = try SystemProcess.pipe()
            let (output, childOutput) = try SystemProcess.pipe()
            posix_spawn_file_actions_adddup2(&actions, childInput.rawValue, STDIN_FILENO)
            posix_spawn_file_actions_adddup2(&actions, childOutput.rawValue, STDOUT_FILENO)
            (self.input, self.output) = (input, output)
            childEnds = [childInput, childOutput]
        } else {
            (input, output) = (nil, nil)
        }
        let environment = ProcessInfo.processInfo.environment.merging(adding) { $1 }
        var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in words + variables { free(text) } }
        var identifier: pid_t = 0
        let code = posix_spawn(&identifier, program, &actions, nil, &words, &variables)
        self.identifier = identifier
        guard code == 0 else {
            exitCode = 127
            throw Errno(rawValue: code)
        }
    }

    deinit {
        try? input?.close()
        try? output?.close()
    }

    /// Waits for its end.
    ///
    /// - Returns: Its exit code, or 128 and the number of the signal that ended it.
    public func wait() -> Int32 {
        if let exitCode { return exitCode }
        var status: Int32 = 0
        while waitpid(identifier, &status, 0) < 0, errno == EINTR {}
        let signal = status & 0x7f
        let code = signal == 0 ? status >> 8 & 0xff : 128 + signal
        exitCode = code
        return code
    }

    /// Asks it to end, and waits until it has.
    public func stop() {
        if exitCode == nil { kill(identifier, SIGTERM) }
        _ = wait()
    }

    private static var noActions: SpawnActions {
        #if canImport(Darwin)
            nil
        #else
            posix_spawn_file_actions_t()
        #endif
    }

    // Closed in every other child: a pipe that a stranger holds open would never end.
    private static func pipe() throws -> (reading: FileDescriptor, writing: FileDescriptor) {
        let ends = try FileDescriptor.pipe()
        for end in [ends.readEnd, ends.writeEnd] { _ = fcntl(end.rawValue, F_SETFD, FD_CLOEXEC) }
        return (ends.readEnd, ends.writeEnd)
    }
}
