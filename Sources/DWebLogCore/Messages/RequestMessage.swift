package import DWebBase

/// A request for parts of a log and their proof; spec 30 sections C.2 and D.1.
package struct RequestMessage: Sendable, Hashable {
    /// The requester's number for the answer; 0 is reserved for unsolicited answers.
    package var id: UInt64
    /// The fork it is about.
    package var fork: UInt64
    /// What is asked for.
    package var proof: ProofRequest
    /// Whether the manifest is wanted as well.
    package var manifest: Bool
    /// Higher is served earlier; 0 is the normal case and not sent.
    package var priority: UInt64

    private enum Flag {
        static let block: UInt64 = 1
        static let hash: UInt64 = 2
        static let seek: UInt64 = 4
        static let upgrade: UInt64 = 8
        static let manifest: UInt64 = 16
        static let priority: UInt64 = 32
    }

    /// Puts a message together.
    package init(id: UInt64, fork: UInt64, proof: ProofRequest, manifest: Bool = false, priority: UInt64 = 0) {
        self.id = id
        self.fork = fork
        self.proof = proof
        self.manifest = manifest
        self.priority = priority
    }

    /// Reads the payload.
    package init(from reader: inout ByteReader) throws(CodecError) {
        let flags = try reader.readUInt()
        id = try reader.readUInt()
        fork = try reader.readUInt()
        proof = ProofRequest()
        if flags & Flag.block != 0 {
            proof.block = ProofRequest.Block(index: try reader.readUInt(), nodes: try reader.readUInt())
        }
        if flags & Flag.hash != 0 {
            proof.hash = ProofRequest.Hash(index: try reader.readUInt(), nodes: try reader.readUInt())
        }
        if flags & Flag.seek != 0 {
            proof.seek = ProofRequest.Seek(bytes: try reader.readUInt(), padding: try reader.readUInt())
        }
        if flags & Flag.upgrade != 0 {
            proof.upgrade = ProofRequest.Upgrade(start: try reader.readUInt(), length: try reader.readUInt())
        }
        manifest = flags & Flag.manifest != 0
        priority = flags & Flag.priority != 0 ? try reader.readUInt() : 0
    }

    /// Writes the payload.
    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt(
            (proof.block == nil ? 0 : Flag.block) | (proof.hash == nil ? 0 : Flag.hash)
                | (proof.seek == nil ? 0 : Flag.seek) | (proof.upgrade == nil ? 0 : Flag.upgrade)
                | (manifest ? Flag.manifest : 0) | (priority == 0 ? 0 : Flag.priority))
        writer.writeUInt(id)
        writer.writeUInt(fork)
        if let block = proof.block {
            writer.writeUInt(block.index)
            writer.writeUInt(block.nodes)
        }
        if proof.hasOnlyBlock {
            if priority != 0 { writer.writeUInt(priority) }
            return
        }
        if let hash = proof.hash {
            writer.writeUInt(hash.index)
            writer.writeUInt(hash.nodes)
        }
        if let seek = proof.seek {
            writer.writeUInt(seek.bytes)
            writer.writeUInt(seek.padding)
        }
        if let upgrade = proof.upgrade {
            writer.writeUInt(upgrade.start)
            writer.writeUInt(upgrade.length)
        }
        if priority != 0 { writer.writeUInt(priority) }
    }
}

/// Withdraws a request; spec 30 section E.5.
package struct CancelMessage: Sendable, Hashable {
    /// The id of the request.
    package var request: UInt64

    /// Puts a message together.
    package init(request: UInt64) { self.request = request }

    /// Reads the payload.
    package init(from reader: inout ByteReader) throws(CodecError) { request = try reader.readUInt() }

    /// Writes the payload.
    package func encode(into writer: inout ByteWriter) { writer.writeUInt(request) }
}

/// The answer to a request that cannot be fulfilled; spec 30 section E.6.
package struct NoDataMessage: Sendable, Hashable {
    /// Why there is no data. Unknown numbers are possible: they count as no statement.
    package struct Reason: RawRepresentable, Sendable, Hashable {
        /// The number on the wire.
        package let rawValue: UInt64

        /// A reason by its number.
        package init(rawValue: UInt64) { self.rawValue = rawValue }

        /// No statement; all that older peers send.
        package static let unspecified = Reason(rawValue: 0)
        /// The block is not there, or the fork is another one.
        package static let notAvailable = Reason(rawValue: 1)
        /// The request makes no sense for the log.
        package static let invalidRequest = Reason(rawValue: 2)
    }

    /// The id of the request.
    package var request: UInt64
    /// Why there is no data.
    package var reason: Reason

    /// Puts a message together.
    package init(request: UInt64, reason: Reason) {
        self.request = request
        self.reason = reason
    }

    /// Reads the payload.
    package init(from reader: inout ByteReader) throws(CodecError) {
        request = try reader.readUInt()
        let flags = reader.isAtEnd ? 0 : try reader.readUInt()
        reason = flags & 1 == 0 ? .unspecified : Reason(rawValue: try reader.readUInt())
    }

    /// Writes the payload.
    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt(request)
        writer.writeUInt(reason == .unspecified ? UInt64(0) : 1)
        if reason != .unspecified { writer.writeUInt(reason.rawValue) }
    }
}
