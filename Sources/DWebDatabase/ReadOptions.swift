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
