package import DWebBase
import DWebCrypto

extension SecretStream {
    /// Takes bytes as the transport delivers them, cut anywhere.
    ///
    /// Hand over the last reference to `chunk`: it is decrypted in place and becomes the buffer of the messages.
    package func receive(_ chunk: consuming [UInt8], now: MonotonicTime) {
        guard phase != .closed, !chunk.isEmpty else { return }
        restartTimeout(now: now)
        guard !partial.isEmpty else {
            parse(chunk, now: now)
            return
        }
        partial.append(contentsOf: chunk)
        guard partial.count >= partialTarget else { return }
        var buffer: [UInt8] = []
        swap(&buffer, &partial)
        parse(buffer, now: now)
    }

    /// Takes the end of what the transport delivers. Whether it was cut short cannot be told.
    package func receiveEnd() {
        guard phase != .closed else { return }
        guard handshake != nil else {
            fail(.endedBeforeOpen)
            return
        }
        partial = []
        emit(.ended)
    }

    /// How many more bytes complete the frame that has begun: a hint for the transport; 0 between frames.
    package var missingByteCount: Int { partial.isEmpty ? 0 : max(0, partialTarget - partial.count) }

    private func parse(_ bytes: consuming [UInt8], now: MonotonicTime) {
        var buffer = bytes
        var ranges: [Range<Int>] = []
        var position = 0
        partialTarget = SecretStream.prefixByteCount
        do {
            while buffer.count - position >= SecretStream.prefixByteCount {
                let length =
                    Int(buffer[position]) | Int(buffer[position + 1]) << 8 | Int(buffer[position + 2]) << 16
                try checkLength(length)
                let start = position + SecretStream.prefixByteCount
                guard buffer.count - start >= length else {
                    partialTarget = SecretStream.prefixByteCount + length
                    break
                }
                position = start + length
                if phase == .open {
                    try openFrame(start..<position, of: &buffer, into: &ranges)
                } else {
                    try handle(Array(buffer[start..<position]), now: now)
                    guard phase != .closed else { return }
                }
            }
        } catch {
            if !ranges.isEmpty { emit(.messages(MessageBatch(buffer, ranges: ranges))) }
            fail(error)
            return
        }
        keepRest(of: buffer, from: position)
        if !ranges.isEmpty { emit(.messages(MessageBatch(buffer, ranges: ranges))) }
    }

    // Lengths are trusted only as far as the phase allows, before any byte of the body arrives.
    private func checkLength(_ length: Int) throws(SecretStreamError) {
        switch phase {
        case .handshake:
            guard length <= Limits.handshakeFrameByteCount else { throw .handshakeFrameTooLong }
        case .header:
            guard length == SecretStream.headerFrameByteCount else { throw .invalidHeader }
        case .open:
            guard length >= StreamCipher.overheadByteCount else { throw .frameTooShort }
        case .closed:
            throw .closed
        }
    }

    private func openFrame(
        _ frame: Range<Int>, of buffer: inout [UInt8], into ranges: inout [Range<Int>]
    ) throws(SecretStreamError) {
        let tag = buffer.withUnsafeMutableBytes {
            opener?.open(inPlace: UnsafeMutableRawBufferPointer(rebasing: $0[frame])) ?? nil
        }
        // The tag's value means nothing to a receiver; libsodium has already followed its rekey bit.
        guard tag != nil else { throw .authenticationFailed }
        receivedByteCount &+= UInt64(frame.count)
        let message = frame.lowerBound + 1..<frame.upperBound - StreamCipher.overheadByteCount + 1
        if !message.isEmpty || !swallowsEmptyMessages { ranges.append(message) }
    }

    private func handle(_ body: [UInt8], now: MonotonicTime) throws(SecretStreamError) {
        switch phase {
        case .handshake:
            do {
                _ = try noise?.readMessage(body)
            } catch {
                throw .handshakeFailed(error)
            }
            if noise?.isWriting == true { writeHandshake(now: now) }
            if let result = noise?.result { open(result, now: now) }
        case .header:
            guard let handshake, body.count == SecretStream.headerFrameByteCount,
                Bytes32(body[..<Bytes32.byteCount]) == handshake.remoteStreamID
            else { throw .invalidHeader }
            opener = StreamOpener(key: handshake.receiveKey, header: Array(body[Bytes32.byteCount...]))
            phase = .open
        case .open, .closed:
            throw .closed
        }
    }

    private func keepRest(of buffer: [UInt8], from position: Int) {
        guard position > 0 else {
            partial = buffer
            return
        }
        guard position < buffer.count else { return }
        partial.reserveCapacity(min(partialTarget, Limits.reservedByteCount))
        partial.append(contentsOf: buffer[position...])
    }
}
