import DWebBase
import DWebCrypto
import DWebDatabase
import DWebLogCore

let logTargets: [FuzzTarget] = [
    FuzzTarget("log-messages", seeds: { SampleLog.messages.map { [UInt8($0.type)] + $0.encoded } }) { input in
        guard let type = input.first else { return }
        var reader = ByteReader(Array(input.dropFirst()))
        guard let message = try? LogMessage.decode(type: UInt64(type % 11), from: &reader) else { return }
        var again = ByteReader(message.encoded)
        guard let second = try? LogMessage.decode(type: message.type, from: &again) else {
            preconditionFailure("a message that cannot be read again")
        }
        check(second == message, "a message that does not come back")
    },
    FuzzTarget("manifests", seeds: { SampleLog.manifests.flatMap { [[0] + $0.encoded, [1] + $0.storedEncoding] } }) {
        input in
        guard let kind = input.first else { return }
        let bytes = Array(input.dropFirst())
        let decoded = kind % 2 == 0 ? try? Manifest(encoded: bytes) : try? Manifest(stored: bytes)
        guard let manifest = decoded else { return }
        let key = manifest.key
        _ = manifest.isCompatible(with: key)
        let rules = SignatureVerifier(key: key, manifest: manifest)
        check(!rules.isValid(SignedTree(tree: SampleLog.tree, signature: nil)) || rules.prologue != nil, "no signature")
        guard let stored = try? Manifest(stored: manifest.storedEncoding) else {
            preconditionFailure("a manifest that cannot be stored")
        }
        check(stored == manifest, "a manifest that does not come back")
    },
    FuzzTarget("signatures", seeds: { SampleLog.signatures }) { input in
        guard let kind = input.first else { return }
        let bytes = Array(input.dropFirst())
        if let multi = try? MultiSignature(decoding: bytes) { _ = multi }
        if let multi = try? MultiSignature(decodingLegacy: bytes) { _ = multi }
        let manifest = SampleLog.manifests[Int(kind) % SampleLog.manifests.count]
        let rules = SignatureVerifier(key: manifest.key, manifest: manifest)
        let isValid = rules.isValid(SignedTree(tree: SampleLog.otherTree, signature: bytes))
        check(!isValid, "a signature that nobody made")
    },
    FuzzTarget("records", seeds: { SampleLog.records }) { input in
        guard let kind = input.first else { return }
        let bytes = Array(input.dropFirst())
        switch kind % 9 {
        case 0: again(try? StoreHead(decoding: bytes), \.encoded) { try StoreHead(decoding: $0) }
        case 1: again(try? CoreRecord(decoding: bytes), \.encoded) { try CoreRecord(decoding: $0) }
        case 2: again(try? AuthRecord(decoding: bytes), \.encoded) { try AuthRecord(decoding: $0) }
        case 3: again(try? HeadRecord(decoding: bytes), \.encoded) { try HeadRecord(decoding: $0) }
        case 4: again(try? HintsRecord(decoding: bytes), \.encoded) { try HintsRecord(decoding: $0) }
        case 5: again(try? DependencyRecord(decoding: bytes), \.encoded) { try DependencyRecord(decoding: $0) }
        case 6: again(try? SessionsRecord(decoding: bytes), \.encoded) { try SessionsRecord(decoding: $0) }
        case 7: again(try? GroupMembership(decoding: bytes), \.encoded) { try GroupMembership(decoding: $0) }
        default:
            var map = AvailabilityMap()
            map.insertPage(UInt64(kind), bytes, length: 1 << 24)
            _ = map.firstPresent(in: 0..<1 << 30)
        }
    },
    FuzzTarget("standalone-proofs") { input in
        if let proof = try? StandaloneProof(decoding: input) { _ = proof }
        if let part = try? SignaturePart(decoding: input) { _ = part }
    },
]

/// A value that was read is read again from its own encoding.
private func again<Value: Equatable>(
    _ value: Value?, _ encode: (Value) -> [UInt8], _ decode: ([UInt8]) throws -> Value
) {
    guard let value else { return }
    check((try? decode(encode(value))) == value, "a record that does not come back: \(value)")
}
