import DWebBase
import DWebPorts
import DWebPosix
import Synchronization
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// What real sockets put on the wire, seen by a plain socket of the system beside them. On Linux only: the system's
/// structures and options are its own.
@Suite struct SocketWireTests {}

#if canImport(Glibc)
    extension SocketWireTests {
        /// A UDP socket without any of ours, which reports the time to live of what it receives.
        private final class PlainSocket {
            let descriptor: Int32
            let port: UInt16

            init(isIPv6: Bool) throws {
                let family = isIPv6 ? AF_INET6 : AF_INET
                let descriptor = socket(family, Int32(SOCK_DGRAM.rawValue), 0)
                self.descriptor = descriptor
                var one: Int32 = 1
                let (level, option) =
                    isIPv6 ? (Int32(IPPROTO_IPV6), IPV6_RECVHOPLIMIT) : (Int32(IPPROTO_IP), IP_RECVTTL)
                setsockopt(descriptor, level, option, &one, socklen_t(MemoryLayout<Int32>.size))
                var timeout = timeval(tv_sec: 5, tv_usec: 0)
                setsockopt(
                    descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
                // Family, port 0, then the loopback address in its place.
                var name = [UInt8](repeating: 0, count: isIPv6 ? 28 : 16)
                name[0] = UInt8(family)
                if isIPv6 { name[23] = 1 } else { name.replaceSubrange(4..<8, with: [127, 0, 0, 1]) }
                var size = socklen_t(name.count)
                let isBound = name.withUnsafeMutableBytes { bytes in
                    let pointer = bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self)
                    return bind(descriptor, pointer, size) == 0 && getsockname(descriptor, pointer, &size) == 0
                }
                port = UInt16(name[2]) << 8 | UInt16(name[3])
                try #require(isBound)
            }

            deinit { close(descriptor) }

            /// The next datagram and its time to live.
            func receive() -> (payload: [UInt8], timeToLive: Int32)? {
                var payload = [UInt8](repeating: 0, count: 2_048)
                var control = [UInt64](repeating: 0, count: 16)
                var length = 0
                payload.withUnsafeMutableBytes { payload in
                    control.withUnsafeMutableBytes { control in
                        var vector = iovec(iov_base: payload.baseAddress, iov_len: payload.count)
                        withUnsafeMutablePointer(to: &vector) { vector in
                            var header = msghdr()
                            header.msg_iov = vector
                            header.msg_iovlen = 1
                            header.msg_control = control.baseAddress
                            header.msg_controllen = control.count
                            length = recvmsg(descriptor, &header, 0)
                        }
                    }
                }
                guard length >= 0 else { return nil }
                // One control message: 8 bytes of length, level and type of 4 each, then the number.
                return (Array(payload[..<length]), Int32(truncatingIfNeeded: control[2]))
            }
        }

        private final class Inbox: Sendable {
            let arrivals = Mutex<[(payload: [UInt8], source: SocketAddress, mark: CongestionMark)]>([])

            func receive(_ batch: DatagramBatch) {
                arrivals.withLock { arrivals in
                    arrivals += batch.entries.map { (batch.payload(of: $0), $0.address, $0.congestionMark) }
                }
            }

            func wait(for count: Int) async throws -> [(payload: [UInt8], source: SocketAddress, mark: CongestionMark)]
            {
                for _ in 0..<500 where arrivals.withLock({ $0.count }) < count {
                    try await Task.sleep(for: .milliseconds(10))
                }
                return arrivals.withLock { $0 }
            }
        }

        private func send(_ batch: DatagramBatch, on socket: any DatagramSocket, _ loop: PosixLoop) {
            loop.execute { socket.send(batch) }
        }

        /// Spec 10 section 3: hole punching depends on it.
        @Test(arguments: [("127.0.0.1", "127.0.0.1"), ("::", "::1"), ("::", "127.0.0.1")])
        func aTimeToLiveIsThatOfItsDatagramAlone(local: String, remote: String) async throws {
            let loop = PosixLoop()
            let options = DatagramSocketOptions(address: try #require(SocketAddress(host: local, port: 0)))
            let sender = try await PosixNetwork(loop: loop).bind(options) { _ in }
            let plain = try PlainSocket(isIPv6: remote.contains(":"))
            let target = try #require(SocketAddress(host: remote, port: plain.port))
            let times: [UInt8] = [0, 5, 0, 0, 255, 1, 0]
            var batch = DatagramBatch()
            for (index, time) in times.enumerated() {
                batch.append([UInt8](repeating: UInt8(index), count: 100), address: target, timeToLive: time)
            }
            send(batch, on: sender, loop)
            for (index, time) in times.enumerated() {
                let arrival = try #require(plain.receive())
                #expect(arrival.payload == [UInt8](repeating: UInt8(index), count: 100))
                #expect(arrival.timeToLive == (time == 0 ? 64 : Int32(time)))
            }
            sender.close()
            await loop.shutdown()
        }

        @Test func oneSocketServesBothFamilies() async throws {
            let loop = PosixLoop()
            let network = PosixNetwork(loop: loop)
            let (both, single) = (Inbox(), Inbox())
            let any = try #require(SocketAddress(host: "::", port: 0))
            let server = try await network.bind(DatagramSocketOptions(address: any)) { both.receive($0) }
            let loopback = SocketAddress(ipv4: 127, 0, 0, 1, port: 0)
            let client = try await network.bind(DatagramSocketOptions(address: loopback)) { single.receive($0) }
            var batch = DatagramBatch()
            batch.append([1], address: loopback.with(port: server.localAddress.port))
            send(batch, on: client, loop)
            // A mapped source surfaces as the IPv4 address that it is, and can be answered as such.
            let source = try #require(try await both.wait(for: 1).first?.source)
            #expect(source == client.localAddress)
            batch.removeAll()
            batch.append([2], address: source)
            let mapped = try #require(SocketAddress(host: "::ffff:127.0.0.1", port: source.port))
            batch.append([3], address: mapped)
            send(batch, on: server, loop)
            #expect(try await single.wait(for: 2).map(\.payload) == [[2], [3]])
            server.close()
            client.close()
            await loop.shutdown()
        }

        @Test(arguments: [("127.0.0.1", "127.0.0.1"), ("::", "::1"), ("::", "127.0.0.1")])
        func congestionMarksTravel(local: String, remote: String) async throws {
            let loop = PosixLoop()
            let network = PosixNetwork(loop: loop)
            let inbox = Inbox()
            let listening = try #require(SocketAddress(host: remote, port: 0))
            let receiver = try await network.bind(DatagramSocketOptions(address: listening)) { inbox.receive($0) }
            let any = try #require(SocketAddress(host: local, port: 0))
            let sender = try await network.bind(DatagramSocketOptions(address: any)) { _ in }
            let marks: [CongestionMark] = [.notCapable, .capable, .capable, .experienced, .capableLowLatency]
            var batch = DatagramBatch()
            for (index, mark) in marks.enumerated() {
                batch.append(
                    [UInt8(index)], address: listening.with(port: receiver.localAddress.port), congestionMark: mark)
            }
            send(batch, on: sender, loop)
            #expect(try await inbox.wait(for: marks.count).map(\.mark) == marks)
            sender.close()
            receiver.close()
            await loop.shutdown()
        }

        /// A kernel, or a device, that does not split: here because the checksum was turned off behind the socket's back.
        @Test func whatTheKernelDoesNotSplitLeavesOneByOne() async throws {
            let loop = PosixLoop()
            let network = PosixNetwork(loop: loop)
            let inbox = Inbox()
            let loopback = SocketAddress(ipv4: 127, 0, 0, 1, port: 0)
            let receiver = try await network.bind(DatagramSocketOptions(address: loopback)) { inbox.receive($0) }
            let sender = try await network.bind(DatagramSocketOptions(address: loopback)) { _ in }
            try #require(turnOffChecksum(port: sender.localAddress.port))
            var expected: [[UInt8]] = []
            for round in 0..<3 {
                var batch = DatagramBatch()
                for index in 0..<50 {
                    let payload = [UInt8](repeating: UInt8(round * 50 + index), count: index == 49 ? 90 : 1_172)
                    expected.append(payload)
                    batch.append(payload, address: receiver.localAddress)
                }
                send(batch, on: sender, loop)
            }
            #expect(try await inbox.wait(for: expected.count).map(\.payload) == expected)
            sender.close()
            receiver.close()
            await loop.shutdown()
        }

        /// Finds the descriptor of the socket at a local port; false if the option was refused.
        private func turnOffChecksum(port: UInt16) -> Bool {
            let noChecksum: Int32 = 11
            for descriptor: Int32 in 3..<1_024 {
                var name = [UInt8](repeating: 0, count: 128)
                var size = socklen_t(name.count)
                let isNamed = name.withUnsafeMutableBytes {
                    getsockname(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), &size) == 0
                }
                guard isNamed, size >= 4, UInt16(name[2]) << 8 | UInt16(name[3]) == port else { continue }
                var one: Int32 = 1
                return setsockopt(
                    descriptor, SOL_SOCKET, noChecksum, &one, socklen_t(MemoryLayout<Int32>.size)) == 0
            }
            return false
        }
    }
#endif
