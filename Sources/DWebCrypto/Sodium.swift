import CSodium

/// The one place that makes sure libsodium is initialised before it is used.
enum Sodium {
    /// Touch before the first call into libsodium. A failure to initialise is a broken installation, not an input.
    static let ready: Void = {
        let status = sodium_init()
        precondition(status >= 0, "libsodium could not be initialised")
    }()
}

extension UnsafeRawBufferPointer {
    /// The start, as libsodium wants it; only for buffers that are not empty.
    var unsignedBytes: UnsafePointer<UInt8> { baseAddress!.assumingMemoryBound(to: UInt8.self) }
}

extension UnsafeMutableRawBufferPointer {
    /// The start, as libsodium wants it; only for buffers that are not empty.
    var unsignedBytes: UnsafeMutablePointer<UInt8> { baseAddress!.assumingMemoryBound(to: UInt8.self) }
}
