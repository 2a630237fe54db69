import DWebBase

/// The limits on what a peer can make this module hold; spec 30 section H.
package enum LogLimits {
    /// The most bytes a block may have as stored, since it travels in one frame; spec 40 section 2.
    package static let blockByteCount = 15 * 1024 * 1024
    /// The most blocks a log may have: leaf `2 * (n - 1)` must stay an integer that every peer can write.
    package static let length: UInt64 = 1 << 52
    /// The most bytes a tree may account for.
    package static let treeByteLength: UInt64 = ByteReader.integerLimit
    /// The most tree nodes in one list of a proof. A climb through the largest tree has fewer than 64.
    package static let proofNodeCount = 1024
    /// The most patch nodes in a multi-signature: every signer may need a list of its own.
    package static let patchNodeCount = 4096
    /// The most 32-bit words in one bitfield message: a whole segment of 2^21 bits.
    package static let bitfieldWordCount = 65536
    /// The most pages of a peer's bitfield that take memory because they are neither empty nor full.
    package static let remoteMixedPageCount = 4096
    /// How far past a peer's announced length its availability is believed.
    package static let availabilityMargin: UInt64 = 1 << 21
}
