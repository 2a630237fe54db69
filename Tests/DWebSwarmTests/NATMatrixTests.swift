import DWebBase
import DWebLab
import DWebSwarm
import Testing

/// The table of `docs/nat.md`: which two kinds of network connect directly, and which through a relay.
@Suite struct NATMatrixTests {
    static let fixedSeeds: [UInt64] = [1, 2]

    @Test(arguments: NATPair.all)
    func everyPairConnectsAsTheTableSays(pair: NATPair) throws {
        for seed in Self.fixedSeeds + [UInt64.random(in: 1_000...(.max))] {
            var setup = NATLab.Setup(seed: seed)
            setup.loss = 0.02
            let result = try NATLab.run(pair, setup)
            let message: Comment = "\(pair), seed \(seed): \(result)"
            let wanted: ConnectionPath =
                switch pair.way {
                case .open: .open
                case .consistent, .birthday: .holePunched
                case .relay: .relayed
                }
            #expect(result.finalPath == wanted, message)
            #expect(result.finalTime.map { $0 <= pair.timeLimit } == true, message)
            #expect(result.isIntact, message)
        }
    }
}
