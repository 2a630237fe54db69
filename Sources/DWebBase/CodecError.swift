/// Why bytes could not be decoded, or a value could not be encoded; spec 00 sections 1.7 and 2.2.
public enum CodecError: Error, Equatable, Sendable {
    /// The input ends before the value does, or a length prefix points past it.
    case outOfBounds
    /// An integer above 2^53 - 1, or one that does not fit its field.
    case integerOutOfRange
    /// An array announces more elements than allowed.
    case arrayTooLong
    /// A field has a value that its format does not define.
    case invalidValue
    /// A format version this implementation does not know.
    case unknownVersion(UInt64)
}
