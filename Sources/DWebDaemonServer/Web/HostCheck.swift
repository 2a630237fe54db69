#if Daemon
    /// Refuses requests that a page of somebody else makes through a name that leads here (DNS rebinding): the name in the
    /// address bar must be one that always means this machine.
    struct HostCheck: Sendable {
        let port: Int

        /// Whether a request with this `Host` is answered.
        func admits(_ host: String?) -> Bool {
            guard let host else { return false }
            let names = ["localhost", "127.0.0.1", "[::1]"]
            return names.contains { host.lowercased() == "\($0):\(port)" || (port == 80 && host.lowercased() == $0) }
        }
    }
#endif
