import DWeb

/// A key in which two versions differ, for scripts.
struct TreeDifferenceReport: Encodable {
    let operation: String
    let now: TreeEntryReport?
    let before: TreeEntryReport?

    init(_ step: DTree.Difference, _ encoding: TreeText) {
        now = step.left.map { TreeEntryReport($0, encoding) }
        before = step.right.map { TreeEntryReport($0, encoding) }
        operation = before == nil ? "add" : now == nil ? "remove" : "change"
    }

    var line: String {
        let sign = operation == "add" ? "+" : operation == "remove" ? "-" : "~"
        return "\(sign) \((now ?? before)?.line ?? "")"
    }
}
