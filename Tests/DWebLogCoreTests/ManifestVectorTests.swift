import DWebBase
import DWebCrypto
import DWebLogCore
import DWebTestSupport
import Testing

@Suite struct ManifestVectorTests {
    let file: JSONValue

    init() throws { file = try LogVectors.crypto.get() }

    @Test func encodingAndKey() throws {
        for entry in try file["manifest"].arrayValue {
            let note = try entry["note"].stringValue
            let manifest = try Manifest(json: entry["manifest"])
            let encoded = try entry["encoded"].hexValue
            #expect(manifest.encoded == encoded, "\(note)")
            #expect(manifest.key == PublicKey(try entry["key"].bytes32Value), "\(note)")
            #expect(manifest.key.discoveryKey == DiscoveryKey(try entry["discoveryKey"].bytes32Value), "\(note)")
            #expect(manifest.belongs(to: manifest.key), "\(note)")
            #expect(!manifest.belongs(to: PublicKey(Bytes32(repeating: 9))), "\(note)")

            let expected = try entry["decodesTo"].isNull ? manifest : Manifest(json: entry["decodesTo"])
            let decoded = try Manifest(encoded: encoded)
            #expect(decoded == expected, "\(note)")
            #expect(decoded.encoded == encoded, "\(note)")
            expectTruncationsFail(encoded) { (reader) throws(CodecError) in _ = try Manifest(from: &reader) }

            // The stored layout loses nothing, not even what the hashed one of version 0 does.
            let stored = manifest.storedEncoding
            #expect(try Manifest(stored: stored) == manifest, "\(note)")
            #expect(manifest.version == 0 || stored == encoded, "\(note)")
            expectTruncationsFail(stored) { (reader) throws(CodecError) in _ = try Manifest(storedFrom: &reader) }
        }
    }

    @Test func reject() throws {
        for entry in try file["manifestReject"].arrayValue {
            let note = try entry["note"].stringValue
            let encoded = try entry["encoded"].hexValue
            #expect(throws: CodecError.self, "\(note)") { try Manifest(encoded: encoded) }
        }
    }

    @Test func invalidManifestsCannotBeBuilt() throws {
        let signer = Manifest.Signer(publicKey: PublicKey(Bytes32(repeating: 1)))
        for entry in try file["manifestInvalid"].arrayValue where !entry["manifest"].isNull {
            let json = entry["manifest"]
            #expect(throws: ManifestError.self) {
                try Manifest(
                    version: try json["version"].uintValue, quorum: try json["quorum"].uintValue,
                    signers: Array(repeating: signer, count: try json["signers"].intValue))
            }
        }
        #expect(throws: ManifestError.needsVersion2("userData")) { try Manifest(version: 1, userData: [1]) }
        #expect(throws: ManifestError.needsVersion2("linked")) {
            try Manifest(version: 1, linked: [PublicKey(Bytes32(repeating: 2))])
        }
        #expect(throws: ManifestError.unknownVersion(3)) { try Manifest(version: 3, signers: [signer]) }
    }

    @Test func compatibleKey() throws {
        let json = file["compatKey"]
        let publicKey = PublicKey(try json["publicKey"].bytes32Value)
        let manifest = try Manifest(version: 0, signers: [Manifest.Signer(publicKey: publicKey)])
        #expect(manifest.isCompatible(with: publicKey) == (try json["isCompat"].boolValue))
        #expect(manifest.belongs(to: publicKey))
        #expect(!manifest.isCompatible(with: manifest.key))
        #expect(SignatureVerifier(key: publicKey, manifest: manifest).isCompatible)
        #expect(!SignatureVerifier(key: manifest.key, manifest: manifest).isCompatible)
    }

    @Test func namedLogs() throws {
        for store in try file["corestore"].arrayValue {
            for entry in try store["entries"].arrayValue {
                let manifest = Manifest(signer: PublicKey(try entry["publicKey"].bytes32Value))
                #expect(manifest.encoded == (try entry["manifest"].hexValue))
                #expect(manifest.key == PublicKey(try entry["key"].bytes32Value))
                #expect(manifest.key.discoveryKey == DiscoveryKey(try entry["discoveryKey"].bytes32Value))
            }
        }
    }

    @Test func defaultsAreFilledIn() throws {
        let signers = (1...5).map { Manifest.Signer(publicKey: PublicKey(Bytes32(repeating: $0))) }
        let quorums = try (0...5).map { try Manifest(signers: Array(signers.prefix($0))).quorum }
        #expect(quorums == [0, 1, 2, 2, 3, 3])
        #expect(try Manifest(signers: signers).version == 1)
        #expect(try Manifest(signers: signers, userData: [1]).version == 2)
        #expect(try Manifest(signers: signers, linked: [signers[0].publicKey]).version == 2)
        #expect(try Manifest(signers: [signers[0]]) == Manifest(signer: signers[0].publicKey))
    }

    @Test func aQuorumThatCannotBeReachedNeverBelongs() throws {
        var writer = ByteWriter()
        writer.writeBytes([1, 0, 0, 2, 0])
        let manifest = try Manifest(encoded: writer.bytes)
        #expect(manifest.quorum == 2 && manifest.signers.isEmpty)
        #expect(!manifest.belongs(to: manifest.key))
    }
}
