import DWeb

/// What a command did to a drive.
struct DriveChangeReport: Encodable {
    let key: String
    let version: UInt64
    let paths: [String]
}
