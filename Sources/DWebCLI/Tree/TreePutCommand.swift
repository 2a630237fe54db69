import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb tree put`.
struct TreePutCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "put", abstract: "Put a value under a key; makes the tree if the store has none of that name.",
        discussion: """
            The tree's key goes to standard output. With --batch, lines of standard input are put, each a key, a tab and \
            a value, all visible at once.
            """)

    @OptionGroup var options: TreeOptions

    @Argument(help: "The key.")
    var key: String?

    @Argument(help: "The value.")
    var value: String?

    @Flag(help: "Put the lines of standard input.")
    var batch = false

    @Option(help: "Replace only this value; a key without it, or with another one, stays as it is.")
    var ifValue: String?

    @Flag(help: "Put only if the key is not there yet.")
    var ifMissing = false

    func validate() throws {
        guard batch == (key == nil) else { throw ValidationError("Name a key and a value, or --batch.") }
        guard !batch || (ifValue == nil && !ifMissing) else { throw ValidationError("--batch has no conditions.") }
        guard ifValue == nil || !ifMissing else {
            throw ValidationError("--if-value and --if-missing exclude each other.")
        }
    }

    func run() async throws {
        let (console, encoding) = (options.output.console, options.encoding)
        if batch {
            try await options.writing { tree in
                let count = try await putLines(tree, encoding)
                console.emit(
                    TreeChangeReport(key: tree.key.text, version: tree.version, sequence: nil, count: count),
                    text: tree.key.text)
                console.say("Put \(Format.count(count, "key")).")
            }
            return
        }
        let key = try encoding.bytes(key ?? "")
        let value = try value.map(encoding.bytes)
        let expected = try ifValue.map(encoding.bytes)
        let isNewOnly = ifMissing
        try await options.writing { tree in
            var sequence: UInt64?
            if expected != nil {
                // The condition is not asked for a key that does not exist.
                let batch = tree.batch()
                try await batch.begin()
                if let present = try await batch.get(key), present.value == expected {
                    try await batch.put(key, value)
                    sequence = try await batch.flush().first
                } else {
                    await batch.close()
                }
            } else {
                let never: ReplacementCondition = { _ in false }
                sequence = try await tree.put(key, value, ifReplacing: isNewOnly ? never : nil)
            }
            guard sequence != nil else {
                throw CommandFailure(.failure, "The key was left as it is: the condition does not hold.")
            }
            console.emit(
                TreeChangeReport(key: tree.key.text, version: tree.version, sequence: sequence, count: 1),
                text: tree.key.text)
        }
    }

    private func putLines(_ tree: DTree, _ encoding: TreeText) async throws -> Int {
        let batch = tree.batch()
        var count = 0
        var rest: [UInt8] = []
        func put(_ line: ArraySlice<UInt8>) async throws {
            guard !line.isEmpty else { return }
            guard let tab = line.firstIndex(of: 0x09) else {
                throw CommandFailure(.usage, "Line \(count + 1) has no tab between key and value.")
            }
            let texts = [line[..<tab], line[(tab + 1)...]].map { String(decoding: $0, as: UTF8.self) }
            try await batch.put(try encoding.bytes(texts[0]), try encoding.bytes(texts[1]))
            count += 1
        }
        do {
            for try await piece in InputPieces(.standardInput) {
                rest += piece
                var start = rest.startIndex
                while let newline = rest[start...].firstIndex(of: 0x0a) {
                    try await put(rest[start..<newline])
                    start = newline + 1
                }
                rest.removeSubrange(..<start)
            }
            try await put(rest[...])
            try await batch.flush()
        } catch {
            await batch.close()
            throw error
        }
        return count
    }
}
