import DWebBase
import DWebCrypto
import DWebDHTCore

/// What a number of lookups cost and brought.
package struct LookupFigures: Sendable, Codable {
    /// Lookups made.
    package var count = 0
    /// The share that found the record.
    package var success = 0.0
    /// Referrals from a node of the own table to the closest node found, on average.
    package var meanHopCount = 0.0
    /// Requests that the searching node sent meanwhile, repetitions and its upkeep included, on average.
    package var meanMessageCount = 0.0
    /// The virtual time until the record was found first, in milliseconds: the median and the 99th percentile.
    package var medianMilliseconds = 0.0
    package var slowMilliseconds = 0.0
    /// The virtual time until the lookup ended, in milliseconds, on average.
    package var meanEndMilliseconds = 0.0
}

/// What a simulated network of one size shows.
package struct ScaleReport: Sendable, Codable {
    /// Nodes.
    package var nodeCount = 0
    /// Nodes in a routing table, on average.
    package var meanTableCount = 0.0
    /// Datagrams per node for joining, on average.
    package var joinMessageCount = 0.0
    /// Datagrams per node and second at rest.
    package var idleMessageRate = 0.0
    /// Lookups in the whole network.
    package var healthy = LookupFigures()
    /// Lookups right after a tenth of the nodes vanished.
    package var afterTenth = LookupFigures()
    /// Lookups right after half of the nodes vanished.
    package var afterHalf = LookupFigures()
    /// Seconds after the partition until 95 of 100 lookups across it succeed; nil if they never did.
    package var healSeconds: Double?
}

