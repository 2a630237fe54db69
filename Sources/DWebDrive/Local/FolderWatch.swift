/// Tells when something in a local folder, or a single local file, has changed: by looking at names, sizes and times
/// again and again, which works on every file system.
///
/// A watch gives one element for a burst of changes, once nothing changes any more. The time between two looks grows
/// with the time that a look takes, so that a watch costs at most some percent of a processor.
public struct FolderWatch: AsyncSequence, Sendable {
    /// What the sequence gives: that something has changed.
    public typealias Element = Void
    /// How the sequence fails.
    public typealias Failure = DDriveError

    private let path: String
    private let options: MirrorOptions
    private let interval: Duration

    /// A watch of a folder or file.
    ///
    /// - Parameters:
    ///   - path: The folder or file.
    ///   - options: What is left out.
    ///   - interval: The time between two looks, at least.
    public init(_ path: String, _ options: MirrorOptions = MirrorOptions(), interval: Duration = .seconds(1)) {
        self.path = path
        self.options = options
        self.interval = interval
    }

    /// An independent watch. Its first element comes at once: what changed before the watch began is not known.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(watch: self) }

    /// One watch.
    public struct AsyncIterator: AsyncIteratorProtocol {
        // A look may cost a twentieth of the time.
        private static let costFactor = 20

        private let watch: FolderWatch
        private let worker = FileWorker()
        private var seen: Look?
        private var isFirst = true

        fileprivate init(watch: FolderWatch) { self.watch = watch }

        /// Waits for the next change; nil once the task is cancelled.
        ///
        /// - Throws: ``DDriveError`` with code `localFile` if the folder cannot be read any more.
        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(DDriveError) -> Void? {
            var candidate: Look?
            var pause: Duration = isFirst ? .zero : watch.interval
            isFirst = false
            while true {
                // The clock of the machine, since its files change by it.
                do { try await Task.sleep(for: pause) } catch { return nil }
                let (path, options) = (watch.path, watch.options)
                let started = ContinuousClock.now
                let look = try await worker.run { () throws(LocalFault) in try Look(path, options) }
                pause = Swift.max(watch.interval, (ContinuousClock.now - started) * AsyncIterator.costFactor)
                if let seen, seen.marks == look.marks, !seen.isFresh {
                    candidate = nil
                } else if candidate?.marks == look.marks {
                    seen = look
                    return ()
                } else {
                    candidate = look
                    pause = .milliseconds(100)
                }
            }
        }
    }

    /// What a folder looked like.
    private struct Look: Sendable {
        let marks: [DrivePath: FileMark]
        /// Whether something changed so shortly before that another change may look the same.
        let isFresh: Bool

        init(_ path: String, _ options: MirrorOptions) throws(LocalFault) {
            let now = FileMark.now
            var marks: [DrivePath: FileMark] = [:]
            if let (parent, name) = try? DriveTransfer.split(path),
                let folder = try? LocalFolder(parent, creating: false), let item = try folder.item(at: name),
                case .file = item.kind
            {
                marks[item.path] = item.mark
            } else {
                let walk = FolderWalk(
                    try LocalFolder(path, creating: false), rules: options.ignore,
                    ignoreFileNames: options.ignoreFileNames)
                while true {
                    let items = try walk.next(limit: 4_096)
                    if items.isEmpty { break }
                    for item in items { marks[item.path] = item.mark }
                }
            }
            self.marks = marks
            isFresh = marks.values.contains { $0.isFresh(at: now) }
        }
    }
}
