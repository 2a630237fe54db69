import DWeb

/// An entry of a tree, for scripts.
struct TreeEntryReport: Encodable {
    let key: String
    let value: String?
    let sequence: UInt64

    init(_ entry: DTree.Entry, _ encoding: TreeText) {
        key = encoding.text(entry.key)
        value = entry.value.map { encoding.text($0) }
        sequence = entry.sequence
    }

    /// A line for people.
    var line: String { "\(key)\t\(value ?? "")" }
}
