import DWebEssentials

/// Cuts a file or standard input into blocks: fixed sizes, or lines.
final class BlockSource {
    private let input: FileDescriptor
    private let isLines: Bool
    private var pending: [UInt8] = []
    private var isAtEnd = false

    /// The size of a block, as people of the original know it.
    static let blockByteCount = 64 * 1024
    // One signature and one write cover this much.
    private static let batchByteCount = 4 << 20
    // A line is a block, and a block must fit one message; spec 40 section 2.
    private static let lineByteLimit = 15 << 20

    /// Cuts what `input` has from here on.
    init(_ input: FileDescriptor, isLines: Bool) {
        self.input = input
        self.isLines = isLines
    }

    /// Opens the file `path` to be cut; `-` is standard input.
    ///
    /// By itself, so that a mistyped name costs nothing: commands call it before they open a store or a node.
    static func open(_ path: String) throws -> FileDescriptor {
        if path == "-" { return .standardInput }
        switch FileKind(at: path) {
        case .file: break
        case .folder: throw CommandFailure(.storage, "'\(path)' is a folder, not a file.")
        case nil: throw CommandFailure(.storage, "There is no file '\(path)'.")
        }
        return try FileDescriptor.opening(path)
    }

    /// The next blocks, a few megabytes of them at most; nil at the end.
    func nextBatch() throws -> [[UInt8]]? {
        var blocks: [[UInt8]] = []
        var byteCount = 0
        while byteCount < BlockSource.batchByteCount {
            guard let block = try nextBlock() else { break }
            byteCount += block.count + 1
            blocks.append(block)
        }
        return blocks.isEmpty ? nil : blocks
    }

    private func nextBlock() throws -> [UInt8]? {
        if isLines {
            while true {
                if let newline = pending.firstIndex(of: 0x0a) {
                    let line = Array(pending[..<newline])
                    pending.removeSubrange(...newline)
                    return line
                }
                guard pending.count <= BlockSource.lineByteLimit else {
                    throw CommandFailure(.storage, "A line is longer than 15 MiB, the most a block can hold.")
                }
                guard try fill() else {
                    defer { pending = [] }
                    return pending.isEmpty ? nil : pending
                }
            }
        }
        while pending.count < BlockSource.blockByteCount, try fill() {}
        guard !pending.isEmpty else { return nil }
        let count = min(pending.count, BlockSource.blockByteCount)
        defer { pending.removeFirst(count) }
        return Array(pending[..<count])
    }

    private func fill() throws -> Bool {
        guard !isAtEnd else { return false }
        let piece: [UInt8]
        do {
            piece = try input.readOnce(BlockSource.blockByteCount)
        } catch {
            throw CommandFailure(.storage, "The input cannot be read: \(error).")
        }
        guard !piece.isEmpty else {
            isAtEnd = true
            return false
        }
        pending.append(contentsOf: piece)
        return true
    }
}
