/// In which order a range is downloaded. Single reads come before any range.
public enum DownloadOrder: Sendable, Hashable {
    /// Ascending, as a player or a reader of the whole log wants it.
    case linear
    /// What fewest of the connected peers have first, so that a log spreads before its source leaves; among equals from
    /// a random place on, so that readers have something to give to each other.
    case rarestFirst
}

/// How a read behaves where the data is not stored locally.
public struct ReadOptions: Sendable, Equatable {
    /// Whether a read may wait for peers.
    public enum WaitPolicy: Sendable, Equatable {
        /// Never: what is not stored locally fails at once with code `blockNotAvailable`.
        case localOnly
        /// Ask peers, present ones and those that connect meanwhile, and fail once the duration has passed.
        case wait(upTo: Duration)
    }

    /// Whether and how long the read waits for peers.
    public var wait: WaitPolicy

    /// Waits for peers up to 30 seconds unless told otherwise.
    public init(wait: WaitPolicy = .wait(upTo: .seconds(30))) { self.wait = wait }

    /// Reads only what is stored locally.
    public static let localOnly = ReadOptions(wait: .localOnly)

    /// Waits for peers up to `duration`.
    public static func wait(upTo duration: Duration) -> ReadOptions { ReadOptions(wait: .wait(upTo: duration)) }
}
