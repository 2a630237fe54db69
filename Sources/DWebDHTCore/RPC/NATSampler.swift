package import DWebBase

/// Learns a node's public address from what other nodes say they see; spec 20 section 5.1.
package struct NATSampler: Sendable {
    /// The number of samples that count.
    package static let capacity = 16
    private static let lookback = 4

    /// What is known of the public address: nil for nothing, port 0 for a host whose ports vary.
    package private(set) var address: SocketAddress?
    private var exact = HitRing()
    private var hosts = HitRing()

    /// A sampler that knows nothing.
    package init() {}

    /// The number of samples held, at most ``capacity``.
    package var count: Int { exact.samples.count }

    /// Takes one sample: the address as another node saw it.
    package mutating func add(_ sample: SocketAddress) {
        exact.add(sample)
        hosts.add(sample.with(port: 0))
        let threshold = count - (count < 4 ? 0 : count < 8 ? 1 : count < 12 ? 2 : 3)
        if exact.best.hits >= threshold {
            address = exact.best.address
        } else if hosts.best.hits >= threshold {
            address = hosts.best.address
        } else {
            address = nil
        }
    }

    /// The last samples, each referring to an entry that it may share with a recent equal one.
    private struct HitRing: Sendable {
        struct Entry: Sendable {
            var address: SocketAddress
            var hits: Int
        }

        private(set) var samples: [UInt8] = []
        private var entries: [Entry] = []
        private var next = 0
        private var bestIndex = 0

        var best: Entry { entries[bestIndex] }

        mutating func add(_ address: SocketAddress) {
            let index = entryIndex(for: address)
            entries[index].hits += 1
            if samples.count < NATSampler.capacity {
                samples.append(UInt8(index))
                next = samples.count % NATSampler.capacity
            } else {
                entries[Int(samples[next])].hits -= 1
                samples[next] = UInt8(index)
                next = (next + 1) % NATSampler.capacity
            }
            if entries[bestIndex].hits < entries[index].hits { bestIndex = index }
        }

        private mutating func entryIndex(for address: SocketAddress) -> Int {
            let capacity = NATSampler.capacity
            for back in 1...NATSampler.lookback where back <= samples.count {
                let index = Int(samples[(next + capacity - back) % capacity])
                if entries[index].address == address { return index }
            }
            // The best one stays even without hits: it is what later ones are compared with.
            for index in entries.indices where entries[index].hits == 0 && index != bestIndex {
                entries[index].address = address
                return index
            }
            entries.append(Entry(address: address, hits: 0))
            return entries.count - 1
        }
    }
}
