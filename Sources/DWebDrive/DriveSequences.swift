import DWebDatabase
import DWebTree

extension DDrive {
    /// Entries in the order of paths; see ``DDrive/entries(in:_:reportingTo:)``.
    public struct Entries: AsyncSequence, Sendable {
        /// What the sequence gives.
        public typealias Element = Entry
        /// How the sequence fails.
        public typealias Failure = DDriveError

        let drive: DDrive
        let folder: String
        let options: ReadOptions
        let report: (@Sendable (DDriveError) -> Void)?

        /// An independent pass over the entries.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(sequence: self) }

        /// One pass over the entries.
        public struct AsyncIterator: AsyncIteratorProtocol {
            let sequence: Entries
            private var iterator: DTree.Entries.AsyncIterator?

            init(sequence: Entries) { self.sequence = sequence }

            /// The next entry, or nil at the end.
            ///
            /// - Throws: ``DDriveError`` as ``DDrive/entry(at:links:_:)``.
            public mutating func next(
                isolation actor: isolated (any Actor)? = #isolation
            ) async throws(DDriveError) -> Entry? {
                if iterator == nil {
                    let range = try DDrive.folderPath(sequence.folder).range
                    iterator = sequence.drive.files.entries(in: range, sequence.options).makeAsyncIterator()
                }
                while true {
                    let entry: DTree.Entry?
                    do throws(DTreeError) { entry = try await iterator?.next() } catch { throw DDriveError(error) }
                    guard let entry else { return nil }
                    do throws(DDriveError) { return try Entry(entry) } catch { sequence.report?(error) }
                }
            }
        }
    }

    /// What is directly in a folder; see ``DDrive/children(of:_:)``.
    public struct Children: AsyncSequence, Sendable {
        /// What the sequence gives.
        public typealias Element = Child
        /// How the sequence fails.
        public typealias Failure = DDriveError

        let drive: DDrive
        let folder: String
        let options: ReadOptions

        /// An independent pass over the folder.
        public func makeAsyncIterator() -> AsyncIterator {
            AsyncIterator(drive: drive, folder: folder, options: options)
        }

        /// One pass over the folder.
        public struct AsyncIterator: AsyncIteratorProtocol {
            private var drive: DDrive
            private let folder: String
            private let options: ReadOptions
            private var range: KeyRange?

            init(drive: DDrive, folder: String, options: ReadOptions) {
                self.drive = drive
                self.folder = folder
                self.options = options
            }

            /// The next name, or nil at the end.
            ///
            /// - Throws: ``DDriveError`` as ``DDrive/entry(at:links:_:)``.
            public mutating func next(
                isolation actor: isolated (any Actor)? = #isolation
            ) async throws(DDriveError) -> Child? {
                let folder = try DDrive.folderPath(folder)
                // All steps of a pass see one version.
                if range == nil { drive = try await drive.settled(options) }
                var range = self.range ?? folder.range
                defer { self.range = range }
                while let found = try await first(in: range) {
                    range.lower = .excluding(found.key)
                    guard let path = try? DrivePath(stored: found.key), path.isInside(folder) else { continue }
                    let name = String(path.text.dropFirst(folder.folderPrefix.count).prefix { $0 != "/" })
                    let child = folder.appending(name)
                    let isFile = path == child
                    if isFile {
                        guard let entry = try? Entry(found) else { continue }
                        let inside = try await first(in: child.range)
                        return Child(name: name, entry: entry, isFolder: inside != nil, firstPath: path.text)
                    }
                    // The successor of the slash: a file of that very name may exist, so it is not skipped.
                    range.lower = .including(child.bytes + [UInt8(ascii: "0")])
                    // A file of the same name came before, with everything that sorts between the two.
                    if try await first(in: KeyRange(gte: child.bytes, lte: child.bytes)) != nil { continue }
                    return Child(name: name, entry: nil, isFolder: true, firstPath: path.text)
                }
                return nil
            }

            private func first(in range: KeyRange) async throws(DDriveError) -> DTree.Entry? {
                do throws(DTreeError) {
                    return try await drive.files.first(in: range, options)
                } catch {
                    throw DDriveError(error)
                }
            }
        }
    }

    /// Paths in which two versions differ; see ``DDrive/differences(from:in:_:)``.
    public struct Differences: AsyncSequence, Sendable {
        /// What the sequence gives.
        public typealias Element = Difference
        /// How the sequence fails.
        public typealias Failure = DDriveError

        let drive: DDrive
        let version: UInt64
        let folder: String
        let options: ReadOptions

        /// An independent pass over the differences.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(sequence: self) }

        /// One pass over the differences.
        public struct AsyncIterator: AsyncIteratorProtocol {
            let sequence: Differences
            private var iterator: DTree.Differences.AsyncIterator?

            init(sequence: Differences) { self.sequence = sequence }

            /// The next difference, or nil at the end. Paths that are not in normal form are left out.
            ///
            /// - Throws: ``DDriveError`` as ``DDrive/entry(at:links:_:)``.
            public mutating func next(
                isolation actor: isolated (any Actor)? = #isolation
            ) async throws(DDriveError) -> Difference? {
                if iterator == nil {
                    let range = try DDrive.folderPath(sequence.folder).range
                    iterator = sequence.drive.files.differences(from: sequence.version, in: range, sequence.options)
                        .makeAsyncIterator()
                }
                while true {
                    let step: DTree.Difference?
                    do throws(DTreeError) { step = try await iterator?.next() } catch { throw DDriveError(error) }
                    guard let step else { return nil }
                    guard let key = step.left?.key ?? step.right?.key, let path = try? DrivePath(stored: key) else {
                        continue
                    }
                    let left = step.left.flatMap { try? Entry($0) }
                    let right = step.right.flatMap { try? Entry($0) }
                    guard left != nil || right != nil else { continue }
                    return Difference(path: path.text, left: left, right: right)
                }
            }
        }
    }

