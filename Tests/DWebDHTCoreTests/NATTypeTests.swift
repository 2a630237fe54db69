import DWebBase
import DWebDHTCore
import Testing

@Suite struct NATTypeTests {
    private func samples(_ ports: [UInt16], nodeCount: Int? = nil) -> [NATSample] {
        ports.enumerated().map { index, port in
            NATSample(
                node: SocketAddress(ipv4: 1, 1, 1, UInt8(index % (nodeCount ?? ports.count)), port: 1),
                observed: SocketAddress(ipv4: 5, 5, 5, 5, port: port))
        }
    }

    @Test func onePortForAllIsConsistent() {
        #expect(NATType(samples: samples([7, 7]), isReachable: false) == .consistent)
        #expect(NATType(samples: samples([7, 7, 7, 7, 7]), isReachable: false) == .consistent)
    }

    @Test func aPortPerDestinationIsRandom() {
        #expect(NATType(samples: samples([7, 8]), isReachable: false) == .random)
        #expect(NATType(samples: samples([7, 8, 9, 7]), isReachable: false) == .random)
    }

    @Test func oneStraySampleDoesNotDecide() {
        #expect(NATType(samples: samples([9, 7, 7, 7]), isReachable: false) == .consistent)
    }

    @Test func oneNodeProvesNothing() {
        #expect(NATType(samples: [], isReachable: false) == .unknown)
        #expect(NATType(samples: samples([7, 7, 7], nodeCount: 1), isReachable: false) == .unknown)
    }

    @Test func whoIsReachedIsOpen() {
        #expect(NATType(samples: [], isReachable: true) == .open)
        #expect(NATType(samples: samples([7, 8]), isReachable: true) == .open)
    }

    @Test func onlyTwoRandomOnesCannotPunch() {
        for own in NATType.allCases {
            for other in NATType.allCases {
                #expect(own.canPunch(to: other) == other.canPunch(to: own))
                if own == .open || other == .open {
                    #expect(own.canPunch(to: other) == true)
                } else if own == .unknown || other == .unknown {
                    #expect(own.canPunch(to: other) == nil)
                } else {
                    #expect(own.canPunch(to: other) == !(own == .random && other == .random))
                }
            }
        }
    }
}
