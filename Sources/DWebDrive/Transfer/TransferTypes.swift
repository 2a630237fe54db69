/// How far a transfer is; one model for downloads, imports and exports.
public struct TransferProgress: Sendable, Hashable {
    /// What a transfer is doing.
    public enum Phase: Sendable, Hashable {
        /// Not started.
        case waiting
        /// Finding out what there is to do.
        case listing
        /// Moving content.
        case transferring
        /// Done, successfully or not.
        case finished
    }

    /// What the transfer is doing.
    public package(set) var phase: Phase = .waiting
    /// Files that are done.
    public package(set) var fileCount = 0
    /// All files; nil until it is known.
    public package(set) var totalFileCount: Int?
    /// Bytes of content that are done.
    public package(set) var byteCount: UInt64 = 0
    /// All bytes; nil until it is known.
    public package(set) var totalByteCount: UInt64?
    /// Bytes in a second, over the last few seconds.
    public package(set) var bytesPerSecond: Double = 0
    /// The time until the end at the present rate; nil while that cannot be told.
    public package(set) var remainingTime: Duration?
    /// The peers that the drive's content is exchanged with.
    public package(set) var peerCount = 0
    /// The path that was taken up last; nil before the first.
    public package(set) var path: String?

    /// Nothing done yet.
    package init() {}
}

/// What a transfer did.
public struct TransferSummary: Sendable, Hashable {
    /// Something that was left out, and why.
    public struct Refusal: Sendable, Hashable {
        /// The path in the drive.
        public let path: String
        /// One sentence for people, without a full stop.
        public let reason: String
    }

    /// Files and links that were new.
    public package(set) var addedCount = 0
    /// Files and links that were different.
    public package(set) var changedCount = 0
    /// Files and links that were removed.
    public package(set) var removedCount = 0
    /// Files and links that were the same already.
    public package(set) var equalCount = 0
    /// Bytes of content that were written or downloaded.
    public package(set) var byteCount: UInt64 = 0
    /// What was left out: the first thousand.
    public package(set) var refusals: [Refusal] = []
    /// How much was left out.
    public package(set) var refusalCount = 0
    /// The version of the drive that was mirrored or downloaded; 0 where that did not begin.
    public package(set) var version: UInt64 = 0

    /// Nothing done.
    package init() {}
}

/// One step of a mirror.
public struct MirrorEvent: Sendable, Hashable {
    /// What happens to a path.
    public enum Operation: Sendable, Hashable {
        /// It is new.
        case add
        /// It is different.
        case change
        /// It is removed.
        case remove
        /// It is the same already; only reported if asked for.
        case equal
        /// It is left out, for this reason.
        case refuse(reason: String)
    }

    /// What happens.
    public let operation: Operation
    /// The path in the drive.
    public let path: String
    /// Bytes of content that come.
    public let addedByteCount: UInt64
    /// Bytes of content that go.
    public let removedByteCount: UInt64
}

/// How to mirror between a drive and a local folder.
public struct MirrorOptions: Sendable {
    /// Which links a folder may get from a drive.
    public enum Links: Sendable, Hashable {
        /// Those that provably stay in the folder.
        case inside
        /// None.
        case none
        /// All, as they are. A drive of a stranger can make them lead anywhere.
        case all
    }

    /// The folder of the drive that corresponds to the local folder.
    public var prefix = "/"
    /// The version of the drive after which changes matter: a folder that has that version is brought to the present
    /// one without a look at the rest. Nil looks at everything. For mirrors to a folder.
    public var since: UInt64?
    /// What is left out on both sides.
    public var ignore = IgnoreRules.operatingSystemJunk
    /// Files in the local folder whose rules, in the gitignore format, hold for their folder.
    public var ignoreFileNames = [".dwebignore", ".drivesignore"]
    /// Whether to remove from the target what the source lacks.
    public var prunes = false
    /// Whether files and links of the local folder that no mirror of this drive put there, or that were changed since,
    /// are left alone: they are refused instead of replaced or removed. For mirrors to a folder.
    ///
    /// What is written is noted beside the drive's log, and not compared again while it looks unchanged.
    public var keepsForeignFiles = false
    /// Whether to compare contents even where nothing looks changed.
    public var comparesAll = false
    /// What is known of the local folder from mirrors before, so that unchanged files are not read again. For mirrors
    /// from a folder.
    public var memory: FolderMemory?
    /// Whether to report only, and change nothing.
    public var isDryRun = false
    /// Whether the drive changes with a single new version.
    public var isAtomic = false
    /// Which links are written to a folder.
    public var links = Links.inside
    /// Whether names that some file systems cannot tell apart are refused: the default where that is common.
    public var refusesCollidingNames = MirrorOptions.isCaseBlind
    /// Whether events are reported for what is the same already.
    public var reportsEqual = false
    /// How long to go on without any progress; nil for ever.
    public var stallTimeout: Duration? = .seconds(30)
    /// Called with every step, before it is done.
    public var report: (@Sendable (MirrorEvent) async -> Void)?

    #if canImport(Darwin)
        private static let isCaseBlind = true
    #else
        private static let isCaseBlind = false
    #endif

    /// The defaults: nothing is pruned, junk is left out.
    public init() {}
}
