import Foundation

/// This program, started once more with other arguments, as a process of its own.
final class ChildProgram {
    private let process = Process()
    private let output = Pipe()
    /// Never written to: it ends when this process does, and the child with it.
    private let input = Pipe()
    private var pending = Data()

    /// Starts the program; its standard error goes where ours goes, or nowhere if `isSilent`.
    init(_ arguments: [String], isSilent: Bool = false) throws {
        guard let executable = Bundle.main.executableURL else {
            throw CommandFailure(.failure, "The program's own file cannot be found.")
        }
        process.executableURL = executable
        process.arguments = arguments
        process.standardInput = input
        process.environment = ProcessInfo.processInfo.environment.merging([ParentWatch.variable: "1"]) { $1 }
        process.standardOutput = output
        if isSilent { process.standardError = FileHandle.nullDevice }
        do {
            try process.run()
        } catch {
            throw CommandFailure(.failure, "The program cannot start itself: \(error.localizedDescription)")
        }
    }

    /// The next line of its standard output; nil once it has ended. Waits.
    func readLine() -> String? {
        while true {
            if let newline = pending.firstIndex(of: 0x0a) {
                let line = String(decoding: pending[..<newline], as: UTF8.self)
                pending.removeSubrange(...newline)
                return line
            }
            let more = output.fileHandleForReading.availableData
            if more.isEmpty { return nil }
            pending.append(more)
        }
    }

    /// The next line, decoded; a process that ends instead is an error that names it.
    func readValue<Value: Decodable>(_ type: Value.Type) throws -> Value {
        guard let line = readLine() else {
            process.waitUntilExit()
            throw CommandFailure(
                .failure, "'dweb \(process.arguments?.first ?? "")' ended early with code \(process.terminationStatus)."
            )
        }
        do {
            return try JSONDecoder().decode(type, from: Data(line.utf8))
        } catch {
            throw CommandFailure(
                .failure, "'dweb \(process.arguments?.first ?? "")' said something unexpected: \(line)")
        }
    }

    /// Waits for its end and returns its exit code.
    func wait() -> Int32 {
        process.waitUntilExit()
        return process.terminationStatus
    }

    /// Asks it to end and waits until it has.
    func stop() {
        if process.isRunning { process.terminate() }
        process.waitUntilExit()
    }
}
