import DWebEssentials

/// Where the program speaks: standard output is data, standard error is talk.
struct Console: Sendable {
    /// Whether data is printed as JSON, one object per line.
    let isJSON: Bool
    /// Whether talk is left out.
    let isQuiet: Bool

    // A whole block at once.
    private static let pieceByteCount = 1 << 20

    /// Whether standard error is a terminal, where a progress line can be redrawn.
    static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }

    /// Prints data: JSON where asked, else the text.
    func emit(_ value: some Encodable, text: @autoclosure () -> String) {
        if isJSON {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            guard let data = try? encoder.encode(value) else { return }
            write(data + Data("\n".utf8), to: .standardOutput)
        } else {
            write(Data((text() + "\n").utf8), to: .standardOutput)
        }
    }

    /// Says something to the person at the terminal.
    func say(_ text: String) {
        guard !isQuiet else { return }
        write(Data((text + "\n").utf8), to: .standardError)
    }

    /// Redraws the progress line; does nothing where nobody watches.
    func showProgress(_ text: String) {
        guard !isQuiet, Console.isTerminal else { return }
        write(Data("\r\u{1b}[K\(text)".utf8), to: .standardError)
    }

    /// Ends the progress line.
    func endProgress() {
        guard !isQuiet, Console.isTerminal else { return }
        write(Data("\r\u{1b}[K".utf8), to: .standardError)
    }

    /// Writes all bytes, as unbuffered as the descriptor is; a closed pipe ends quietly.
    func write(_ bytes: some Collection<UInt8>, to descriptor: FileDescriptor) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(Console.pieceByteCount)
            do {
                let written = try Array(piece).withUnsafeBytes { try descriptor.write($0) }
                rest = rest.dropFirst(written)
            } catch Errno.resourceTemporarilyUnavailable {
                continue
            } catch {
                return
            }
        }
    }
}
