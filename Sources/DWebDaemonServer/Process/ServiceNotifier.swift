#if Daemon
    import Foundation

    /// Tells the service manager that started the program how it is: datagrams to the socket that `NOTIFY_SOCKET` names;
    /// sd_notify(3). Does nothing where nobody asked to be told.
    public struct ServiceNotifier: Sendable {
        private let path: String?

        /// The service manager of this process.
        public init() { self.init(environment: ProcessInfo.processInfo.environment) }

        /// The service manager that an environment names.
        public init(environment: [String: String]) {
            path = environment["NOTIFY_SOCKET"].flatMap { $0.isEmpty ? nil : $0 }
        }

        /// The program answers from now on.
        public func ready(_ text: String) { send("READY=1\nSTATUS=\(text)\nMAINPID=\(getpid())") }

        /// The program is about to end.
        public func stopping() { send("STOPPING=1") }

        private func send(_ message: String) {
            guard let path else { return }
            #if os(Linux)
                let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            #else
                let descriptor = socket(AF_UNIX, SOCK_DGRAM, 0)
            #endif
            guard descriptor >= 0 else { return }
            defer { close(descriptor) }
            var name = Array(path.utf8)
            // A name that starts with @ is one of Linux's abstract sockets, whose first byte is zero.
            if name.first == UInt8(ascii: "@") { name[0] = 0 }
            let bytes = Array(message.utf8)
            _ = withUnixAddress(name) { sendto(descriptor, bytes, bytes.count, 0, $0, $1) }
        }
    }

    /// Calls `body` with the address of a Unix socket; nil if the name is too long.
    func withUnixAddress<Result>(
        _ name: [UInt8], _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result? {
        var address = sockaddr_un()
        address.sun_family = .init(AF_UNIX)
        let capacity = withUnsafeBytes(of: &address.sun_path) { $0.count }
        guard name.count < capacity else { return nil }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        guard let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) else { return nil }
        // An abstract name ends with the address; a path ends with a zero byte.
        let length = offset + name.count + (name.first == 0 ? 0 : 1)
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(length)) }
        }
    }
#endif
