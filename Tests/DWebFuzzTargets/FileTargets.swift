import DWebBase
import DWebDrive
import DWebTree

let fileTargets: [FuzzTarget] = [
    FuzzTarget("tree", seeds: { treeSeeds }) { input in
        guard let kind = input.first else { return }
        let bytes = Array(input.dropFirst())
        switch kind % 3 {
        case 0:
            guard let header = try? TreeHeader(decoding: bytes) else { return }
            check((try? TreeHeader(decoding: header.encoded)) == header, "a header that does not come back")
        case 1:
            guard let hint = try? TreeHint(decoding: bytes) else { return }
            check((try? TreeHint(decoding: hint.encoded)) == hint, "a hint that does not come back")
        default:
            guard let block = try? TreeBlock(sequence: 9, decoding: bytes) else { return }
            _ = try? block.nodes()
            for offset in UInt64(0)..<3 { _ = try? block.node(at: offset) }
            _ = try? block.isDeletion()
        }
    },
    FuzzTarget("drive", seeds: { driveSeeds }) { input in
        guard let kind = input.first else { return }
        let bytes = Array(input.dropFirst())
        switch kind % 5 {
        case 0:
            guard let record = try? EntryRecord(decoding: bytes) else { return }
            check((try? EntryRecord(decoding: record.encoded)) == record, "an entry that does not come back")
        case 1:
            if let path = try? DrivePath(stored: bytes) {
                check(!path.parts.contains(".."), "a path that leaves its folder")
                check((try? DrivePath(stored: Array(path.text.utf8))) == path, "a path that does not come back")
            }
        case 2: _ = try? JSONDocument(parsing: bytes)
        case 3: _ = try? BlobMap(decoding: [bytes], length: 1 << 20)
        default: _ = IgnoreRules(String(decoding: bytes, as: UTF8.self))
        }
    },
]

private let treeSeeds: [[UInt8]] = [
    [1] + TreeHint(cache: TreeHint.Cache(start: 1, end: 9, blocks: [2, 3, 4])).encoded,
    [1] + TreeHint(get: TreeHint.Get(version: 3, key: Array("key".utf8))).encoded,
    [2] + TreeBlock.encode(index: [10, 2, 8, 1], key: Array("key".utf8), value: [1, 2]),
]

private let driveSeeds: [[UInt8]] = [
    [0] + EntryRecord().encoded, [1] + Array("/folder/file.txt".utf8),
    [2] + Array(#"{"a": [1, -2.5e3, "t\u00e9", null, true], "b": {"c": []}}"#.utf8),
    [3] + (BlobMap(pieces: [BlobMap.Piece(block: 1, byteCount: 9)]).encoded.first ?? []),
    [4] + Array("*.log\n!keep.log\n/build/**\n[a-z]?\\#\n".utf8),
]
