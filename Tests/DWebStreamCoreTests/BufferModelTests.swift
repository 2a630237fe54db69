import Testing

@testable import DWebStreamCore

/// The buffers against the simplest thing that could do the same.
@Suite struct BufferModelTests {
    @Test(arguments: 1...10 as ClosedRange<UInt64>)
    func receiveBuffer(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let first = UInt32.max - 50
        let payloads = (0..<200).map { index in testBytes(index % 7, seed: UInt64(index)) }
        var buffer = ReceiveBuffer(nextSequence: first)
        var arrived = Set<Int>()
        var delivered: [UInt8] = []
        var next = 0
        while next < payloads.count {
            let index = min(payloads.count - 1, next + Int(random.next() % 40))
            let sequence = first &+ UInt32(index)
            #expect(buffer.contains(sequence) == arrived.contains(index))
            guard !arrived.contains(index) else { continue }
            arrived.insert(index)
            if index == next {
                buffer.appendInOrder(payloads[index], payloads[index].indices)
                buffer.drain(upTo: nil)
            } else {
                let isKept = buffer.insert(sequence, payload: payloads[index][...], limit: 1 << 20)
                #expect(isKept)
            }
            while arrived.contains(next) { next += 1 }
            #expect(buffer.nextSequence == first &+ UInt32(next))
            let waiting = arrived.filter { $0 >= next }
            let runs = buffer.runs.map { Int($0.start &- first)..<Int($0.end &- first) }
            #expect(runs.flatMap { Array($0) } == waiting.sorted())
            #expect(zip(runs, runs.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound })
            #expect(
                buffer.waitingByteCount
                    == waiting.reduce(0) { $0 + payloads[$1].count + UDXLimits.reorderOverheadByteCount })
            if random.next() % 4 == 0 { delivered += buffer.read() }
        }
        while buffer.unreadCount > 0 { delivered += buffer.read() }
        #expect(delivered == payloads.flatMap { $0 })
    }

    @Test func muchIsReadInPieces() {
        let payload = testBytes(1_400)
        var buffer = ReceiveBuffer(nextSequence: 0)
        for _ in 0..<1_000 { buffer.appendInOrder(payload, 0..<payload.count) }
        #expect(buffer.unreadCount == 1_400_000)
        var delivered: [UInt8] = []
        while buffer.unreadCount > 0 {
            let piece = buffer.read()
            #expect(piece.count > 0 && piece.count <= (256 << 10) + payload.count)
            delivered += piece
            #expect(buffer.unreadCount == 1_400_000 - delivered.count)
        }
        #expect(delivered == (0..<1_000).flatMap { _ in payload })
        #expect(buffer.read().isEmpty)
    }

    @Test(arguments: 1...10 as ClosedRange<UInt64>)
    func writeQueue(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var queue = WriteQueue()
        var model: [UInt8] = []
        var outstanding: [(streamOffset: Int, chunkIndex: Int, count: Int)] = []
        for _ in 0..<2_000 {
            switch random.next() % 4 {
            case 0:
                let bytes = testBytes(Int(random.next() % 2_500), seed: random.next())
                queue.append(bytes)
                model += bytes
            case 1:
                let packet = queue.take(Int(random.next() % 1_452) + 1)
                if packet.count > 0 { outstanding.append(packet) }
            case 2:
                guard let packet = outstanding.randomElement(using: &random) else { continue }
                var copy: [UInt8] = [9]
                queue.copy(packet.count, from: packet.streamOffset, chunkIndex: packet.chunkIndex, into: &copy)
                #expect(copy.dropFirst() == model[packet.streamOffset..<packet.streamOffset + packet.count])
            default:
                guard !outstanding.isEmpty else { continue }
                let packet = outstanding.removeFirst()
                queue.acknowledge(upTo: packet.streamOffset + packet.count)
                #expect(queue.acknowledgedCount == packet.streamOffset + packet.count)
            }
            #expect(queue.writtenCount == model.count)
            #expect(queue.unsentCount == model.count - queue.sentCount)
        }
    }

    @Test func windowedFilter() {
        var maximum = WindowedFilter<Double>(.maximum, initial: 0)
        for (time, value) in [(1, 5.0), (2, 9.0), (3, 7.0), (8, 6.0)] {
            maximum.update(value, at: Int64(time), window: 10)
        }
        #expect(maximum.value == 9)
        maximum.update(1, at: 13, window: 10)
        // The 7 was followed too soon to be remembered.
        #expect(maximum.value == 6)
        maximum.update(1, at: 40, window: 10)
        #expect(maximum.value == 1)
        var minimum = WindowedFilter<Int64>(.minimum, initial: 0)
        minimum.reset(10, at: 0)
        minimum.update(12, at: 1, window: 10)
        minimum.update(8, at: 2, window: 10)
        #expect(minimum.value == 8)
    }

    @Test func sentPacketsKeepTwoOrders() {
        var packets = SentPackets()
        let first = UInt32.max - 5
        for offset: UInt32 in 0..<40 {
            packets.reserve(Int(offset) + 1, from: first)
            packets[first &+ offset] = SentPacket()
            packets[first &+ offset].payloadCount = 100
            packets.appendInFlight(first &+ offset)
        }
        #expect(packets.bytesInFlight == 40 * 120)
        for offset: UInt32 in [0, 39, 5, 20] {
            packets.removeInFlight(first &+ offset)
            packets.appendLost(first &+ offset)
        }
        packets.removeLost(first &+ 5)
        packets.appendInFlight(first &+ 5)
        func walk(_ list: SentPacketList) -> [UInt32] {
            var result: [UInt32] = []
            var sequence = list.head
            for _ in 0..<list.count {
                result.append(sequence &- first)
                sequence = packets[sequence].next
            }
            return result
        }
        #expect(walk(packets.lost) == [0, 39, 20])
        #expect(walk(packets.inFlight) == (1...38).filter { $0 != 5 && $0 != 20 } + [5])
        #expect(packets.inFlight.count == 37)
        #expect(packets.bytesInFlight == 37 * 120)
    }
}
