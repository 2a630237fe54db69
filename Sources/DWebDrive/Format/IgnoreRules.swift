/// Which paths to leave out, by the rules of gitignore files: the last pattern that matches decides, `!` takes back,
/// and
/// what lies below a folder that is left out cannot be taken back.
public struct IgnoreRules: Sendable, Hashable {
    private var patterns: [Pattern] = []

    /// No rules: nothing is left out.
    public init() {}

    /// The rules of a text in the gitignore format.
    public init(_ text: String) { append(text, in: []) }

    /// What operating systems leave in folders without being asked.
    public static let operatingSystemJunk = IgnoreRules(
        """
        .DS_Store
        ._*
        .AppleDouble
        .LSOverride
        Icon\r\r
        .DocumentRevisions-V100/
        .fseventsd/
        .Spotlight-V100/
        .TemporaryItems/
        .Trashes/
        .Trash-*/
        .nfs*
        .fuse_hidden*
        .directory
        Thumbs.db
        Thumbs.db:encryptable
        ehthumbs.db
        ehthumbs_vista.db
        [Dd]esktop.ini
        $RECYCLE.BIN/
        System Volume Information/
        .*.dweb-part
        """)

    /// These rules, followed by others.
    public func adding(_ other: IgnoreRules) -> IgnoreRules {
        var result = self
        result.patterns += other.patterns
        return result
    }

    /// Whether a path is left out, itself or with a folder that contains it.
    ///
    /// - Parameters:
    ///   - path: The path, with or without a slash at the start.
    ///   - isFolder: Whether it is a folder.
    public func ignores(_ path: String, isFolder: Bool) -> Bool {
        let parts = path.split(separator: "/").map { Array($0.unicodeScalars) }
        guard !patterns.isEmpty, !parts.isEmpty else { return false }
        for count in 1...parts.count
        where decides(parts[..<count], isFolder: count < parts.count || isFolder) { return true }
        return false
    }

    /// Whether a path whose folders are not left out is left out itself.
    func decides(_ parts: ArraySlice<[Unicode.Scalar]>, isFolder: Bool) -> Bool {
        for pattern in patterns.reversed() where pattern.matches(parts, isFolder: isFolder) {
            return !pattern.isNegated
        }
        return false
    }

    /// Adds the rules of a file that lies in the folder with these parts.
    mutating func append(_ text: String, in folder: [String]) {
        let base = folder.map { Array($0.unicodeScalars) }
        for line in text.split(whereSeparator: { $0 == "\n" || $0 == "\r\n" }) {
            if let pattern = Pattern(line, base: base) { patterns.append(pattern) }
        }
    }

    /// One line.
    private struct Pattern: Sendable, Hashable {
        enum Segment: Sendable, Hashable {
            case anyFolders
            case name([Token])
        }

        enum Token: Sendable, Hashable {
            case scalar(Unicode.Scalar)
            case any
            case anyRun
            case set([ClosedRange<Unicode.Scalar>], isNegated: Bool)
        }

        let base: [[Unicode.Scalar]]
        let segments: [Segment]
        let isNegated: Bool
        let isForFolders: Bool

        init?(_ line: Substring, base: [[Unicode.Scalar]]) {
            var text = Array(line.unicodeScalars)
            while text.last == " ", text.dropLast().last != "\\" { text.removeLast() }
            guard let first = text.first, first != "#" else { return nil }
            isNegated = first == "!"
            if isNegated { text.removeFirst() }
            isForFolders = text.last == "/"
            if isForFolders { text.removeLast() }
            guard !text.isEmpty, text.count <= 4_096 else { return nil }
            let isAnchored = text.contains("/")
            if text.first == "/" { text.removeFirst() }
            var segments: [Segment] = isAnchored ? [] : [.anyFolders]
            for part in text.split(separator: "/", omittingEmptySubsequences: false) {
                if part.elementsEqual(["*", "*"]) {
                    if segments.last != .anyFolders { segments.append(.anyFolders) }
                } else {
                    segments.append(.name(Pattern.tokens(Array(part))))
                }
            }
            // A run of folders at the end stands for everything inside, not for the folder itself.
            if case .anyFolders = segments.last, segments.count > 1 { segments.append(.name([.anyRun])) }
            self.base = base
            self.segments = segments
        }

