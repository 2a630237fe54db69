/// Why a proof could not be made or is not accepted; spec 30 section D.3.
package enum ProofError: Error, Equatable, Sendable {
    /// Nothing is wrong: these nodes must be loaded from storage first, then the same call repeated.
    case notLoaded([UInt64])
    /// The proof or request does not fit the trees of either side.
    case invalidOperation(InvalidOperation)
    /// A received node differs, in hash or size, from the one already stored or claimed by the parent.
    case invalidChecksum(nodeIndex: UInt64)
    /// The proof contradicts the log's prologue, or a fork's proof has parts that do not belong together.
    case invalidProof
    /// The manifest is not that of the log.
    case invalidManifest
    /// The signature is missing or does not cover the tree.
    case invalidSignature
    /// The proof belongs to another fork than the local one.
    case otherFork

    /// The kinds of misfit; for log lines, no caller decides by them.
    package enum InvalidOperation: Equatable, Sendable {
        /// A list of nodes ends before this one.
        case missingNode(UInt64)
        /// This node is not the one that comes next, or one too many.
        case unexpectedNode(UInt64)
        /// The storage lacks a node that the operation needs.
        case missingStoredNode(UInt64)
        /// The request's upgrade is empty or ends behind the tree.
        case invalidUpgrade
        /// The request's node lies, or climbs, out of the tree.
        case outOfBounds
        /// The request's byte offset lies outside the sub tree it asks for.
        case invalidSeek
        /// A seek and a block in the new part of an upgrade cannot be proven together.
        case seekWithUpgradedBlock
        /// The tree would get more blocks or bytes than trees may have.
        case treeTooLarge
        /// An operation on a fork's proof needs another kind of message.
        case unexpectedMessage
    }
}
