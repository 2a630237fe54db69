/// Where the content of a file is in the drive's content log; spec 50 section 8.2.
public struct BlobID: Sendable, Hashable {
    /// The first block.
    public var blockOffset: UInt64
    /// The byte at which the first block starts, counted from the start of the log.
    public var byteOffset: UInt64
    /// The number of blocks.
    public var blockLength: UInt64
    /// The number of bytes in these blocks: the content, or of a mapped blob its map.
    public var byteLength: UInt64
    /// Whether the blocks hold a map to the blocks of the content.
    public var isMapped: Bool

    /// A place in the content log.
    public init(
        blockOffset: UInt64, byteOffset: UInt64, blockLength: UInt64, byteLength: UInt64, isMapped: Bool = false
    ) {
        self.blockOffset = blockOffset
        self.byteOffset = byteOffset
        self.blockLength = blockLength
        self.byteLength = byteLength
        self.isMapped = isMapped
    }

    /// The blocks.
    package var blocks: Range<UInt64> { blockOffset..<blockOffset + blockLength }

    /// Refuses places that cannot be; spec 50 section 11.8.
    package func validate() throws(DriveFault) {
        let limit: UInt64 = 1 << 53
        let capacity = blockLength.multipliedReportingOverflow(by: DriveLimits.blockByteCount)
        guard blockOffset < limit, byteOffset < limit, blockLength < limit, byteLength < limit,
            blockOffset + blockLength < limit, byteOffset + byteLength < limit,
            (blockLength == 0) == (byteLength == 0), capacity.overflow || byteLength <= capacity.partialValue
        else { throw .impossibleBlob }
        guard !isMapped || blockLength <= DriveLimits.mapBlockCount else { throw .impossibleBlob }
    }

    /// The members as the network's tools write them.
    var document: JSONDocument {
        var members: [JSONDocument.Member] = [
            .init("blockOffset", .integer(Int64(blockOffset))), .init("byteOffset", .integer(Int64(byteOffset))),
            .init("blockLength", .integer(Int64(blockLength))), .init("byteLength", .integer(Int64(byteLength))),
        ]
        if isMapped { members.append(.init("blockMap", .bool(true))) }
        return .object(members)
    }

    /// Reads the members.
    init(_ document: JSONDocument) throws(DriveFault) {
        func number(_ name: String) throws(DriveFault) -> UInt64 {
            guard case .number(let number) = document[name], let value = number.integer, value >= 0,
                value < 1 << 53
            else { throw .impossibleBlob }
            return UInt64(value)
        }
        var isMapped = false
        switch document["blockMap"] {
        case nil, .null: break
        case .bool(let value): isMapped = value
        default: throw .impossibleBlob
        }
        self.init(
            blockOffset: try number("blockOffset"), byteOffset: try number("byteOffset"),
            blockLength: try number("blockLength"), byteLength: try number("byteLength"), isMapped: isMapped)
        try validate()
    }
}
