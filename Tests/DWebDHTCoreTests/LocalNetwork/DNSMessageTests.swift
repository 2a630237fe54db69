import DWebBase
import DWebCrypto
import Testing

@testable import DWebDHTCore

@Suite struct DNSMessageTests {
    private let service = DNSName("_dweb", "_udp", "local")

    /// Header, then the question `_dweb._udp.local PTR`, written by hand after RFC 1035 section 4.
    private let question: [UInt8] =
        [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0] + [5] + Array("_dweb".utf8) + [4] + Array("_udp".utf8) + [5]
        + Array("local".utf8) + [0, 0, 12, 0, 1]

    private var response: DNSMessage {
        var message = DNSMessage(isResponse: true)
        let instance = service.under("somebody")
        let host = DNSName("host", "local")
        message.answers = [DNSRecord(service, .pointer(instance), secondsToLive: 4_500, isUnique: false)]
        message.additionals = [
            DNSRecord(instance, .service(port: 49_737, host: host), secondsToLive: 120, isUnique: true),
            DNSRecord(instance, .text([Array("v=1".utf8), []]), secondsToLive: 120, isUnique: true),
            DNSRecord(
                host, .address4(SocketAddress(ipv4: 10, 0, 0, 1, port: 0)), secondsToLive: 120, isUnique: true),
        ]
        return message
    }

    @Test func aQuestionHasTheBytesOfTheStandard() throws {
        var message = DNSMessage(isResponse: false)
        message.questions = [DNSQuestion(service, .pointer)]
        #expect(message.encoded == question)
        #expect(try DNSMessage(decoding: question) == message)
    }

    @Test func recordsComeBack() throws {
        #expect(try DNSMessage(decoding: response.encoded) == response)
    }

    @Test func namesAreCompressedAndCompareWithoutCase() throws {
        let bytes = response.encoded
        #expect(bytes.count < 130)
        #expect(DNSName("_DWEB", "_udp", "Local") == service)
        let upper = question.map { $0 >= 0x61 && $0 <= 0x7a ? $0 - 0x20 : $0 }
        #expect(try DNSMessage(decoding: upper).questions.first?.name == service)
    }

    @Test func everyTruncationIsRefused() {
        let bytes = response.encoded
        for count in 0..<bytes.count {
            #expect(throws: DNSError.self) { try DNSMessage(decoding: Array(bytes.prefix(count))) }
        }
    }

    @Test func pointersThatDoNotLeadBackwardsAreRefused() {
        let header: [UInt8] = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        // To itself, forwards, and two that lead to each other.
        for name: [UInt8] in [[0xc0, 12], [0xc0, 14, 0], [1, 0x61, 0xc0, 12], [0xc0, 14, 0xc0, 12]] {
            #expect(throws: DNSError.invalidName) { try DNSMessage(decoding: header + name + [0, 12, 0, 1, 0]) }
        }
    }

    @Test func namesThatAreTooLongAreRefused() {
        let header: [UInt8] = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        let label: [UInt8] = [63] + [UInt8](repeating: 0x61, count: 63)
        let name = label + label + label + label
        #expect(throws: DNSError.invalidName) { try DNSMessage(decoding: header + name + [0, 0, 12, 0, 1]) }
        #expect(throws: DNSError.invalidName) { try DNSMessage(decoding: header + [0x40, 0, 0, 12, 0, 1]) }
    }

    @Test func aCountThatLiesCostsNothing() {
        let header: [UInt8] = [0, 0, 0x84, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]
        #expect(throws: DNSError.tooManyEntries) { try DNSMessage(decoding: header) }
        #expect(throws: DNSError.truncated) {
            try DNSMessage(decoding: [0, 0, 0x84, 0, 0, 0, 0, 200, 0, 0, 0, 0])
        }
    }

    @Test func recordsWhoseLengthLiesAreRefused() {
        var bytes = response.encoded
        // The length of the last record, an address of 4 bytes.
        bytes[bytes.count - 5] = 3
        #expect(throws: DNSError.self) { try DNSMessage(decoding: bytes) }
    }

    @Test func noiseNeverTraps() {
        var random = SecureRandom(seed: Bytes32(repeating: 1))
        let good = response.encoded
        for _ in 0..<10_000 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if let message = try? DNSMessage(decoding: bytes) {
                #expect(message.answers.count + message.additionals.count <= DNSMessage.entryLimit)
                _ = message.encoded
            }
        }
    }
}
