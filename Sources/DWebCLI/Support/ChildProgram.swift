import DWebEssentials

/// This program, started once more with other arguments, as a process of its own.
final class ChildProgram {
    private let process: SystemProcess
    private var pending: [UInt8] = []

    /// Starts the program; its standard error goes where ours goes, or nowhere if `isSilent`.
    init(_ arguments: [String], isSilent: Bool = false) throws {
        guard let program = SystemProcess.ownProgram else {
            throw CommandFailure(.failure, "The program's own file cannot be found.")
        }
        do {
            process = try SystemProcess(
                program, arguments, adding: [ParentWatch.variable: "1"], isPiped: true, isSilent: isSilent)
        } catch {
            throw CommandFailure(.failure, "The program cannot start itself: \(error).")
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
            guard let more = try? process.output?.readOnce(4_096), !more.isEmpty else { return nil }
            pending += more
        }
    }

    /// The next line, decoded; a process that ends instead is an error that names it.
    func readValue<Value: Decodable>(_ type: Value.Type) throws -> Value {
        guard let line = readLine() else {
            throw CommandFailure(
                .failure, "'dweb \(process.arguments.first ?? "")' ended early with code \(process.wait()).")
        }
        do {
            return try JSONDecoder().decode(type, from: Data(line.utf8))
        } catch {
            throw CommandFailure(
                .failure, "'dweb \(process.arguments.first ?? "")' said something unexpected: \(line)")
        }
    }

    /// Waits for its end and returns its exit code.
    func wait() -> Int32 { process.wait() }

    /// Asks it to end and waits until it has.
    func stop() { process.stop() }
}
