import DWeb

/// An entry of a drive, for scripts.
struct EntryReport: Encodable {
    let path: String
    let kind: String
    let byteCount: UInt64
    let executable: Bool
    let link: String?
    let sequence: UInt64
    let metadata: String?
    let stored: Bool?
    let blockOffset: UInt64?
    let blockLength: UInt64?

    init(_ entry: DDrive.Entry, byteCount: UInt64? = nil, isStored: Bool? = nil) {
        path = entry.path
        kind =
            switch entry.kind {
            case .file: "file"
            case .link: "link"
            case .bare: "bare"
            }
        self.byteCount = byteCount ?? entry.byteCount
        executable = entry.isExecutable
        link = entry.linkTarget
        sequence = entry.sequence
        metadata = entry.metadata?.text
        stored = isStored
        blockOffset = entry.blob?.blockOffset
        blockLength = entry.blob?.blockLength
    }

    /// A line for people.
    var line: String {
        let sign = kind == "link" ? "l" : executable ? "x" : kind == "bare" ? "." : "-"
        let size = String(byteCount).leftPadded(to: 12)
        return "\(sign) \(size)  \(path)" + (link.map { " -> \($0)" } ?? "")
    }
}
