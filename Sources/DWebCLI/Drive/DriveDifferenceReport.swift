import DWeb

/// A path in which two versions differ, for scripts.
struct DriveDifferenceReport: Encodable {
    let version: UInt64
    let operation: String
    let path: String
    let now: EntryReport?
    let before: EntryReport?

    init(_ step: DDrive.Difference, version: UInt64) {
        self.version = version
        path = step.path
        now = step.left.map { EntryReport($0) }
        before = step.right.map { EntryReport($0) }
        operation = before == nil ? "add" : now == nil ? "remove" : "change"
    }

    /// A line for people.
    var line: String { "\(operation == "add" ? "+" : operation == "remove" ? "-" : "~") \(path)" }
}
