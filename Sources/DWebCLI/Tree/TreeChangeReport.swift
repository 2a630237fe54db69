/// What a command did to a tree.
struct TreeChangeReport: Encodable {
    let key: String
    let version: UInt64
    let sequence: UInt64?
    let count: Int
}
