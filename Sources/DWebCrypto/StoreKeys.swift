package import DWebBase

/// How a store derives the key pairs of its named logs; spec 00 section 4.
package enum StoreKeys {
    /// The namespace of a store itself.
    package static let rootNamespace = Bytes32.zero

    /// The namespace `name` (UTF-8 or raw bytes) inside `parent`.
    package static func namespace(_ name: [UInt8], in parent: Bytes32) -> Bytes32 {
        var hasher = Blake2bHasher(byteCount: Bytes32.byteCount)
        hasher.update(parent)
        hasher.update(name)
        return hasher.finalize32()
    }

    /// The namespace reached by `path` from the root.
    package static func namespace(path: [String]) -> Bytes32 {
        path.reduce(rootNamespace) { namespace(Array($1.utf8), in: $0) }
    }

    /// The seed of the key pair that writes the log `name` of `namespace`.
    package static func seed(primaryKey: Bytes32, namespace: Bytes32, name: [UInt8]) -> Bytes32 {
        var hasher = Blake2bHasher(byteCount: Bytes32.byteCount, key: primaryKey.bytes)
        hasher.update(Namespace.store)
        hasher.update(namespace)
        hasher.update(name)
        return hasher.finalize32()
    }

    /// The key pair that writes the log `name` of `namespace`.
    package static func keyPair(primaryKey: Bytes32, namespace: Bytes32, name: String) -> KeyPair {
        KeyPair(seed: seed(primaryKey: primaryKey, namespace: namespace, name: Array(name.utf8)))
    }
}
