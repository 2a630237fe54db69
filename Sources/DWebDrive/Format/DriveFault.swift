/// What is wrong with something that the author of a drive wrote; spec 50 section 11.
package enum DriveFault: Error, Equatable, Sendable {
    /// The record of an entry is not what entries look like.
    case malformedEntry
    /// The place of a file's content is impossible.
    case impossibleBlob
    /// A map of blocks cannot be decoded.
    case malformedMap
    /// A map of blocks was written by a newer version of the format.
    case unsupportedMap(UInt64)
    /// A path is not in its normal form.
    case invalidPath
}
