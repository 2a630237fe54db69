/// The first block of a tree; spec 50 section 2.1.
public struct TreeHeader: Sendable, Equatable {
    /// What the header may carry beside its name.
    public struct Metadata: Sendable, Equatable {
        /// The key of a log that belongs to the tree; drives of the old form name their content log here.
        public var contentFeed: [UInt8]?
        /// Bytes of the application.
        public var userData: [UInt8]?

        /// Metadata, empty unless told otherwise.
        public init(contentFeed: [UInt8]? = nil, userData: [UInt8]? = nil) {
            self.contentFeed = contentFeed
            self.userData = userData
        }
    }

    /// The name that every tree carries.
    public static let protocolName = "hyperbee"

    /// The metadata; nil and empty metadata are different bytes.
    public var metadata: Metadata?

    /// A header.
    public init(metadata: Metadata? = nil) { self.metadata = metadata }

    /// The header's block.
    package var encoded: [UInt8] {
        var writer = ProtobufWriter(capacity: 64)
        writer.writeField(1, bytes: Array(TreeHeader.protocolName.utf8))
        if let metadata {
            var inner = ProtobufWriter()
            if let contentFeed = metadata.contentFeed { inner.writeField(1, bytes: contentFeed) }
            if let userData = metadata.userData { inner.writeField(2, bytes: userData) }
            writer.writeField(2, bytes: inner.bytes)
        }
        return writer.bytes
    }

    /// Reads a header's block.
    package init(decoding bytes: [UInt8]) throws(TreeFault) {
        guard let first = bytes.first else { throw .notATree }
        guard first == 0x0a else {
            throw first <= 1 ? .unsupportedFormat(first) : .notATree
        }
        var name: Range<Int>?
        var metadata: Metadata?
        do throws(TreeFault) {
            var reader = ProtobufReader(bytes)
            while let (number, content) = try reader.readField() {
                switch number {
                case 1: name = try content.range
                case 2: metadata = try TreeHeader.decodeMetadata(bytes, try content.range)
                default: continue
                }
            }
        } catch {
            throw .notATree
        }
        guard let name, bytes[name].elementsEqual(TreeHeader.protocolName.utf8) else { throw .notATree }
        self.metadata = metadata
    }

    private static func decodeMetadata(_ bytes: [UInt8], _ range: Range<Int>) throws(TreeFault) -> Metadata {
        var metadata = Metadata()
        var reader = ProtobufReader(bytes, range)
        while let (number, content) = try reader.readField() {
            switch number {
            case 1: metadata.contentFeed = Array(bytes[try content.range])
            case 2: metadata.userData = Array(bytes[try content.range])
            default: continue
            }
        }
        return metadata
    }
}
