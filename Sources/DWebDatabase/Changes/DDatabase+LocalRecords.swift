import DWebBase
import DWebLogCore
import DWebPorts

extension DDatabase {
    // MARK: Local records

    /// The bytes kept under a binary key beside the log, or nil. They are local: peers never see them.
    ///
    /// - Throws: ``DDatabaseError`` with code `outOfBounds` (a key above 2,048 bytes), `storage` or `closed`.
    public func localRecord(_ key: [UInt8]) async throws(DDatabaseError) -> [UInt8]? {
        try checkOpen()
        return try await engine.localRecord(key)
    }

    /// Keeps `value` under a binary key beside the log; nil removes it. Truncation does not touch it.
    ///
    /// - Throws: ``DDatabaseError`` with code `outOfBounds` (a key above 2,048 bytes), `storage` or `closed`.
    public func setLocalRecord(_ key: [UInt8], _ value: [UInt8]?) async throws(DDatabaseError) {
        try checkOpen()
        try await engine.setLocalRecord(key, value)
    }

    /// Up to `limit` local records whose keys begin with `prefix`, in the order of their keys.
    ///
    /// - Throws: ``DDatabaseError`` with code `outOfBounds` (a prefix above 2,048 bytes), `storage` or `closed`.
    public func localRecords(
        prefix: [UInt8] = [], limit: Int = .max
    ) async throws(DDatabaseError) -> [(key: [UInt8], value: [UInt8])] {
        try checkOpen()
        return try await engine.localRecords(prefix: prefix, limit: limit)
    }
}

extension LogEngine {
    private func checkLocalKey(_ key: [UInt8]) throws(DDatabaseError) {
        guard key.count <= DataKeys.localKeyByteLimit else {
            throw DDatabaseError(.outOfBounds, "A local key has at most \(DataKeys.localKeyByteLimit) bytes")
        }
    }

    fileprivate func localRecord(_ key: [UInt8]) async throws(DDatabaseError) -> [UInt8]? {
        try checkAlive()
        try checkLocalKey(key)
        return try await read(keys.local(key))
    }

    fileprivate func setLocalRecord(_ key: [UInt8], _ value: [UInt8]?) async throws(DDatabaseError) {
        try checkLocalKey(key)
        await enterMutation()
        defer { mutations.leave() }
        try checkAlive()
        var batch = WriteBatch()
        if let value { batch.put(keys.local(key), value) } else { batch.delete(keys.local(key)) }
        try await apply(batch)
    }

    fileprivate func localRecords(
        prefix: [UInt8], limit: Int
    ) async throws(DDatabaseError) -> [(key: [UInt8], value: [UInt8])] {
        try checkAlive()
        try checkLocalKey(prefix)
        let span = keys.locals(prefix: prefix)
        do throws(PortError) {
            return try await storage.entries(from: span.start, to: span.end, limit: limit, isReversed: false)
                .map { (key: Array($0.key.dropFirst(keys.local([]).count)), value: $0.value) }
        } catch {
            throw DDatabaseError(storage: error)
        }
    }
}
