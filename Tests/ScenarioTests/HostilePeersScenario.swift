import DWeb
import DWebLogCore
import Testing

/// What a hostile peer sends is neither stored nor answered for long: it is dropped with a typed error, and an honest
/// peer serves the same log afterwards.
@Suite(.scenarioLimit) struct HostilePeersScenario {
    enum Fault: CaseIterable, Sendable {
        /// A tree upgrade whose signature is not the writer's.
        case invalidSignature
        /// A block that does not belong under the signed tree.
        case invalidBlock
        /// A channel opened without knowing the log's key.
        case wrongCapability
        /// A frame that is not encrypted with the connection's key.
        case garbageFrame
        /// A message that the multiplexer cannot parse.
        case garbageMessage
        /// A stream that ends within a frame.
        case truncatedFrame

        /// Whether only the log can tell, which gives the peer time to prove its history.
        var isProof: Bool { self == .invalidSignature || self == .invalidBlock }
    }

    @Test(arguments: Ground.everywhere, Fault.allCases)
    func whatTheySendIsNotKept(ground: Ground, fault: Fault) async throws {
        // A peer has twenty seconds to prove a history that does not seem to be the log's.
        try await Stage.run(ground, isIdle: fault.isProof) { stage in
            let writerHome = stage.home(1)
            // The hostile peer knows the log: it can tell nearly the truth.
            try await stage.withStore(writerHome) { store in
                let source = try await store.database(named: "log")
                try await source.append(contents(0..<4))
                let key = source.key
                try await stage.withPeer(stage.home(2)) { reader in
                    let events = reader.networker.events(bufferingNewest: 200)
                    let copy = try await reader.store.database(key: key)
                    try await stage.withHostilePeer(
                        stage.home(3), announcing: key.discoveryKey,
                        behave: { try await HostilePeersScenario.behave(fault, $0, source) }
                    ) { hostileKey in
                        try await reader.networker.join(key.discoveryKey, announce: false, lookup: true)
                        await withTaskGroup(of: DDatabaseError.Code?.self) { group in
                            group.addTask {
                                await code { () throws(DDatabaseError) in
                                    try await copy.block(at: 0, .wait(upTo: .seconds(60)))
                                }
                            }
                            let drop = await stage.first(of: events) { event in
                                switch event {
                                case .replicationError(hostileKey, let reason): !reason.isEmpty
                                // A cut is no fault that could be proven to the peer, but no orderly end either.
                                case .streamClosed(hostileKey, let reason): fault == .truncatedFrame && reason != nil
                                default: false
                                }
                            }
                            #expect(drop != nil)
                            group.cancelAll()
                            for await outcome in group { #expect(outcome == .cancelled) }
                        }
                    }
                    // The tree itself may be right, and come before the block.
                    #expect(copy.length == 0 || fault == .invalidBlock)
                    #expect(try await !copy.has(0))
                    #expect(copy.contiguousLength == 0)
                    #expect(copy.statistics.downloadedBlockCount == 0)
                    #expect((copy.statistics.invalidProofCount > 0) == fault.isProof)
                    #expect(await stage.eventually { await reader.networker.peers.isEmpty })

                    // The log itself took no harm.
                    try await HostilePeersScenario.serve(source, from: stage, beside: store) {
                        try await reader.networker.join(key.discoveryKey, announce: false, lookup: true)
                        #expect(try await copy.blocks(at: 0..<4, .wait(upTo: .seconds(20))) == contents(0..<4))
                    }
                }
            }
        }
    }

    /// How a peer behaves that an honest one has to make up for.
    enum Company: CaseIterable, Sendable {
        /// Promises everything, and never answers.
        case silent
        /// Proves the log's length, and never gives a block.
        case silentAboutBlocks
        case forgingSignatures
        case forgingBlocks
    }

    @Test(arguments: Ground.everywhere, Company.allCases)
    func oneHonestPeerIsEnough(ground: Ground, company: Company) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withPeers([stage.home(1), stage.home(2)]) { peers in
                let (writer, reader) = (peers[0], peers[1])
                let source = try await writer.store.database(named: "log")
                try await source.append(contents(0..<4))
                let key = source.key
                try await stage.withHostilePeer(
                    stage.home(3), announcing: key.discoveryKey,
                    behave: { try await HostilePeersScenario.behave(company, $0, source) }
                ) { _ in
                    // The other one comes first, and is asked first.
                    let copy = try await reader.find(key)
                    async let blocks = copy.blocks(at: 0..<4, .wait(upTo: .seconds(15)))
                    await stage.pause(.milliseconds(300))
                    try await writer.announce(source)
                    try await reader.networker.join(key.discoveryKey, announce: false, lookup: true)
                    #expect(try await blocks == contents(0..<4))
                    #expect(copy.statistics.downloadedBlockCount == 4)
                }
            }
        }
    }

    private static func behave(_ company: Company, _ peer: HostilePeer, _ source: DDatabase) async throws {
        switch company {
        case .forgingSignatures: try await behave(.invalidSignature, peer, source)
        case .forgingBlocks: try await behave(.invalidBlock, peer, source)
        case .silent, .silentAboutBlocks:
            let channel = try await peer.open(source.key)
            try await peer.boast(of: 4, on: channel)
            while let message = try await peer.nextMessage() {
                guard company == .silentAboutBlocks, case .request(let request) = message,
                    request.proof.block == nil,
                    case .data(let data) = await source.engine.answer(request, .proof)
                else { continue }
                try await peer.send(.data(data), on: channel)
            }
        }
    }

    private static func behave(_ fault: Fault, _ peer: HostilePeer, _ source: DDatabase) async throws {
        switch fault {
        case .wrongCapability:
            _ = try await peer.open(source.key, capability: Bytes32(repeating: 3))
        case .garbageFrame:
            _ = try await peer.open(source.key)
            try await peer.sendRaw([40, 0, 0] + [UInt8](repeating: 7, count: 40))
        case .garbageMessage:
            // A reject of a channel that nobody opened.
            try await peer.sendSealed([0, 2, 77])
        case .truncatedFrame:
            _ = try await peer.open(source.key)
            try await peer.sendRaw([200, 0, 0] + [UInt8](repeating: 7, count: 20))
            await peer.finish()
        case .invalidSignature, .invalidBlock:
            let channel = try await peer.open(source.key)
            try await peer.boast(of: 4, on: channel)
            while let message = try await peer.nextMessage() {
                guard case .request(let request) = message,
                    case .data(var data) = await source.engine.answer(request, .proof)
                else { continue }
                if fault == .invalidSignature { data.upgrade?.signature?[5] ^= 1 }
                if fault == .invalidBlock { data.block?.value[0] ^= 1 }
                try await peer.send(.data(data), on: channel)
            }
        }
        try await peer.readToEnd()
    }

    /// Announces the writer's log from its own store.
    private static func serve(
        _ source: DDatabase, from stage: Stage, beside store: Basestore,
        _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        let discoveryKey = source.discoveryKey
        try await SwarmNetworker.withNetworker(store: store, configuration: stage.configuration) { networker in
            try await networker.join(discoveryKey, announce: true, lookup: false)
            try await body()
        }
    }
}
