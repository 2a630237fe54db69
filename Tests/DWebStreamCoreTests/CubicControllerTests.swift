import Testing

@testable import DWebStreamCore

/// CUBIC and the end of its first slow start, without a path.
@Suite struct CubicControllerTests {
    private static let roundTripTime = 100 * Int64.millisecond

    /// A controller that acknowledges whole windows, one a round trip.
    private final class Flow {
        let controller = CubicController()
        var context = CongestionContext()

        init() {
            context.now = 1_000 * Int64.millisecond
            context.smoothedRoundTripTime = CubicControllerTests.roundTripTime
        }

        /// A round trip of `samples` acknowledgements, which report `roundTripTime`.
        func round(_ roundTripTime: Int64 = CubicControllerTests.roundTripTime, samples: Int = 10) {
            let window = controller.congestionWindow
            let start = context.delivered
            context.now += CubicControllerTests.roundTripTime
            context.inFlight = window
            for index in 0..<samples {
                var sample = RateSample()
                sample.newlyAcknowledged = window * (index + 1) / samples - window * index / samples
                sample.priorDelivered = start
                sample.roundTripTime = roundTripTime
                context.delivered += sample.newlyAcknowledged
                controller.acknowledge(sample, context)
            }
        }

        func lose() {
            context.inFlight = controller.congestionWindow
            controller.enterRecovery(context)
            controller.leaveRecovery(context)
        }
    }

    @Test func slowStartDoublesWhileThePathIsEmpty() {
        let flow = Flow()
        for _ in 0..<6 { flow.round() }
        #expect(flow.controller.congestionWindow == 640)
    }

    @Test func slowStartEndsWhenRoundTripsGrow() {
        let flow = Flow()
        for _ in 0..<3 { flow.round() }
        #expect(flow.controller.congestionWindow == 80)
        // 12.5 ms more are an eighth; five rounds at a quarter of the growth follow.
        for _ in 0..<6 { flow.round(Self.roundTripTime + 13 * Int64.millisecond) }
        let window = flow.controller.congestionWindow
        #expect((200...400).contains(window))
        flow.round(Self.roundTripTime + 13 * Int64.millisecond)
        #expect(flow.controller.congestionWindow < window + 10)
    }

    @Test func slowStartGoesOnAfterADisturbance() {
        let flow = Flow()
        for _ in 0..<3 { flow.round() }
        flow.round(Self.roundTripTime + 20 * Int64.millisecond)
        for _ in 0..<2 { flow.round() }
        #expect(flow.controller.congestionWindow > 300)
    }

    @Test func fewSamplesDoNotEndSlowStart() {
        let flow = Flow()
        for step in 0..<6 { flow.round(Self.roundTripTime + Int64(step) * 20 * Int64.millisecond, samples: 7) }
        #expect(flow.controller.congestionWindow == 640)
    }

    @Test func aLossTakesWhatOneOfTwoConnectionsGivesUp() {
        let flow = Flow()
        for _ in 0..<6 { flow.round() }
        flow.lose()
        #expect(flow.controller.congestionWindow == 544)
        flow.lose()
        #expect(flow.controller.congestionWindow == 462)
    }

    @Test func aMarkTakesHalfOfThat() {
        let flow = Flow()
        for _ in 0..<6 { flow.round() }
        flow.controller.experienceCongestion(flow.context)
        #expect(flow.controller.congestionWindow == 592)
    }

    /// RFC 9438 section 4.2: the window is what it was after the cube root of its loss over 0.4, in seconds.
    @Test func theWindowReturnsToItsPlateau() {
        let flow = Flow()
        for _ in 0..<6 { flow.round() }
        flow.lose()
        // (0.15 x 640 / 0.4) ^ (1/3) = 6.2 s.
        for _ in 0..<50 { flow.round() }
        #expect((630..<640).contains(flow.controller.congestionWindow))
        for _ in 0..<15 { flow.round() }
        #expect((639...641).contains(flow.controller.congestionWindow))
        for _ in 0..<40 { flow.round() }
        #expect(flow.controller.congestionWindow > 660)
    }

    /// RFC 9438 section 4.3, for two connections: 0.97 packets a round trip, and two once past the former window.
    @Test func aSmallWindowGrowsAsRenoDoes() {
        let flow = Flow()
        flow.round()
        flow.lose()
        #expect(flow.controller.congestionWindow == 17)
        for _ in 0..<3 { flow.round() }
        #expect(flow.controller.congestionWindow == 19)
        for _ in 0..<5 { flow.round() }
        #expect((27...29).contains(flow.controller.congestionWindow))
    }

    @Test func aTimeoutStartsOver() {
        let flow = Flow()
        for _ in 0..<6 { flow.round() }
        flow.controller.retransmissionTimedOut(flow.context)
        #expect(flow.controller.congestionWindow == 4)
        for _ in 0..<4 { flow.round(2 * Self.roundTripTime) }
        #expect(flow.controller.congestionWindow == 64)
    }
}
