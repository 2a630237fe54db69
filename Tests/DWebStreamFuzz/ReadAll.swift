import DWebStreamCore

extension UDXStream {
    /// All bytes that arrived in order and were not read yet.
    package func readAll() -> [UInt8] {
        var bytes = read()
        while case let piece = read(), !piece.isEmpty { bytes += piece }
        return bytes
    }
}