    /// Pairs of versions between which something changed; see ``DDrive/changes(in:_:)``.
    public struct Changes: AsyncSequence, Sendable {
        /// How the sequence fails.
        public typealias Failure = DDriveError

        /// Two versions, each a drive that can be read.
        public struct Element: Sendable {
            /// The newer version.
            public let current: DDrive
            /// The version of the pair before, or that at the start.
            public let previous: DDrive
        }

        let drive: DDrive
        let folder: String
        let options: ReadOptions

        /// An independent watch, which starts at the version of this moment.
        public func makeAsyncIterator() -> AsyncIterator {
            let range = (try? DDrive.folderPath(folder).range) ?? .all
            return AsyncIterator(
                engine: drive.engine, iterator: drive.files.changes(in: range, options).makeAsyncIterator())
        }

        /// One watch.
        public struct AsyncIterator: AsyncIteratorProtocol {
            let engine: DriveEngine
            var iterator: DTree.Changes.AsyncIterator

            /// The next pair; nil only for a version that was checked out.
            ///
            /// - Throws: ``DDriveError`` with code `cancelled`, `closed`, and as ``DDrive/entry(at:links:_:)``.
            public mutating func next(
                isolation actor: isolated (any Actor)? = #isolation
            ) async throws(DDriveError) -> Element? {
                do throws(DTreeError) {
                    guard let pair = try await iterator.next() else { return nil }
                    return Element(
                        current: DDrive(engine: engine, files: pair.current),
                        previous: DDrive(engine: engine, files: pair.previous))
                } catch {
                    throw DDriveError(error)
                }
            }
        }
    }

    /// The content of a file in pieces; see ``DDrive/content(of:range:links:_:)``.
    public struct Content: AsyncSequence, Sendable {
        /// What the sequence gives.
        public typealias Element = [UInt8]
        /// How the sequence fails.
        public typealias Failure = DDriveError

        enum Source: Sendable {
            case path(String, LinkPolicy)
            case entry(Entry)
        }

        let drive: DDrive
        let source: Source
        let range: Range<UInt64>?
        let options: ReadOptions

        /// An independent pass over the content.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(sequence: self) }

        /// One pass over the content.
        public struct AsyncIterator: AsyncIteratorProtocol {
            let sequence: Content
            private var reader: BlobReader?
            private var isOpen = false
            private var ahead: [[UInt8]] = []
            private var aheadOffset = 0

            init(sequence: Content) { self.sequence = sequence }

            /// The next piece, never empty, or nil at the end.
            ///
            /// - Throws: ``DDriveError`` with code `notFound` if there is no content at the path, and as
            ///   ``DDrive/entry(at:links:_:)``.
            public mutating func next(
                isolation actor: isolated (any Actor)? = #isolation
            ) async throws(DDriveError) -> [UInt8]? {
                while aheadOffset == ahead.count {
                    if !isOpen { try await open() }
                    guard reader != nil else { return nil }
                    let options = sequence.options
                    ahead = try await reader?.next(options) ?? []
                    aheadOffset = 0
                    if ahead.isEmpty {
                        reader = nil
                        return nil
                    }
                    ahead.removeAll { $0.isEmpty }
                }
                defer {
                    aheadOffset += 1
                    if aheadOffset == ahead.count {
                        ahead = []
                        aheadOffset = 0
                    }
                }
                return ahead[aheadOffset]
            }

            private mutating func open() async throws(DDriveError) {
                isOpen = true
                let entry: Entry
                switch sequence.source {
                case .entry(let known): entry = known
                case .path(let path, let links):
                    guard let found = try await sequence.drive.entry(at: path, links: links, sequence.options) else {
                        throw DDriveError(.notFound, "There is nothing at \(path)")
                    }
                    entry = found
                }
                guard let blob = entry.blob else {
                    throw DDriveError(.notFound, "\(entry.path) has no content")
                }
                let log = try await sequence.drive.engine.content(sequence.options)
                reader = try await BlobReader(
                    blob, range: sequence.range, path: entry.path, log: log, sequence.options)
            }
        }
    }

    /// The entry at a path, or everything below it.
    struct Targets: AsyncSequence, Sendable {
        typealias Element = Entry
        typealias Failure = DDriveError

        let drive: DDrive
        let path: String
        let options: ReadOptions

        func makeAsyncIterator() -> AsyncIterator { AsyncIterator(sequence: self) }

        struct AsyncIterator: AsyncIteratorProtocol {
            let sequence: Targets
            private var iterator: Entries.AsyncIterator?
            private var isFinished = false

            init(sequence: Targets) { self.sequence = sequence }

            mutating func next(
                isolation actor: isolated (any Actor)? = #isolation
            ) async throws(DDriveError) -> Entry? {
                if isFinished { return nil }
                if iterator == nil {
                    let path = try DDrive.folderPath(sequence.path)
                    let isFolder = path.isRoot || sequence.path.hasSuffix("/")
                    if !isFolder, let entry = try await sequence.drive.entry(at: path.text, sequence.options) {
                        isFinished = true
                        return entry
                    }
                    iterator = sequence.drive.entries(in: path.text, sequence.options).makeAsyncIterator()
                }
                let entry = try await iterator?.next()
                if entry == nil { isFinished = true }
                return entry
            }
        }
    }
}
