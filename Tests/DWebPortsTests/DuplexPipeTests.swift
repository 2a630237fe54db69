import DWebPorts
import Testing

@Suite struct DuplexPipeTests {
    @Test func bytesCrossInOrderWithBackPressure() async throws {
        let (left, right) = DuplexPipe.makePair(byteLimit: 1_000)
        async let sent: Void = {
            for index in 0..<500 { try await left.write([UInt8](repeating: UInt8(index & 255), count: 100)) }
            await left.finish()
        }()
        var received: [UInt8] = []
        while let chunk = try await right.read() {
            #expect(chunk.count <= 1_100)
            received += chunk
        }
        try await sent
        #expect(received == (0..<500).flatMap { [UInt8](repeating: UInt8($0 & 255), count: 100) })
    }

    @Test func abortReachesBothSides() async throws {
        let (left, right) = DuplexPipe.makePair()
        left.abort()
        await #expect { try await right.read() } throws: { ($0 as? PortError)?.code == .connectionReset }
        await #expect { try await right.write([1]) } throws: { ($0 as? PortError)?.code == .connectionReset }
    }

    @Test func cancellationEndsAWaitingRead() async throws {
        let (left, _) = DuplexPipe.makePair()
        let task = Task { try await left.read() }
        task.cancel()
        await #expect { try await task.value } throws: { ($0 as? PortError)?.code == .cancelled }
    }
}
