import DWebCrypto
import DWebLogCore
package import DWebPorts

/// Changes of several logs of one store that happen together or not at all; see `Basestore.commit(_:)`.
///
/// Changes of one log take effect in the order they were added.
public struct Atom: Sendable {
    enum Change: Sendable {
        case append([[UInt8]], BlockEncryption?)
        case truncate(UInt64)
        case keep(name: String, value: [UInt8]?)
    }

    private(set) var changes: [(database: DDatabase, change: Change)] = []

    /// No changes.
    public init() {}

    /// Whether there is no change.
    public var isEmpty: Bool { changes.isEmpty }

    /// Appends blocks to a log; committing gives their indices.
    public mutating func append(_ blocks: [[UInt8]], to database: DDatabase) {
        changes.append((database, .append(blocks, database.encryption)))
    }

    /// Cuts a log after `length` blocks.
    public mutating func truncate(_ database: DDatabase, to length: UInt64) {
        changes.append((database, .truncate(length)))
    }

    /// Keeps `value` under `name` beside a log; nil removes it.
    public mutating func setUserData(_ name: String, _ value: [UInt8]?, of database: DDatabase) {
        changes.append((database, .keep(name: name, value: value)))
    }

    /// Makes all changes with one write.
    ///
    /// - Returns: The indices of the appended blocks, for each append in the order they were added.
    package func commit(
        storage: any KeyValueStore, durability: Durability
    ) async throws(DDatabaseError) -> [Range<UInt64>] {
        var engines: [LogEngine] = []
        for (database, _) in changes {
            try await database.checkOpen()
            guard database.frozen == nil else { throw DDatabaseError(.notWritable, "A snapshot cannot be changed") }
            guard database.engine.storage === storage else {
                throw DDatabaseError(.conflict, "The log \(database.key) belongs to another store")
            }
            if database.isRecovering { try await database.engine.waitForRecovery(for: database.hold.session) }
            if !engines.contains(where: { $0 === database.engine }) { engines.append(database.engine) }
        }
        // Everybody who needs several logs takes them in this order, so that nobody waits for each other.
        engines.sort { $0.discoveryKey < $1.discoveryKey }
        for engine in engines { await engine.enterMutation() }
        let outcome: Result<[Range<UInt64>], DDatabaseError>
        do throws(DDatabaseError) {
            outcome = .success(try await commit(engines, storage, durability))
        } catch {
            outcome = .failure(error)
        }
        for engine in engines { await engine.leaveMutation() }
        return try outcome.get()
    }

    private func commit(
        _ engines: [LogEngine], _ storage: any KeyValueStore, _ durability: Durability
    ) async throws(DDatabaseError) -> [Range<UInt64>] {
        var batch = WriteBatch()
        var prepared: [LogEngine.PreparedChange] = []
        var ranges: [Int: Range<UInt64>] = [:]
        for engine in engines {
            let own = changes.enumerated().filter { $0.element.database.engine === engine }
            let change = try await engine.prepare(own.map { (number: $0.offset, change: $0.element.change) })
            batch.append(change.batch)
            ranges.merge(change.ranges) { $1 }
            prepared.append(change)
        }
        if !batch.isEmpty {
            do throws(PortError) {
                try await storage.apply(batch, durability: durability)
            } catch {
                var failure = DDatabaseError(storage: error)
                for engine in engines { failure = await engine.poison(error) }
                throw failure
            }
        }
        for (engine, change) in zip(engines, prepared) { await engine.adopt(change) }
        return ranges.sorted { $0.key < $1.key }.map(\.value)
    }
}

extension LogEngine {
    /// What an atom makes of one log.
    struct PreparedChange: Sendable {
        fileprivate let batch: WriteBatch
        fileprivate let ranges: [Int: Range<UInt64>]
        fileprivate let change: LogChange
        fileprivate let write: HeadWrite?
    }

    func leaveMutation() { mutations.leave() }

    /// Makes changes in memory; to be called by whoever has the turn to change the log.
    fileprivate func prepare(_ changes: [(number: Int, change: Atom.Change)]) async throws(DDatabaseError)
        -> PreparedChange
    {
        try checkChangeable()
        var change = LogChange(of: tree)
        var ranges: [Int: Range<UInt64>] = [:]
        for (number, next) in changes {
            switch next {
            case .append(let blocks, let encryption):
                guard isAppendable() else { throw notWritable() }
                let cipher = try cipher(of: encryption)
                try check(blocks, isEncrypted: cipher != nil, after: change.tree)
                ranges[number] = change.append(blocks, cipher: cipher)
            case .truncate(let length):
                guard LogEngine.canSign(signerKey, manifest) else { throw notWritable() }
                try check(truncationOf: change.tree, to: length)
                let before = change
                change = try await repeatingLoads { [nodes] () throws(ProofError) in
                    var next = before
                    try next.truncate(to: length, source: nodes)
                    return next
                }
            case .keep(let name, let value): change.userData.append((name, value))
            }
        }
        var batch = WriteBatch()
        var newSignature: [UInt8]?
        if change.changesHistory {
            try checkPrologue(change.tree, change.created.values)
            newSignature = try await sign(change.tree)
        }
        let write = put(change, signature: newSignature, into: &batch)
        return PreparedChange(batch: batch, ranges: ranges, change: change, write: write)
    }

    fileprivate func adopt(_ prepared: PreparedChange) { adopt(prepared.change, prepared.write) }

    /// The cipher of a session of this log.
    func cipher(of encryption: BlockEncryption?) throws(DDatabaseError) -> BlockCipher? {
        guard let encryption else { return nil }
        guard let cipher = encryption.cipher(for: key, isCompatible: published.isCompatible) else {
            throw DDatabaseError(.undecipherable, "How the log \(key) is signed, and so encrypted, is not known yet")
        }
        return cipher
    }

    /// Refuses blocks that are too large, or too many for a log.
    func check(
        _ blocks: [[UInt8]], isEncrypted: Bool, after tree: MerkleTree
    ) throws(DDatabaseError) {
        let padding = isEncrypted ? BlockCipher.paddingByteCount : 0
        let mostByteCount = LogLimits.blockByteCount - padding
        var byteLength = tree.byteLength
        for block in blocks {
            guard block.count <= mostByteCount else {
                throw DDatabaseError(
                    .blockTooLarge, "A block has at most \(mostByteCount) bytes, this one has \(block.count)")
            }
            byteLength = byteLength.addingClamped(UInt64(block.count + padding))
        }
        guard byteLength <= LogLimits.treeByteLength, UInt64(blocks.count) <= LogLimits.length - tree.length else {
            throw DDatabaseError(.outOfBounds, "The log has reached the largest size that logs may have")
        }
    }

    /// Refuses to cut behind the end or in the part that the manifest fixes.
    func check(truncationOf tree: MerkleTree, to length: UInt64) throws(DDatabaseError) {
        guard length <= tree.length else {
            throw DDatabaseError(.outOfBounds, "The log has \(tree.length) blocks, fewer than \(length)")
        }
        if let prologue = verifier?.prologue, length < prologue.length {
            throw DDatabaseError(.outOfBounds, "The first \(prologue.length) blocks of the log are fixed")
        }
    }
}
