/// How much space was freed.
struct FreedReport: Encodable {
    let key: String
    let freedBytes: UInt64
    let store: String?
}
