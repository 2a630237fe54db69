/// What is wrong with the bytes or the structure of a tree; spec 50 section 11.
package enum TreeFault: Error, Equatable, Sendable {
    /// The block is no valid protobuf message, or a required field is missing.
    case malformed
    /// The first block does not say that the log is a tree.
    case notATree
    /// The block was written by another format, told by its first byte; 0 and 1 are the successor's.
    case unsupportedFormat(UInt8)
    /// A node has impossible counts, or points to something that cannot be there.
    case invalidStructure
    /// Keys are not in order.
    case unsortedKeys
    /// The tree is deeper than any honest one.
    case tooDeep
    /// The requested version ends inside a batch, so it has no root.
    case notAVersion
    /// A key above the size limit.
    case keyTooLarge
}

/// Why a step of an algorithm cannot go on.
package enum TreeStop: Error, Equatable, Sendable {
    /// This block must be loaded; then the same step is tried again.
    case missing(UInt64)
    /// This block is not what a tree may contain.
    case fault(TreeFault, block: UInt64)
}
