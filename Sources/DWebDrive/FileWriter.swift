import DWebDatabase
import DWebPorts

/// Writes one file piece by piece; see ``DDrive/writer(to:_:blocking:)``.
///
/// The file appears at its path with ``finish()``. From the first piece on nothing else can append content to the
/// drive, until the writer is finished, aborted or let go.
public actor FileWriter {
    /// How pieces become blocks of the content log.
    public enum Blocking: Sendable, Hashable {
        /// Blocks of 64 KiB, however the pieces come.
        case even
        /// One block for each piece, of any size up to 15 MiB.
        case perPiece
        /// Blocks of 0.5 to 8 MiB that end where the content says so, as the living network cuts files that it
        /// deduplicates: bytes that moved within a file, or to another one, give the same blocks. Spec 50 section 8.8.
        case byContent
    }

    private nonisolated let drive: DDrive
    private nonisolated let path: DrivePath
    private nonisolated let attributes: DDrive.Attributes
    private nonisolated let blocking: Blocking
    private var turn: ContentTurn?
    private var run: ContentRun?
    private var start: (block: UInt64, byte: UInt64) = (0, 0)
    private var rest: [UInt8] = []
    private var cutter = ContentCutter()
    private var isEnded = false
    private var isBusy = false

    init(drive: DDrive, path: DrivePath, attributes: DDrive.Attributes, blocking: Blocking) {
        self.drive = drive
        self.path = path
        self.attributes = attributes
        self.blocking = blocking
    }

    /// The runtime's loop.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { drive.unownedExecutor }

    /// Adds a piece. One call at a time.
    ///
    /// - Throws: ``DDriveError`` with code `closed` after the end, `tooLarge`, `conflict`, `storage` or `closed`.
    public func write(_ piece: [UInt8]) async throws(DDriveError) {
        try begin()
        defer { isBusy = false }
        var run = try await takeRun()
        switch blocking {
        case .perPiece:
            if !piece.isEmpty { run.add(piece) }
        case .even:
            var offset = 0
            if !rest.isEmpty {
                offset = min(piece.count, DriveLimits.contentBlockByteCount - rest.count)
                rest += piece[..<offset]
                if rest.count == DriveLimits.contentBlockByteCount {
                    run.add(rest)
                    rest = []
                }
            }
            while piece.count - offset >= DriveLimits.contentBlockByteCount {
                run.add(Array(piece[offset..<offset + DriveLimits.contentBlockByteCount]))
                offset += DriveLimits.contentBlockByteCount
            }
            rest += piece[offset...]
        case .byContent:
            var start = 0
            while let end = cutter.cut(piece[start...]) {
                run.add(rest + piece[start..<end])
                rest = []
                start = end
            }
            rest += piece[start...]
        }
        if run.isFull { try await flush(&run) }
        self.run = run
    }

    /// Ends the file and makes it appear at its path.
    ///
    /// - Returns: The new entry.
    /// - Throws: ``DDriveError`` as ``write(_:)``; nothing has changed then.
    @discardableResult
    public func finish() async throws(DDriveError) -> DDrive.Entry {
        try await drive.put(try await finishContent(), at: path)
    }

    /// Ends the content, and returns the record that leads to it.
    func finishContent() async throws(DDriveError) -> EntryRecord {
        try begin()
        defer { isBusy = false }
        var run = try await takeRun()
        isEnded = true
        if !rest.isEmpty { run.add(rest) }
        rest = []
        try await flush(&run)
        turn = nil
        var record = EntryRecord()
        record.blob = BlobID(
            blockOffset: start.block, byteOffset: start.byte, blockLength: run.length - start.block,
            byteLength: run.byteLength - start.byte)
        record.isExecutable = attributes.isExecutable
        record.metadata = attributes.metadata
        return record
    }

    /// Ends without a file. What was appended stays in the content log, without a path. Callable more than once.
    public func abort() {
        isEnded = true
        turn = nil
        run = nil
        rest = []
    }

    private func begin() throws(DDriveError) {
        guard !isEnded else { throw DDriveError(.closed, "The file \(path.text) was finished or aborted") }
        precondition(!isBusy, "a file writer takes one piece at a time")
        isBusy = true
    }

    private func takeRun() async throws(DDriveError) -> ContentRun {
        if let run { return run }
        let log = try await drive.engine.content(.localOnly)
        await drive.engine.takeContentTurn()
        turn = ContentTurn(drive.engine)
        guard !isEnded else {
            turn = nil
            throw DDriveError(.closed, "The file \(path.text) was aborted")
        }
        let run = ContentRun(log: log)
        start = (run.length, run.byteLength)
        self.run = run
        return run
    }

    private func flush(_ run: inout ContentRun) async throws(DDriveError) {
        do throws(DDriveError) {
            try await run.flush()
        } catch {
            abort()
            throw error
        }
    }
}

/// The turn to append content; given back at the latest when nobody holds it any more.
final class ContentTurn: Sendable {
    private let engine: DriveEngine

    init(_ engine: DriveEngine) { self.engine = engine }

    deinit {
        let engine = engine
        engine.loop.execute { engine.assumeIsolated { $0.leaveContentTurn() } }
    }
}
