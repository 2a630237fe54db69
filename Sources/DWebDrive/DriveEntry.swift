package import DWebTree

extension DDrive {
    /// What a drive says about one path.
    public struct Entry: Sendable, Hashable {
        /// What is at a path.
        public enum Kind: Sendable, Hashable {
            /// A file with content.
            case file
            /// A link to another path.
            case link
            /// Only a record: neither content nor link.
            case bare
        }

        /// The path, which starts with a slash.
        public let path: String
        /// The block of the drive's tree that holds the entry. It grows with every change of a path.
        public let sequence: UInt64
        /// Whether the file is a program.
        public var isExecutable: Bool { record.isExecutable }
        /// Where a link points to, as it was written; nil for what is no link.
        public var linkTarget: String? { record.linkTarget }
        /// Where the content is; nil for links and bare entries.
        public var blob: BlobID? { record.linkTarget == nil ? record.blob : nil }
        /// What the application keeps with the file. Whoever wrote the drive wrote it: do not trust it.
        public var metadata: JSONDocument? { record.metadata }
        /// The number of bytes of the content. For a mapped blob it is the size of its map; see
        /// ``DDrive/byteCount(of:_:)``.
        public var byteCount: UInt64 { blob?.byteLength ?? 0 }

        /// What is at the path.
        public var kind: Kind { record.linkTarget != nil ? .link : record.blob != nil ? .file : .bare }

        package let record: EntryRecord

        package init(path: String, sequence: UInt64, record: EntryRecord) {
            self.path = path
            self.sequence = sequence
            self.record = record
        }

        /// Reads an entry of the tree.
        package init(_ entry: DTree.Entry) throws(DDriveError) {
            let name = "at block \(entry.sequence)"
            do throws(DriveFault) {
                let path = try DrivePath(stored: entry.key)
                self.init(
                    path: path.text, sequence: entry.sequence, record: try EntryRecord(decoding: entry.value ?? []))
            } catch {
                throw DDriveError(fault: error, in: name)
            }
        }
    }

    /// What to keep with a file when it is written.
    public struct Attributes: Sendable, Hashable {
        /// Whether the file is a program.
        public var isExecutable: Bool
        /// What the application wants to keep with the file.
        public var metadata: JSONDocument?

        /// Attributes; none unless told otherwise.
        public init(isExecutable: Bool = false, metadata: JSONDocument? = nil) {
            self.isExecutable = isExecutable
            self.metadata = metadata
        }
    }

    /// What to do with a link where content is asked for.
    public enum LinkPolicy: Sendable, Hashable {
        /// A link has no content.
        case ignore
        /// Follow up to 16 links; a relative target starts from the link's folder, as in file systems.
        case follow
        /// Follow up to 16 links; a relative target starts from the link itself, as the living network's drives do.
        case followAsReference
    }

    /// A path in which two versions differ.
    public struct Difference: Sendable, Hashable {
        /// The path.
        public let path: String
        /// The entry in the version that was asked; nil if it has none.
        public let left: Entry?
        /// The entry in the version compared with; nil if it has none.
        public let right: Entry?
    }

    /// Something directly in a folder.
    public struct Child: Sendable, Hashable {
        /// The name in the folder.
        public let name: String
        /// The entry of this name; nil for what is only a folder.
        public let entry: Entry?
        /// Whether there is something below the name.
        public let isFolder: Bool
        /// The first path at or below the name.
        public let firstPath: String
    }
}
