import DWebBase
import DWebDrive
import DWebTree

/// Reads the entries of a live list: a tree whose keys are keys of what is to be seeded.
///
/// Understood are the network's own lists of seeds (the key's 32 bytes behind two zero bytes; type, description and a
/// flag in the compact encoding), and lists that people make by hand: keys as text or as 32 bytes, with a JSON object
/// `{"type": "drive", "priority": 200, "description": "..."}` or nothing as value.
enum LiveList {
    /// What an entry names; nil for an entry that names nothing.
    static func target(_ entry: DTree.Entry, defaultPriority: UInt8) -> SeedTarget? {
        let keyBytes = entry.key
        if keyBytes.count == Bytes32.byteCount + 2, keyBytes.starts(with: [0, 0]) {
            guard let key = PublicKey(keyBytes.dropFirst(2)) else { return nil }
            var target = SeedTarget(key: key, priority: defaultPriority)
            if let value = entry.value { decodeCompact(value, into: &target) }
            return target
        }
        let key: PublicKey
        if let raw = PublicKey(keyBytes) {
            key = raw
        } else if keyBytes.count <= 80, let text = try? PublicKey(text: String(decoding: keyBytes, as: UTF8.self)) {
            key = text
        } else {
            return nil
        }
        var target = SeedTarget(key: key, priority: defaultPriority)
        if let value = entry.value { decodeJSON(value, into: &target) }
        return target
    }

    private static func decodeCompact(_ bytes: [UInt8], into target: inout SeedTarget) {
        var reader = ByteReader(bytes)
        func text() throws(CodecError) -> String {
            let count = try reader.readUInt()
            guard count <= UInt64(DaemonConstants.noteByteCount) else { throw .outOfBounds }
            return String(decoding: reader.source[try reader.skip(Int(count))], as: UTF8.self)
        }
        guard let type = try? text() else { return }
        target.kind = SeedKind(name: type) ?? .automatic
        target.note = (try? text()) ?? ""
    }

    private static func decodeJSON(_ bytes: [UInt8], into target: inout SeedTarget) {
        guard bytes.count <= 16_384, let value = try? JSONDocument(parsing: bytes) else { return }
        if case .string(let type)? = value["type"] { target.kind = SeedKind(name: type) ?? .automatic }
        if case .number(let number)? = value["priority"], let priority = number.integer {
            target.priority = UInt8(clamping: priority)
        }
        if case .string(let text)? = value["description"] {
            target.note = String(decoding: Array(text.utf8).prefix(DaemonConstants.noteByteCount), as: UTF8.self)
        }
    }
}