/// Lookups in simulated networks of any size.
package struct ScaleLab {
    private struct Search {
        let member: Int
        let start: MonotonicTime
        let sentBefore: Int
        var messageCount = 0
        var depths: [Int: Int] = [:]
        var foundAfter: Duration?
        var foundDepth = 0
        var endedAfter: Duration?
    }

    /// Operations are numbered per node.
    private struct OperationKey: Hashable {
        let member: Int
        let id: OperationID
    }

    private static let topicCount = 100
    private static let healTimeLimit = Duration.seconds(600)

    private let network: ScaleNetwork
    private var topics: [(topic: Bytes32, keyPair: KeyPair, owner: Int)] = []
    private var report = ScaleReport()

    /// Builds a network of `nodeCount` nodes and measures it.
    ///
    /// - Parameters:
    ///   - lookupCount: Lookups per measurement.
    ///   - restTime: How long the traffic at rest is counted.
    ///   - partitionTime: How long the network is parted; nil leaves the partition out. Up to ten minutes more pass until
    ///     it has healed.
    ///   - note: Hears about the stages, and may measure memory after the first.
    package static func run(
        nodeCount: Int, seed: UInt64, lookupCount: Int = 200, restTime: Duration = .seconds(60),
        partitionTime: Duration? = .seconds(300),
        note: (String) -> Void = { _ in }
    ) -> ScaleReport {
        var lab = ScaleLab(seed: seed)
        lab.build(nodeCount, restTime: restTime)
        note("built")
        lab.announce()
        lab.report.healthy = lab.lookups(lookupCount)
        note("looked up")
        if let partitionTime {
            lab.report.healSeconds = lab.heal(after: partitionTime)
            note("healed")
            lab.announce()
        }
        lab.vanish(share: 0.1)
        lab.report.afterTenth = lab.lookups(lookupCount)
        note("a tenth vanished")
        // Half of those who were there at first.
        lab.vanish(share: 0.4 / 0.9)
        lab.report.afterHalf = lab.lookups(lookupCount)
        note("half vanished")
        return lab.report
    }

    private init(seed: UInt64) { network = ScaleNetwork(seed: seed) }

    private mutating func build(_ nodeCount: Int, restTime rest: Duration) {
        // A few at a time, so that joining stays a search and not a stampede.
        let spacing = Duration.microseconds(Int64(max(500, 20_000_000 / max(1, nodeCount))))
        for _ in 0..<nodeCount {
            network.add()
            network.run(for: spacing)
        }
        network.run(for: .seconds(20))
        report.nodeCount = nodeCount
        report.joinMessageCount = Double(network.datagramCount) / Double(nodeCount)
        let before = network.datagramCount
        network.run(for: rest)
        report.idleMessageRate = Double(network.datagramCount - before) / Double(nodeCount) / rest.seconds
        let sum = network.members.reduce(0) { $0 + $1.node.rpc.nodeCount }
        report.meanTableCount = Double(sum) / Double(nodeCount)
    }

    /// Announces a number of peers, each under a topic of its own.
    private mutating func announce(side: UInt8? = nil, count: Int = ScaleLab.topicCount) {
        topics = []
        var open = 0
        network.onEvent = { _, _, event in
            if case .finished = event { open -= 1 }
        }
        for number in 0..<count {
            var owner = network.randomMember()
            while let side, network.members[owner].side != side { owner = network.randomMember() }
            let keyPair = KeyPair(seed: network.randomKey())
            let topic = network.randomKey()
            topics.append((topic, keyPair, owner))
            open += 1
            network.perform(owner) {
                _ = $0.announce(topic, as: keyPair, relayAddresses: [ScaleNetwork.address(of: owner)], now: $1)
            }
            if number % 10 == 9 { network.run(for: .seconds(1)) }
        }
        network.run(for: .seconds(30), until: { open == 0 })
        network.onEvent = nil
    }

    private mutating func vanish(share: Double) {
        let alive = network.members.indices.filter { network.members[$0].isAlive }
        var victims: [Int] = []
        let wanted = Int(Double(alive.count) * share)
        var chosen = Set<Int>()
        while victims.count < wanted {
            let index = network.randomMember()
            // The entry points stay: they are what the others would return to.
            if index >= 3, chosen.insert(index).inserted { victims.append(index) }
        }
        network.kill(victims)
    }

    /// Looks topics up from random members, some at a time.
    private mutating func lookups(_ count: Int, side: UInt8? = nil) -> LookupFigures {
        var searches: [OperationKey: Search] = [:]
        var byMember: [Int: OperationKey] = [:]
        var done: [Search] = []
        let network = network
        var wanted: [OperationKey: PublicKey] = [:]
        network.onEvent = { member, operation, event in
            let id = OperationKey(member: member, id: operation)
            guard searches[id] != nil else { return }
            let elapsed = network.now - searches[id]!.start
            switch event {
            case .peers(let reply, let source):
                guard searches[id]!.foundAfter == nil, reply.peers.contains(where: { $0.publicKey == wanted[id] })
                else { return }
                searches[id]!.foundAfter = elapsed
                searches[id]!.foundDepth = searches[id]!.depths[ScaleNetwork.index(of: source)] ?? 1
            case .finished:
                searches[id]!.endedAfter = elapsed
                searches[id]!.messageCount = network.members[member].sentCount - searches[id]!.sentBefore
                done.append(searches.removeValue(forKey: id)!)
                byMember[member] = nil
            case .peer, .mutable, .immutable, .pong: break
            }
        }
        network.onDatagram = { member, source, bytes in
            guard let id = byMember[member], let reply = try? RPCResponse(datagram: bytes) else { return }
            let depth = searches[id]?.depths[source] ?? 1
            for address in reply.closerNodes {
                let index = ScaleNetwork.index(of: address)
                if searches[id]?.depths[index] == nil { searches[id]?.depths[index] = depth + 1 }
            }
        }
        for number in 0..<count {
            let entry = topics[number % topics.count]
            var member = network.randomMember()
            while byMember[member] != nil || side.map({ network.members[member].side != $0 }) == true {
                member = network.randomMember()
            }
            let before = network.members[member].sentCount
            let start = network.now
            let operation = network.perform(member) { $0.lookup(entry.topic, now: $1) }
            let id = OperationKey(member: member, id: operation)
            searches[id] = Search(member: member, start: start, sentBefore: before)
            wanted[id] = entry.keyPair.publicKey
            byMember[member] = id
            network.run(for: .milliseconds(100))
        }
        network.run(for: .seconds(60), until: { searches.isEmpty })
        network.onEvent = nil
        network.onDatagram = nil
        return ScaleLab.figures(done, network)
    }

    private static func figures(_ done: [Search], _ network: ScaleNetwork) -> LookupFigures {
        var figures = LookupFigures()
        figures.count = done.count
        guard !done.isEmpty else { return figures }
        let found = done.filter { $0.foundAfter != nil }
        figures.success = Double(found.count) / Double(done.count)
        let count = Double(max(1, found.count))
        figures.meanHopCount = Double(found.reduce(0) { $0 + $1.foundDepth }) / count
        figures.meanMessageCount = Double(done.reduce(0) { $0 + $1.messageCount }) / Double(done.count)
        let times = found.compactMap { $0.foundAfter?.seconds }.sorted()
        if !times.isEmpty {
            figures.medianMilliseconds = times[times.count / 2] * 1_000
            figures.slowMilliseconds = times[min(times.count - 1, times.count * 99 / 100)] * 1_000
        }
        let ends = done.compactMap { $0.endedAfter?.seconds }
        figures.meanEndMilliseconds = ends.reduce(0, +) / Double(max(1, ends.count)) * 1_000
        return figures
    }

    /// Parts the network for a while and tells how long it takes after that until both halves find each other's records.
    private mutating func heal(after partitionTime: Duration) -> Double? {
        network.split { UInt8($0 & 1) }
        network.isPartitioned = true
        network.run(for: partitionTime)
        announce(side: 0)
        network.isPartitioned = false
        let start = network.now
        while network.now - start < ScaleLab.healTimeLimit {
            let tried = network.now
            if lookups(ScaleLab.topicCount, side: 1).success >= 0.95 { return (tried - start).seconds }
            network.run(for: .seconds(5))
        }
        return nil
    }
}
