import DWebLab
import Testing

/// A network of a thousand nodes; larger ones are `dweb bench dht`.
@Suite struct ScaleTests {
    @Test func aThousandNodesFindAndForget() {
        let report = ScaleLab.run(
            nodeCount: 1_000, seed: 1, lookupCount: 40, restTime: .seconds(10), partitionTime: nil)
        let message: Comment = "\(report)"
        #expect(report.healthy.success == 1, message)
        #expect(report.healthy.meanHopCount < 4, message)
        #expect(report.healthy.meanMessageCount < 120, message)
        #expect(report.afterTenth.success == 1, message)
        #expect(report.afterHalf.success >= 0.95, message)
        #expect(report.meanTableCount > 60, message)
        #expect(report.idleMessageRate < 2, message)
    }
}
