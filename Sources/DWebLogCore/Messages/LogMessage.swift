package import DWebBase

/// A message on a log's channel; spec 30 section C.2.
///
/// What follows the last known field is ignored, except that an extension's payload is everything that remains.
package enum LogMessage: Sendable, Hashable {
    /// Type 0.
    case sync(SyncMessage)
    /// Type 1.
    case request(RequestMessage)
    /// Type 2.
    case cancel(CancelMessage)
    /// Type 3.
    case data(DataMessage)
    /// Type 4.
    case noData(NoDataMessage)
    /// Type 5.
    case want(WantMessage)
    /// Type 6.
    case unwant(WantMessage)
    /// Type 7.
    case bitfield(BitfieldMessage)
    /// Type 8.
    case range(RangeMessage)
    /// Type 9.
    case extensionMessage(ExtensionMessage)

    /// The number of message types; the multiplexer ignores types from here on.
    package static let typeCount: UInt64 = 10

    /// The message's number in the protocol.
    package var type: UInt64 {
        switch self {
        case .sync: 0
        case .request: 1
        case .cancel: 2
        case .data: 3
        case .noData: 4
        case .want: 5
        case .unwant: 6
        case .bitfield: 7
        case .range: 8
        case .extensionMessage: 9
        }
    }

    /// Reads the payload of a message; nil for a type this implementation does not know, which is to be ignored.
    package static func decode(type: UInt64, from reader: inout ByteReader) throws(CodecError) -> LogMessage? {
        switch type {
        case 0: .sync(try SyncMessage(from: &reader))
        case 1: .request(try RequestMessage(from: &reader))
        case 2: .cancel(try CancelMessage(from: &reader))
        case 3: .data(try DataMessage(from: &reader))
        case 4: .noData(try NoDataMessage(from: &reader))
        case 5: .want(try WantMessage(from: &reader))
        case 6: .unwant(try WantMessage(from: &reader))
        case 7: .bitfield(try BitfieldMessage(from: &reader))
        case 8: .range(try RangeMessage(from: &reader))
        case 9: .extensionMessage(try ExtensionMessage(from: &reader))
        default: nil
        }
    }

    /// Writes the payload, without the type.
    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .sync(let message): message.encode(into: &writer)
        case .request(let message): message.encode(into: &writer)
        case .cancel(let message): message.encode(into: &writer)
        case .data(let message): message.encode(into: &writer)
        case .noData(let message): message.encode(into: &writer)
        case .want(let message), .unwant(let message): message.encode(into: &writer)
        case .bitfield(let message): message.encode(into: &writer)
        case .range(let message): message.encode(into: &writer)
        case .extensionMessage(let message): message.encode(into: &writer)
        }
    }

    /// The payload on its own.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        encode(into: &writer)
        return writer.bytes
    }
}
