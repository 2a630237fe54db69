import DWebBase
import DWebDatabase
import DWebLogCore
import DWebPorts

extension StoreEngine {
    /// Where logs get pointers.
    nonisolated var pointers: PointerSource {
        PointerSource(
            data: { [weak self] () async throws(DDatabaseError) -> UInt64 in
                guard let self else { throw StoreEngine.goneError }
                return try await self.allocateData()
            },
            group: { [weak self] (topic) async throws(DDatabaseError) -> UInt64 in
                guard let self else { throw StoreEngine.goneError }
                return try await self.groupPointer(topic)
            })
    }

    private static let goneError = DDatabaseError(.closed, "The store is closed")

    private func allocateData() async throws(DDatabaseError) -> UInt64 {
        try await translated { () async throws(BasestoreError) in
            try await inTurn { engine async throws(BasestoreError) -> UInt64 in
                var newHead = engine.head
                newHead.nextData += 1
                var batch = WriteBatch()
                batch.put(StoreRecordKeys.head, newHead.encoded)
                try await engine.apply(batch)
                engine.head = newHead
                return newHead.nextData - 1
            }
        }
    }

    private func groupPointer(_ topic: Bytes32) async throws(DDatabaseError) -> UInt64 {
        try await translated { () async throws(BasestoreError) in
            try await inTurn { engine async throws(BasestoreError) -> UInt64 in
                if let known = try await engine.storedGroupPointer(topic) { return known }
                var newHead = engine.head
                newHead.nextGroup += 1
                var pointer = ByteWriter()
                pointer.writeUInt(newHead.nextGroup - 1)
                var batch = WriteBatch()
                batch.put(StoreRecordKeys.head, newHead.encoded)
                batch.put(StoreRecordKeys.groupTopic(topic), pointer.bytes)
                try await engine.apply(batch)
                engine.head = newHead
                return newHead.nextGroup - 1
            }
        }
    }

    /// The pointer of a group that was made before.
    func storedGroupPointer(_ topic: Bytes32) async throws(BasestoreError) -> UInt64? {
        guard let bytes = try await read(StoreRecordKeys.groupTopic(topic)) else { return nil }
        var reader = ByteReader(bytes)
        do throws(CodecError) {
            return try reader.readUInt()
        } catch {
            throw BasestoreError(.storage, "The record of a group is damaged")
        }
    }

    private func translated(
        _ body: () async throws(BasestoreError) -> UInt64
    ) async throws(DDatabaseError) -> UInt64 {
        do throws(BasestoreError) {
            return try await body()
        } catch {
            throw DDatabaseError(error.code == .closed ? .closed : .storage, error.detail)
        }
    }
}
