package import DWebBase

/// Where a log gets pointers that are unique in its store.
package struct PointerSource: Sendable {
    /// A pointer for content of its own.
    package let data: @Sendable () async throws(DDatabaseError) -> UInt64
    /// The pointer of the group with a topic, made if there is none.
    package let group: @Sendable (Bytes32) async throws(DDatabaseError) -> UInt64

    /// A source by its two answers.
    package init(
        data: @escaping @Sendable () async throws(DDatabaseError) -> UInt64,
        group: @escaping @Sendable (Bytes32) async throws(DDatabaseError) -> UInt64
    ) {
        self.data = data
        self.group = group
    }
}
