/// The bounds that a drive keeps, whoever wrote it; spec 50 section 11.
package enum DriveLimits {
    /// Floors of arrays and objects in a JSON text.
    package static let jsonDepth = 64
    /// Bytes of an entry's JSON text.
    package static let entryByteCount = 1 << 20
    /// Bytes of a path.
    package static let pathByteCount = 16_384
    /// Bytes of one part of a path when it is written to a folder.
    package static let nameByteCount = 255
    /// Links that are followed one after the other; spec 50 section 9.5.3.
    package static let linkCount = 16
    /// Bytes of a block of a log.
    package static let blockByteCount: UInt64 = 15 << 20
    /// Blocks of a block map; spec 50 section 8.6.
    package static let mapBlockCount: UInt64 = 64
    /// Entries of one block of a block map; spec 50 section 8.6.
    package static let mapEntriesPerBlock = 8_192
    /// Bytes of content that a reader keeps in memory at once, about.
    package static let windowByteCount: UInt64 = 2 << 20
    /// Blocks that a reader asks for at once.
    package static let windowBlockCount: UInt64 = 64
    /// Bytes of the blocks that files are cut into; spec 50 section 8.3.
    package static let contentBlockByteCount = 65_536
    /// Bytes that one append of content takes.
    package static let appendByteCount = 1 << 20
    /// Files of at most this many bytes are written in groups.
    package static let smallFileByteCount = 256 << 10
    /// Files in one group.
    package static let groupFileCount = 512
    /// Bytes in one group.
    package static let groupByteCount = 4 << 20
    /// Files that are fetched at the same time.
    package static let parallelFileCount = 32
    /// Runs of blocks that an export asks for before it needs them.
    package static let aheadRangeCount = 65_536
    /// Refusals that a summary lists; further ones are only counted.
    package static let refusalCount = 1_000
    /// Bytes of one file with ignore rules.
    package static let ignoreFileByteCount = 1 << 20
    /// Floors of folders that a local folder is read to.
    package static let folderDepth = 256
}
