package import DWebBase
import DWebCrypto

/// Which bytes of a tree a signer signs; spec 40 section 3. All forms put the length before the fork.
package enum TreeSignable: Sendable, Hashable {
    /// 112 bytes: with a context, which is the log's key, or the signer's namespace for a version 0 manifest.
    case current(context: Bytes32)
    /// 80 bytes: for logs whose key is the signer's public key.
    case compat
    /// 48 bytes: without any prefix, from before there was one.
    case legacy

    /// The bytes for a tree with this hash, length and fork.
    package func bytes(treeHash: Bytes32, length: UInt64, fork: UInt64) -> [UInt8] {
        var writer = ByteWriter(capacity: 112)
        switch self {
        case .current(let context):
            writer.writeBytes32(Namespace.tree)
            writer.writeBytes32(context)
        case .compat:
            writer.writeBytes32(Namespace.tree)
        case .legacy:
            break
        }
        writer.writeBytes32(treeHash)
        writer.writeUInt64(length)
        writer.writeUInt64(fork)
        return writer.bytes
    }
}

extension MerkleTree {
    /// The bytes that sign this tree.
    package func signable(_ form: TreeSignable) -> [UInt8] {
        form.bytes(treeHash: hash, length: length, fork: fork)
    }
}
