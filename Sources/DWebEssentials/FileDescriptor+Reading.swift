extension FileDescriptor {
    /// What one read gives, at most `byteCount` bytes; nothing at the end. Waits.
    ///
    /// - Throws: `Errno`.
    public func readOnce(_ byteCount: Int) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, filled in
            filled = try read(into: UnsafeMutableRawBufferPointer(buffer))
        }
    }

    /// All that comes until the end, or the first `byteCount` bytes of it. Waits.
    ///
    /// - Throws: `Errno`.
    public func readUpTo(_ byteCount: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < byteCount {
            let piece = try readOnce(byteCount - bytes.count)
            if piece.isEmpty { break }
            bytes += piece
        }
        return bytes
    }
}
