package import DWebBase

/// A channel of a ``ProtocolMux``: a name that is never used again after the channel closed.
package struct ChannelID: Hashable, Sendable {
    // The local id on the wire.
    let slot: Int
    let generation: UInt32
}

/// What two sides must agree on to share a channel; spec 30 section B.2.
package struct ChannelIdentity: Hashable, Sendable {
    /// The protocol's name.
    package var protocolName: String
    /// Which of several channels of the protocol this is; empty for "none".
    package var id: [UInt8]

    /// The identity of the channel of `protocolName` with `id`.
    package init(_ protocolName: String, id: [UInt8] = []) {
        self.protocolName = protocolName
        self.id = id
    }
}

/// A violation by the peer: the stream is to be destroyed; spec 30 section B.5.
package enum ProtocolMuxError: Error, Equatable, Sendable {
    /// A control message or a batch that cannot be decoded.
    case malformed(CodecError)
    /// An open whose id is 0, occupied, or leaves a gap.
    case invalidOpen
    /// A reject of an id that does not wait for an answer.
    case invalidReject
    /// Batches inside batches beyond ``ProtocolMux/Limits/batchDepth``.
    case batchTooDeep
    /// More bytes for channels that are not open yet than ``ProtocolMux/Limits/bufferedByteCount``.
    case tooMuchBuffered
    /// The peer had already broken the rules.
    case failed
}

/// Why this side cannot open a channel or send; nothing was changed.
package enum ChannelError: Error, Equatable, Sendable {
    /// There is an open channel with this identity and the new one was to be the only one.
    case duplicate
    /// The stream has as many channels as ``ProtocolMux/Limits/channelCount``.
    case tooManyChannels
    /// The message does not fit in one frame.
    case messageTooLong
    /// The stream has ended.
    case closed
}