        private static func tokens(_ part: [Unicode.Scalar]) -> [Token] {
            var tokens: [Token] = []
            var index = 0
            while index < part.count {
                let scalar = part[index]
                index += 1
                switch scalar {
                case "*": if tokens.last != .anyRun { tokens.append(.anyRun) }
                case "?": tokens.append(.any)
                case "\\":
                    guard index < part.count else { break }
                    tokens.append(.scalar(part[index]))
                    index += 1
                case "[":
                    if let (set, end) = set(part, from: index) {
                        tokens.append(set)
                        index = end
                    } else {
                        tokens.append(.scalar(scalar))
                    }
                default: tokens.append(.scalar(scalar))
                }
            }
            return tokens
        }

        private static func set(_ part: [Unicode.Scalar], from start: Int) -> (Token, end: Int)? {
            var index = start
            var isNegated = false
            if index < part.count, part[index] == "!" || part[index] == "^" {
                isNegated = true
                index += 1
            }
            var ranges: [ClosedRange<Unicode.Scalar>] = []
            var isFirst = true
            while index < part.count {
                if part[index] == "]", !isFirst { return (.set(ranges, isNegated: isNegated), index + 1) }
                isFirst = false
                if part[index] == "\\", index + 1 < part.count { index += 1 }
                let low = part[index]
                index += 1
                if index + 1 < part.count, part[index] == "-", part[index + 1] != "]" {
                    var high = part[index + 1]
                    index += 2
                    if high == "\\", index < part.count {
                        high = part[index]
                        index += 1
                    }
                    if low <= high { ranges.append(low...high) }
                } else {
                    ranges.append(low...low)
                }
            }
            return nil
        }

        func matches(_ parts: ArraySlice<[Unicode.Scalar]>, isFolder: Bool) -> Bool {
            if isForFolders, !isFolder { return false }
            guard parts.count > base.count, parts.prefix(base.count).elementsEqual(base) else { return false }
            let names = Array(parts.dropFirst(base.count))
            // Runs of folders match as little as possible and are extended when the rest fails.
            var (segment, name) = (0, 0)
            var retry: (segment: Int, name: Int)?
            while true {
                if segment == segments.count {
                    if name == names.count { return true }
                } else if case .anyFolders = segments[segment] {
                    retry = (segment + 1, name)
                    segment += 1
                    continue
                } else if name < names.count, case .name(let tokens) = segments[segment],
                    Pattern.matches(tokens, names[name])
                {
                    segment += 1
                    name += 1
                    continue
                }
                guard let last = retry, last.name < names.count else { return false }
                retry = (last.segment, last.name + 1)
                (segment, name) = (last.segment, last.name + 1)
            }
        }

        private static func matches(_ tokens: [Token], _ name: [Unicode.Scalar]) -> Bool {
            var (token, index) = (0, 0)
            var retry: (token: Int, index: Int)?
            while true {
                if token == tokens.count {
                    if index == name.count { return true }
                } else if case .anyRun = tokens[token] {
                    retry = (token + 1, index)
                    token += 1
                    continue
                } else if index < name.count, matches(tokens[token], name[index]) {
                    token += 1
                    index += 1
                    continue
                }
                guard let last = retry, last.index < name.count else { return false }
                retry = (last.token, last.index + 1)
                (token, index) = (last.token, last.index + 1)
            }
        }

        private static func matches(_ token: Token, _ scalar: Unicode.Scalar) -> Bool {
            switch token {
            case .scalar(let own): own == scalar
            case .any, .anyRun: true
            case .set(let ranges, let isNegated): ranges.contains { $0.contains(scalar) } != isNegated
            }
        }
    }
}
