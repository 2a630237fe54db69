import DWebBase
import DWebPorts
import DWebPosix
import DWebSimulation
import Synchronization
import Testing

@Suite struct DatagramTests {
    private final class Inbox: Sendable {
        let payloads = Mutex<[[UInt8]]>([])
        func receive(_ batch: DatagramBatch) {
            payloads.withLock { payloads in payloads += batch.entries.map { batch.payload(of: $0) } }
        }
        var count: Int { payloads.withLock { $0.count } }
    }

    private let loopback = SocketAddress(ipv4: 127, 0, 0, 1, port: 0)

    @Test func realSocketsKeepSizesAndOrderOfABatch() async throws {
        let loop = PosixLoop()
        let network = PosixNetwork(loop: loop)
        let inbox = Inbox()
        let receiver = try await network.bind(DatagramSocketOptions(address: loopback)) { inbox.receive($0) }
        let sender = try await network.bind(DatagramSocketOptions(address: loopback)) { _ in }
        // Runs of equal size (one segmented send each), odd sizes between them, an empty one, a time to live.
        var expected: [[UInt8]] = []
        for index in 0..<150 {
            let size = index % 50 == 49 ? 100 + index : index % 31 == 30 ? 0 : 1_172
            expected.append([UInt8](repeating: UInt8(index), count: size))
        }
        let payloads = expected
        let target = receiver.localAddress
        loop.execute {
            var batch = DatagramBatch()
            for (index, payload) in payloads.enumerated() {
                batch.append(payload, address: target, timeToLive: index == 75 ? 9 : 0)
            }
            sender.send(batch)
        }
        for _ in 0..<200 where inbox.count < payloads.count { try await Task.sleep(for: .milliseconds(10)) }
        #expect(inbox.payloads.withLock { $0 } == payloads)
        sender.close()
        receiver.close()
        await loop.shutdown()
    }

    @Test func aPortInUseIsNamed() async throws {
        let loop = PosixLoop()
        let network = PosixNetwork(loop: loop)
        let first = try await network.bind(DatagramSocketOptions(address: loopback)) { _ in }
        await #expect {
            _ = try await network.bind(DatagramSocketOptions(address: first.localAddress)) { _ in }
        } throws: { ($0 as? PortError)?.code == .addressInUse }
        first.close()
        await loop.shutdown()
    }

    @Test func tcpStreamsCarryBytesAndEnd() async throws {
        let loop = PosixLoop()
        let (accepted, continuation) = AsyncStream.makeStream(of: TCPStream.self, bufferingPolicy: .bufferingOldest(1))
        let listener = try await TCPStream.listen(on: loopback, loop: loop) { continuation.yield($0) }
        let client = try await TCPStream.connect(to: try #require(listener.localAddress), loop: loop)
        var iterator = accepted.makeAsyncIterator()
        let server = try #require(await iterator.next())
        let bytes = [UInt8](repeating: 7, count: 300_000)
        async let written: Void = client.write(bytes)
        var received: [UInt8] = []
        while received.count < bytes.count, let chunk = try await server.read() { received += chunk }
        try await written
        #expect(received == bytes)
        await client.finish()
        #expect(try await server.read() == nil)
        server.abort()
        client.abort()
        await listener.close()
        await loop.shutdown()
    }

    @Test func aSimulationIsAFunctionOfItsSeed() throws {
        func run(seed: UInt64) throws -> (UInt64, Int) {
            let world = SimulatedWorld(seed: seed)
            var conditions = LinkConditions(latency: .milliseconds(20))
            conditions.loss = 0.2
            conditions.jitter = .milliseconds(5)
            conditions.duplication = 0.1
            world.network.conditions = conditions
            let inbox = Inbox()
            let source = SocketAddress(ipv4: 10, 0, 0, 1, port: 0)
            let target = SocketAddress(ipv4: 10, 0, 0, 2, port: 900)
            try world.run {
                let receiver = try await world.runtime(address: target).network
                    .bind(DatagramSocketOptions(address: target)) { inbox.receive($0) }
                let sender = try await world.runtime(address: source).network
                    .bind(DatagramSocketOptions(address: source)) { _ in }
                for index in UInt8(0)..<200 {
                    var batch = DatagramBatch()
                    batch.append([index], address: receiver.localAddress)
                    sender.send(batch)
                }
                await withCheckedContinuation { continuation in
                    _ = world.loop.schedule(at: world.loop.now + .seconds(1)) { continuation.resume() }
                }
            }
            return (world.network.traceHash, inbox.count)
        }
        let first = try run(seed: 1)
        #expect(try run(seed: 1) == first)
        #expect(try run(seed: 2).1 != 0)
        #expect(first.1 > 120 && first.1 < 220)
    }
}
