import DWebBase
import DWebLogCore
import DWebPorts

/// The blocks that were stored when a snapshot was taken, for as long as the snapshot is open.
///
/// The view may be lost earlier, when the store is suspended: it then sees nothing.
final class SnapshotView: Sendable {
    private let snapshot: any KeyValueSnapshot
    private let keys: DataKeys

    init(_ snapshot: any KeyValueSnapshot, keys: DataKeys) {
        self.snapshot = snapshot
        self.keys = keys
    }

    deinit { snapshot.close() }

    /// The block as it was stored at that moment; nil if it was not.
    func block(at index: UInt64) async throws(DDatabaseError) -> [UInt8]? {
        do throws(PortError) {
            switch try snapshot.readImmediately(keys.block(index)) {
            case .value(let bytes): return bytes
            case .absent: return nil
            case .wouldWait: return try await snapshot.read([keys.block(index)])[0]
            }
        } catch {
            if error.code == .closed { return nil }
            throw DDatabaseError(storage: error)
        }
    }

    /// The bytes of the first `length` blocks; nil if the tree nodes were not stored at that moment.
    func byteLength(at length: UInt64) async throws(DDatabaseError) -> UInt64? {
        let roots = Array(FlatTree.fullRoots(length: length))
        do throws(PortError) {
            var total: UInt64 = 0
            for (index, bytes) in zip(roots, try await snapshot.read(roots.map { keys.node($0) })) {
                guard let node = bytes.flatMap({ StoredNodes.decode($0, index) }) else { return nil }
                total = total.addingClamped(node.size)
            }
            return total
        } catch {
            if error.code == .closed { return nil }
            throw DDatabaseError(storage: error)
        }
    }

    /// Whether every block of a range below `length` was stored at that moment.
    func hasBlocks(_ range: Range<UInt64>, before length: UInt64) async throws(DDatabaseError) -> Bool {
        guard range.upperBound <= length else { return false }
        for index in range where try await block(at: index) == nil { return false }
        return true
    }
}
