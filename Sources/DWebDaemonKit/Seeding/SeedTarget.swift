public import DWebBase

/// Something that is to be seeded.
public struct SeedTarget: Sendable, Hashable {
    /// The priority of what nobody gave one.
    public static let defaultPriority: UInt8 = 100

    /// The key.
    public var key: PublicKey
    /// What it is.
    public var kind: SeedKind
    /// How long it is kept when space runs out: more is longer.
    public var priority: UInt8
    /// Free text for people.
    public var note: String

    /// A target of the default priority.
    public init(
        key: PublicKey, kind: SeedKind = .automatic, priority: UInt8 = SeedTarget.defaultPriority, note: String = ""
    ) {
        self.key = key
        self.kind = kind
        self.priority = priority
        self.note = note
    }

    /// Reads one line of a list: a key, with an optional kind before it or after it, an optional `priority=N`, and
    /// an optional note after `#`. Nil for a line that names nothing.
    ///
    /// Lines of the network's own seeders, `core KEY`, `bee KEY` and `drive KEY`, mean the same here.
    ///
    /// - Throws: ``DaemonError`` with code `invalidArgument` that says what is wrong with the line.
    public init?(line: some StringProtocol) throws(DaemonError) {
        let parts = line.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        let words = parts[0].split { $0 == " " || $0 == "\t" || $0 == "\r" || $0 == "," }
        guard !words.isEmpty else { return nil }
        var key: PublicKey?
        var kind = SeedKind.automatic
        var priority = SeedTarget.defaultPriority
        for word in words {
            if let named = SeedKind(name: word) {
                kind = named
            } else if word.hasPrefix("priority=") {
                guard let value = UInt8(word.dropFirst("priority=".count)) else {
                    throw DaemonError(.invalidArgument, "A priority is a number from 0 to 255, not '\(word)'")
                }
                priority = value
            } else {
                guard key == nil else { throw DaemonError(.invalidArgument, "'\(word)' is one word too many") }
                do throws(KeyTextError) { key = try PublicKey(text: word) } catch {
                    throw DaemonError(.invalidArgument, "'\(word.prefix(80))' is no key. \(error.description)")
                }
            }
        }
        guard let key else { throw DaemonError(.invalidArgument, "The line names no key") }
        let note = parts.count > 1 ? String(parts[1].drop { $0 == " " }) : ""
        self.init(key: key, kind: kind, priority: priority, note: note)
    }
}

extension SeedKind {
    /// The kind that a word of a list means; nil for other words.
    public init?(name: some StringProtocol) {
        switch name {
        case "log", "core": self = .log
        case "tree", "bee": self = .tree
        case "drive": self = .drive
        default: return nil
        }
    }

    /// The word that a list has for the kind.
    public var name: String {
        switch self {
        case .automatic: "auto"
        case .log: "log"
        case .tree: "tree"
        case .drive: "drive"
        }
    }
}
