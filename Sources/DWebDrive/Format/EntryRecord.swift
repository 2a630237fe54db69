/// What a drive stores about one path; spec 50 section 9.4.
package struct EntryRecord: Sendable, Hashable {
    /// Whether the file is a program.
    package var isExecutable = false
    /// Where a link points to; nil for what is no link.
    package var linkTarget: String?
    /// Where the content is; nil for links and for bare entries.
    package var blob: BlobID?
    /// What the application wants to keep with the file.
    package var metadata: JSONDocument?
    /// Members that this implementation does not know, kept when the record is written again.
    package var unknown: [JSONDocument.Member] = []

    /// An empty record.
    package init() {}

    /// The record's bytes.
    package var encoded: [UInt8] {
        JSONDocument.object(
            [
                .init("executable", .bool(isExecutable)), .init("linkname", linkTarget.map { .string($0) } ?? .null),
                .init("blob", blob?.document ?? .null), .init("metadata", metadata ?? .null),
            ] + unknown
        ).encoded
    }

    /// Reads a record: members may be missing, unknown or in any order, but not of another type.
    package init(decoding bytes: [UInt8]) throws(DriveFault) {
        guard bytes.count <= DriveLimits.entryByteCount else { throw .malformedEntry }
        let document: JSONDocument
        do throws(JSONFault) { document = try JSONDocument(parsing: bytes) } catch { throw .malformedEntry }
        guard case .object(let members) = document else { throw .malformedEntry }
        for member in members {
            switch (member.name, member.value) {
            case ("executable", .bool(let value)): isExecutable = value
            case ("executable", .null): isExecutable = false
            case ("linkname", .string(let text)): linkTarget = text
            case ("linkname", .null): linkTarget = nil
            case ("blob", .object): blob = try BlobID(member.value)
            case ("blob", .null): blob = nil
            case ("metadata", .null): metadata = nil
            case ("metadata", let value): metadata = value
            case ("executable", _), ("linkname", _), ("blob", _): throw .malformedEntry
            default: unknown.append(member)
            }
        }
    }
}
