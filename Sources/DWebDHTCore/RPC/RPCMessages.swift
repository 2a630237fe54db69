package import DWebBase

/// A request as it crosses the network; spec 20 section 2.1.
package struct RPCRequest: Equatable, Sendable {
    /// The first byte of the datagram.
    package static let typeByte: UInt8 = 0x03

    /// Chosen by the requester and repeated in the response.
    package var transaction: UInt16
    /// The address that the sender believes it sends to.
    package var to: SocketAddress
    /// The sender's node id, unverified.
    package var id: Bytes32?
    /// The token that the receiver issued earlier.
    package var token: Bytes32?
    /// What is asked.
    package var command: RPCCommand
    /// The key that the command is about.
    package var target: Bytes32?
    /// The command's argument.
    package var value: [UInt8]?

    /// Describes a request.
    package init(
        transaction: UInt16, to: SocketAddress, id: Bytes32? = nil, token: Bytes32? = nil, command: RPCCommand,
        target: Bytes32? = nil, value: [UInt8]? = nil
    ) {
        self.transaction = transaction
        self.to = to
        self.id = id
        self.token = token
        self.command = command
        self.target = target
        self.value = value
    }

    private enum Flag {
        static let id: UInt64 = 1
        static let token: UInt64 = 2
        static let isInternal: UInt64 = 4
        static let target: UInt64 = 8
        static let value: UInt64 = 16
    }

    /// The datagram.
    package func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 128 + (value?.count ?? 0))
        writer.writeByte(RPCRequest.typeByte)
        var flags = id == nil ? 0 : Flag.id
        flags |= token == nil ? 0 : Flag.token
        flags |= command.isInternal ? Flag.isInternal : 0
        flags |= target == nil ? 0 : Flag.target
        flags |= value == nil ? 0 : Flag.value
        writer.writeUInt(flags)
        writer.writeUInt16(transaction)
        writer.writeAddress(to)
        if let id { writer.writeBytes32(id) }
        if let token { writer.writeBytes32(token) }
        writer.writeUInt(command.number)
        if let target { writer.writeBytes32(target) }
        if let value { writer.writeBuffer(value) }
        return writer.bytes
    }

    /// Reads a whole datagram; bytes after the message are ignored.
    package init(datagram: [UInt8]) throws(CodecError) {
        var reader = ByteReader(datagram)
        guard try reader.readByte() == RPCRequest.typeByte else { throw .invalidValue }
        try self.init(body: &reader)
    }

    /// Reads what follows the type byte.
    package init(body reader: inout ByteReader) throws(CodecError) {
        let flags = try reader.readUInt()
        transaction = try reader.readUInt16()
        to = try reader.readIPv4Address()
        id = flags & Flag.id != 0 ? try reader.readBytes32() : nil
        token = flags & Flag.token != 0 ? try reader.readBytes32() : nil
        command = RPCCommand(number: try reader.readUInt(), isInternal: flags & Flag.isInternal != 0)
        target = flags & Flag.target != 0 ? try reader.readBytes32() : nil
        value = flags & Flag.value != 0 ? try reader.readOptionalBuffer() : nil
    }
}

/// A response as it crosses the network; spec 20 section 2.2.
package struct RPCResponse: Equatable, Sendable {
    /// The first byte of the datagram.
    package static let typeByte: UInt8 = 0x13

    /// That of the request.
    package var transaction: UInt16
    /// The requester's address as the responder saw it.
    package var to: SocketAddress
    /// The responder's node id, unverified.
    package var id: Bytes32?
    /// A token that the responder accepts from the requester's host for 7.5 to 15 seconds.
    package var token: Bytes32?
    /// Nodes that the responder knows closest to the target; at most ``RPCLimits/closerNodesPerReply`` are kept.
    package var closerNodes: [SocketAddress]
    /// Why the request failed, or ``RPCErrorCode/ok``.
    package var error: RPCErrorCode
    /// The command's result.
    package var value: [UInt8]?

    /// Describes a response.
    package init(
        transaction: UInt16, to: SocketAddress, id: Bytes32? = nil, token: Bytes32? = nil,
        closerNodes: [SocketAddress] = [], error: RPCErrorCode = .ok, value: [UInt8]? = nil
    ) {
        self.transaction = transaction
        self.to = to
        self.id = id
        self.token = token
        self.closerNodes = closerNodes
        self.error = error
        self.value = value
    }

    private enum Flag {
        static let id: UInt64 = 1
        static let token: UInt64 = 2
        static let closerNodes: UInt64 = 4
        static let error: UInt64 = 8
        static let value: UInt64 = 16
    }

    private static let addressByteCount = 6

    /// The datagram.
    package func encoded() -> [UInt8] {
        var writer = ByteWriter(
            capacity: 96 + closerNodes.count * RPCResponse.addressByteCount + (value?.count ?? 0))
        writer.writeByte(RPCResponse.typeByte)
        var flags = id == nil ? 0 : Flag.id
        flags |= token == nil ? 0 : Flag.token
        flags |= closerNodes.isEmpty ? 0 : Flag.closerNodes
        flags |= error == .ok ? 0 : Flag.error
        flags |= value == nil ? 0 : Flag.value
        writer.writeUInt(flags)
        writer.writeUInt16(transaction)
        writer.writeAddress(to)
        if let id { writer.writeBytes32(id) }
        if let token { writer.writeBytes32(token) }
        if !closerNodes.isEmpty {
            writer.writeUInt(closerNodes.count)
            for node in closerNodes { writer.writeAddress(node) }
        }
        if error != .ok { writer.writeUInt(error.rawValue) }
        if let value { writer.writeBuffer(value) }
        return writer.bytes
    }

    /// Reads a whole datagram; bytes after the message are ignored.
    package init(datagram: [UInt8]) throws(CodecError) {
        var reader = ByteReader(datagram)
        guard try reader.readByte() == RPCResponse.typeByte else { throw .invalidValue }
        try self.init(body: &reader)
    }

    /// Reads what follows the type byte.
    package init(body reader: inout ByteReader) throws(CodecError) {
        let flags = try reader.readUInt()
        transaction = try reader.readUInt16()
        to = try reader.readIPv4Address()
        id = flags & Flag.id != 0 ? try reader.readBytes32() : nil
        token = flags & Flag.token != 0 ? try reader.readBytes32() : nil
        closerNodes = []
        if flags & Flag.closerNodes != 0 {
            let count = try reader.readArrayCount(minimumByteCount: RPCResponse.addressByteCount)
            let kept = min(count, RPCLimits.closerNodesPerReply)
            closerNodes.reserveCapacity(kept)
            for _ in 0..<kept { closerNodes.append(try reader.readIPv4Address()) }
            _ = try reader.skip((count - kept) * RPCResponse.addressByteCount)
        }
        error = flags & Flag.error != 0 ? RPCErrorCode(rawValue: try reader.readUInt()) : .ok
        value = flags & Flag.value != 0 ? try reader.readOptionalBuffer() : nil
    }
}
