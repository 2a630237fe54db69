import Dispatch
import DWebEssentials

/// Lets a process that another `dweb` started end with it, whatever becomes of that one.
enum ParentWatch {
    /// The environment variable by which ``ChildProgram`` asks for it.
    static let variable = "DWEB_ENDS_WITH_PARENT"

    /// Asks this process to terminate once its standard input ends, which is held open by the parent.
    static func startIfAsked() {
        guard ProcessInfo.processInfo.environment[variable] != nil else { return }
        let source = DispatchSource.makeReadSource(fileDescriptor: STDIN_FILENO, queue: .global())
        source.setEventHandler {
            source.cancel()
            kill(getpid(), SIGTERM)
        }
        source.activate()
    }
}
