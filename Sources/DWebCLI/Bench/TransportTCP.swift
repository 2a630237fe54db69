import DWeb
import DWebEssentials
import Dispatch

/// Plain TCP with blocking calls on threads of its own: what the same machine does without any of this.
enum TransportTCP {
    private static let readByteCount = 262_144

    /// Listens at `address` and discards what arrives, connection by connection, until the process ends.
    ///
    /// - Returns: The port.
    static func listen(at address: SocketAddress) throws -> UInt16 {
        let listener = try makeSocket()
        var name = systemAddress(address)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutableBytes(of: &name) { bytes in
            let pointer = bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self)
            return bind(listener, pointer, size) == 0 && startListening(listener)
                && getsockname(listener, pointer, &size) == 0
        }
        guard isBound else { throw CommandFailure(.network, "TCP cannot listen at \(address).") }
        DispatchQueue(label: "dweb.tcp").async {
            while true {
                let connection = accept(listener, nil, nil)
                if connection < 0 { return }
                drain(FileDescriptor(rawValue: connection))
            }
        }
        return UInt16(bigEndian: name.sin_port)
    }

    /// Sends `byteCount` bytes and returns the seconds until the other side has read the last of them.
    static func upload(_ byteCount: Int, to address: SocketAddress, writeByteCount: Int) throws -> Double {
        let connection = try makeSocket()
        let stream = FileDescriptor(rawValue: connection)
        defer { try? stream.close() }
        var name = systemAddress(address)
        let isConnected = withUnsafeMutableBytes(of: &name) {
            connect(
                connection, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self),
                socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
        guard isConnected else { throw CommandFailure(.network, "TCP cannot reach \(address).") }
        let chunk = [UInt8](repeating: 0x61, count: writeByteCount)
        let start = ContinuousClock.now
        var left = byteCount
        while left > 0 {
            left -= try chunk.withUnsafeBytes { try stream.write(UnsafeRawBufferPointer(rebasing: $0.prefix(left))) }
        }
        shutdown(connection, Int32(SHUT_WR))
        _ = try stream.readOnce(1)
        return (ContinuousClock.now - start).seconds
    }

    private static func drain(_ connection: FileDescriptor) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: readByteCount, alignment: 16)
        while let count = try? connection.read(into: buffer), count > 0 {}
        _ = try? connection.writeAll([1])
        try? connection.close()
        buffer.deallocate()
    }

    private static func makeSocket() throws -> Int32 {
        #if os(Linux)
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #else
            let descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        guard descriptor >= 0 else { throw CommandFailure(.network, "There is no socket left.") }
        return descriptor
    }

    private static func systemAddress(_ address: SocketAddress) -> sockaddr_in {
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = address.port.bigEndian
        name.sin_addr.s_addr = address.ipv4Number.bigEndian
        return name
    }
}

// Inside, the name belongs to the function that listens for us.
private func startListening(_ descriptor: Int32) -> Bool { listen(descriptor, 16) == 0 }
