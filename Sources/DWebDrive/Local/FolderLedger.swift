import DWebBase
import DWebCrypto
import DWebDatabase

/// What mirrors of a drive wrote to one local folder, so that it can be told from what people put there or changed.
///
/// Kept beside the drive's log on this machine; one record for each path.
struct FolderLedger: Sendable {
    /// What was written to a path.
    struct Record: Sendable, Equatable {
        enum Kind: Sendable, Equatable {
            case file(byteCount: UInt64, modifiedNanoseconds: Int64)
            case link(target: String)
        }

        /// The block of the drive's tree that the path was written from.
        let sequence: UInt64
        let kind: Kind

        /// Whether what is in the folder is still what was written.
        func describes(_ item: LocalItem) -> Bool {
            switch (kind, item.kind) {
            case (.file(let byteCount, let modified), .file):
                item.mark.byteCount == byteCount && item.mark.modifiedNanoseconds == modified
            case (.link(let target), .link(let present)): target == present
            default: false
            }
        }
    }

    private static let name = Array("dweb-mirror/".utf8)
    // Enough of a hash that no two paths of a disk meet by chance.
    private static let hashByteCount = 16

    private let database: DDatabase
    private let prefix: [UInt8]

    /// The ledger of the folder with this absolute path.
    init(_ database: DDatabase, folder: String) {
        self.database = database
        prefix = FolderLedger.name + Blake2b.hash32(Array(folder.utf8)).bytes.prefix(FolderLedger.hashByteCount)
    }

    func record(_ path: DrivePath) async throws(DDriveError) -> Record? {
        let bytes: [UInt8]?
        do throws(DDatabaseError) { bytes = try await database.localRecord(key(path)) } catch {
            throw DDriveError(error)
        }
        guard let bytes else { return nil }
        return try? Record(decoding: bytes)
    }

    func set(_ record: Record?, at path: DrivePath) async throws(DDriveError) {
        do throws(DDatabaseError) {
            try await database.setLocalRecord(key(path), record?.encoded)
        } catch {
            throw DDriveError(error)
        }
    }

    private func key(_ path: DrivePath) -> [UInt8] {
        prefix + Blake2b.hash32(path.bytes).bytes.prefix(FolderLedger.hashByteCount)
    }
}

extension FolderLedger.Record {
    private static let version: UInt8 = 1

    var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 32)
        writer.writeByte(Self.version)
        writer.writeUInt(sequence)
        switch kind {
        case .file(let byteCount, let modified):
            writer.writeByte(0)
            writer.writeUInt(byteCount)
            writer.writeFixed(UInt64(bitPattern: modified), byteCount: 8)
        case .link(let target):
            writer.writeByte(1)
            writer.writeString(target)
        }
        return writer.bytes
    }

    init(decoding bytes: [UInt8]) throws(CodecError) {
        var reader = ByteReader(bytes)
        guard try reader.readByte() == Self.version else { throw .invalidValue }
        sequence = try reader.readUInt()
        switch try reader.readByte() {
        case 0:
            let byteCount = try reader.readUInt()
            kind = .file(
                byteCount: byteCount, modifiedNanoseconds: Int64(bitPattern: try reader.readFixed(byteCount: 8)))
        case 1: kind = .link(target: try reader.readString())
        default: throw .invalidValue
        }
    }
}
