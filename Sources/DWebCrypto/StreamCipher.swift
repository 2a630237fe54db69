import CSodium
package import DWebBase

/// Sizes of libsodium's `secretstream` with XChaCha20-Poly1305; spec 00 section 7.1.
package enum StreamCipher {
    /// How many bytes longer a sealed message is: one for the tag in front, sixteen for the MAC behind.
    package static let overheadByteCount = 17
    /// The size of the random header that starts a direction.
    package static let headerByteCount = 24
    /// The tag of every message this family sends.
    package static let messageTag: UInt8 = 0

    fileprivate static func state(
        key: Bytes32, header: [UInt8]
    ) -> crypto_secretstream_xchacha20poly1305_state {
        precondition(header.count == headerByteCount, "a stream cipher's header has 24 bytes")
        _ = Sodium.ready
        var state = crypto_secretstream_xchacha20poly1305_state()
        // Both directions start from the same state; libsodium's own push start only adds the drawing of the header.
        _ = key.withUnsafeBytes { crypto_secretstream_xchacha20poly1305_init_pull(&state, header, $0.unsignedBytes) }
        return state
    }
}

/// The sending end of a stream of messages: each seal depends on all before it.
package struct StreamSealer: ~Copyable {
    private var state: crypto_secretstream_xchacha20poly1305_state

    /// Starts a direction with `key` and the 24 random bytes that the other end is told.
    package init(key: Bytes32, header: [UInt8]) { state = StreamCipher.state(key: key, header: header) }

    /// Seals in place: `buffer` has the plaintext from its second byte on and room for the MAC behind it.
    ///
    /// - Parameters:
    ///   - tag: Bit 1 (value 2) changes the key after this message.
    ///   - additionalData: Bytes that the MAC covers as well.
    package mutating func seal(
        inPlace buffer: UnsafeMutableRawBufferPointer, tag: UInt8 = StreamCipher.messageTag,
        additionalData: [UInt8] = []
    ) {
        precondition(buffer.count >= StreamCipher.overheadByteCount, "a sealed message has at least 17 bytes")
        _ = crypto_secretstream_xchacha20poly1305_push(
            &state, buffer.unsignedBytes, nil, buffer.unsignedBytes + 1,
            UInt64(buffer.count - StreamCipher.overheadByteCount), additionalData, UInt64(additionalData.count), tag)
    }

    /// Writes the sealed form of `message` over `output`, which has its size.
    package mutating func seal(
        _ message: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer,
        tag: UInt8 = StreamCipher.messageTag
    ) {
        precondition(
            output.count == message.count + StreamCipher.overheadByteCount, "a sealed message is 17 bytes longer")
        _ = crypto_secretstream_xchacha20poly1305_push(
            &state, output.unsignedBytes, nil, message.baseAddress?.assumingMemoryBound(to: UInt8.self),
            UInt64(message.count), nil, 0, tag)
    }

    /// Appends the sealed form of `message` to `output`.
    package mutating func seal(
        _ message: some Collection<UInt8>, appendingTo output: inout [UInt8], tag: UInt8 = StreamCipher.messageTag,
        additionalData: [UInt8] = []
    ) {
        let start = output.count
        output.append(tag)
        output.append(contentsOf: message)
        output.append(contentsOf: repeatElement(0, count: StreamCipher.overheadByteCount - 1))
        output.withUnsafeMutableBytes {
            seal(
                inPlace: UnsafeMutableRawBufferPointer(rebasing: $0[start...]), tag: tag, additionalData: additionalData
            )
        }
    }
}

/// The receiving end of a stream of messages.
package struct StreamOpener: ~Copyable {
    private var state: crypto_secretstream_xchacha20poly1305_state

    /// Starts a direction with `key` and the 24 bytes that the sender told.
    package init(key: Bytes32, header: [UInt8]) { state = StreamCipher.state(key: key, header: header) }

    /// Opens in place: the plaintext of the message that fills `buffer` then starts at its second byte.
    ///
    /// - Returns: The tag, or nil if the message is not the next one of the sender: the opener is then of no more use.
    package mutating func open(
        inPlace buffer: UnsafeMutableRawBufferPointer, additionalData: [UInt8] = []
    ) -> UInt8? {
        guard buffer.count >= StreamCipher.overheadByteCount else { return nil }
        var tag: UInt8 = 0
        let status = crypto_secretstream_xchacha20poly1305_pull(
            &state, buffer.unsignedBytes + 1, nil, &tag, buffer.unsignedBytes, UInt64(buffer.count), additionalData,
            UInt64(additionalData.count))
        return status == 0 ? tag : nil
    }
}
