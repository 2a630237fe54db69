/// A path in a drive: `/` and parts joined by `/`, without empty, `.` or `..` parts; spec 50 section 9.3.
package struct DrivePath: Sendable, Hashable {
    /// The text. The root is the only path that ends in a slash.
    package let text: String

    /// The drive itself.
    package static let root = DrivePath(unchecked: "/")

    private init(unchecked text: String) { self.text = text }

    /// The path that people mean by `text`: backslashes separate as slashes do, `.` and empty parts fall away, `..` is
    /// resolved.
    ///
    /// - Throws: ``DriveFault/invalidPath`` above the root, for a zero byte, and for a path that is too long.
    package init(_ text: some StringProtocol) throws(DriveFault) {
        self = try DrivePath.root.resolving(text)
    }

    /// The path that `text` means when it is not absolute and starts from this path.
    package func resolving(_ text: some StringProtocol) throws(DriveFault) -> DrivePath {
        var parts = text.first == "/" || text.first == "\\" ? [] : self.parts
        for part in text.split(whereSeparator: { $0 == "/" || $0 == "\\" }) {
            switch part {
            case ".": continue
            case "..":
                guard parts.popLast() != nil else { throw .invalidPath }
            default: parts.append(String(part))
            }
        }
        let result = "/" + parts.joined(separator: "/")
        guard result.utf8.count <= DriveLimits.pathByteCount, !result.utf8.contains(0) else { throw .invalidPath }
        return DrivePath(unchecked: result)
    }

    /// A path as the author of a drive wrote it, which must be in normal form already; spec 50 section 11.10.
    package init(stored bytes: some Collection<UInt8>) throws(DriveFault) {
        guard bytes.count <= DriveLimits.pathByteCount, let text = String(validating: bytes, as: UTF8.self),
            bytes.count > 1, bytes.first == UInt8(ascii: "/"), !bytes.contains(0), !bytes.contains(UInt8(ascii: "\\"))
        else { throw .invalidPath }
        for part in text.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            guard !part.isEmpty, part != ".", part != ".." else { throw .invalidPath }
        }
        self.init(unchecked: text)
    }

    /// Whether this is the drive itself, which is no file.
    package var isRoot: Bool { text.utf8.count == 1 }

    /// The parts between slashes.
    package var parts: [String] { text.split(separator: "/").map(String.init) }

    /// The last part; empty for the root.
    package var name: String { parts.last ?? "" }

    /// The folder that contains the path; the root contains itself.
    package var parent: DrivePath { DrivePath(unchecked: "/" + parts.dropLast().joined(separator: "/")) }

    /// The path of `name` in this folder.
    package func appending(_ name: String) -> DrivePath {
        DrivePath(unchecked: isRoot ? "/" + name : text + "/" + name)
    }

    /// The text in UTF-8.
    package var bytes: [UInt8] { Array(text.utf8) }

    /// What the paths of everything below the folder start with.
    package var folderPrefix: String { isRoot ? "/" : text + "/" }

    /// Whether the path is `folder` or lies below it.
    package func isInside(_ folder: DrivePath) -> Bool {
        self == folder || text.utf8.starts(with: folder.folderPrefix.utf8)
    }

    /// The path from a folder to this one, by the rules of file systems.
    package func relative(toFolder folder: DrivePath) -> String {
        let (own, other) = (parts, folder.parts)
        var shared = 0
        while shared < min(own.count, other.count), own[shared] == other[shared] { shared += 1 }
        let way = [String](repeating: "..", count: other.count - shared) + own[shared...]
        return way.isEmpty ? "." : way.joined(separator: "/")
    }

    /// Compares texts byte for byte: paths that look alike but differ in bytes are different files.
    package static func == (left: DrivePath, right: DrivePath) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

    /// Hashes the bytes.
    package func hash(into hasher: inout Hasher) { for byte in text.utf8 { hasher.combine(byte) } }
}
