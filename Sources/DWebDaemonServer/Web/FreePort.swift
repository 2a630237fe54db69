#if Daemon
    import Foundation

    /// Finds out before a server is made whether it can have its port.
    enum FreePort {
        /// The port, or a free one for 0.
        ///
        /// - Throws: ``DaemonProcessError`` if the port is taken.
        static func check(_ port: UInt16) throws(DaemonProcessError) -> UInt16 {
            #if os(Linux)
                let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            #else
                let descriptor = socket(AF_INET, SOCK_STREAM, 0)
            #endif
            guard descriptor >= 0 else {
                throw DaemonProcessError(.network, "No socket can be made: \(systemReason())")
            }
            defer { close(descriptor) }
            var yes: Int32 = 1
            setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
            var address = sockaddr_in()
            address.sin_family = .init(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let isBound = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
                }
            }
            guard isBound else {
                throw DaemonProcessError(.network, "The port \(port) of 127.0.0.1 cannot be used: \(systemReason())")
            }
            return UInt16(bigEndian: address.sin_port)
        }
    }
#endif
