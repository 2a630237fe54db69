import DWebBase

/// What passed through a node's sockets since it was made, streams included.
public struct DHTTraffic: Sendable, Equatable {
    /// Datagrams sent.
    public private(set) var sentDatagramCount: UInt64 = 0
    /// Bytes of UDP payload sent.
    public private(set) var sentByteCount: UInt64 = 0
    /// Datagrams received.
    public private(set) var receivedDatagramCount: UInt64 = 0
    /// Bytes of UDP payload received.
    public private(set) var receivedByteCount: UInt64 = 0

    /// All zero.
    public init() {}

    mutating func noteSent(_ batch: DatagramBatch) {
        sentDatagramCount &+= UInt64(batch.count)
        for entry in batch.entries { sentByteCount &+= UInt64(entry.byteCount) }
    }

    mutating func noteReceived(_ batch: DatagramBatch) {
        receivedDatagramCount &+= UInt64(batch.count)
        for entry in batch.entries { receivedByteCount &+= UInt64(entry.byteCount) }
    }
}
