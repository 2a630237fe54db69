import DWebBase
import DWebCrypto
import DWebTestSupport
import Testing

@Suite struct KeyVectorTests {
    // Read once: each test is a value of its own.
    private static let file = Result { try VectorFile.json("crypto.json") }
    private let vectors: JSONValue

    init() throws { vectors = try Self.file.get() }

    @Test func keyPairs() throws {
        for item in try vectors["keyPair"].arrayValue {
            let pair = KeyPair(seed: try item["seed"].bytes32Value)
            #expect(try pair.publicKey.bytes32 == item["publicKey"].bytes32Value)
            #expect(try pair.secretKey == item["secretKey"].hexValue)
            #expect(KeyPair(secretKey: pair.secretKey) == pair)
            for count in 0..<64 { #expect(KeyPair(secretKey: Array(pair.secretKey[..<count])) == nil) }
        }
    }

    @Test func storedPairsAreValidated() throws {
        for item in try vectors["validateKeyPair"].arrayValue {
            let pair = KeyPair(secretKey: try item["secretKey"].hexValue)
            let isValid = try pair?.publicKey.bytes32 == item["publicKey"].bytes32Value
            #expect(try isValid == item["valid"].boolValue)
        }
        let pair = KeyPair(seed: Bytes32(repeating: 1))
        var changed = pair.secretKey
        changed[40] ^= 1
        #expect(KeyPair(secretKey: changed) == nil)
    }

    @Test func signatures() throws {
        for item in try vectors["sign"].arrayValue {
            let pair = KeyPair(seed: try item["seed"].bytes32Value)
            let message = try item["message"].hexValue
            let signature = try item["signature"].hexValue
            #expect(pair.sign(message) == signature)
            #expect(Ed25519.verify(signature, of: message, by: pair.publicKey))
            for count in 0..<signature.count {
                #expect(!Ed25519.verify(Array(signature[..<count]), of: message, by: pair.publicKey))
            }
        }
    }

    @Test func verificationFollowsTheStrictRules() throws {
        for item in try vectors["verify"].arrayValue {
            let isValid = Ed25519.verify(
                try item["signature"].hexValue, of: try item["message"].hexValue,
                by: PublicKey(try item["publicKey"].bytes32Value))
            #expect(try isValid == item["valid"].boolValue, "\(item["note"])")
        }
    }

    @Test func capabilities() throws {
        for item in try vectors["capability"].arrayValue {
            let key = PublicKey(try item["key"].bytes32Value)
            let hash = try item["handshakeHash"].hexValue
            for (isInitiator, name) in [(true, "initiator"), (false, "responder")] {
                let value = HandshakeSecrets.replicationCapability(
                    isInitiator: isInitiator, key: key, handshakeHash: hash)
                #expect(try value == item[name].bytes32Value)
            }
        }
    }

    @Test func streamIDs() throws {
        for item in try vectors["streamId"].arrayValue {
            let hash = try item["handshakeHash"].hexValue
            #expect(
                try HandshakeSecrets.streamID(isInitiator: true, handshakeHash: hash) == item["initiator"].bytes32Value)
            #expect(
                try HandshakeSecrets.streamID(isInitiator: false, handshakeHash: hash) == item["responder"].bytes32Value
            )
        }
    }

    @Test func storeKeys() throws {
        for store in try vectors["corestore"].arrayValue {
            let primaryKey = try store["primaryKey"].bytes32Value
            for item in try store["entries"].arrayValue {
                let path = try item["namespacePath"].arrayValue.map { try $0.stringValue }
                let namespace = StoreKeys.namespace(path: path)
                #expect(try namespace == item["namespace"].bytes32Value)
                let name = try item["name"].stringValue
                let seed = StoreKeys.seed(primaryKey: primaryKey, namespace: namespace, name: Array(name.utf8))
                #expect(try seed == item["seed"].bytes32Value)
                let pair = StoreKeys.keyPair(primaryKey: primaryKey, namespace: namespace, name: name)
                #expect(try pair.publicKey.bytes32 == item["publicKey"].bytes32Value)
                let manifest = try item["manifest"].hexValue
                let key = PublicKey(Blake2b.hash32(Namespace.manifest.bytes, manifest))
                #expect(try key.bytes32 == item["key"].bytes32Value)
                #expect(try key.discoveryKey.bytes32 == item["discoveryKey"].bytes32Value)
                #expect(try key.text == item["id"].stringValue)
            }
        }
    }

    @Test func identifiers() throws {
        for item in try vectors["ids"].arrayValue {
            let key = PublicKey(try item["key"].bytes32Value)
            let text = try item["z32"].stringValue
            let hex = try item["hex"].stringValue
            #expect(key.text == text)
            #expect(key.hex == hex)
            #expect(try PublicKey(text: text) == key)
            #expect(try PublicKey(text: hex) == key)
        }
    }

    @Test func zBase32() throws {
        for item in try vectors["z32"].arrayValue {
            let text = try item["text"].stringValue
            #expect(try ZBase32.encode(item["bytes"].hexValue) == text)
            #expect(try ZBase32.decode(text) == item["decoded"].hexValue)
        }
    }

    @Test func keyTexts() throws {
        for item in try vectors["idDecode"].arrayValue {
            let text = try item["text"].stringValue
            let expected = try item["key"].optional { PublicKey(try $0.bytes32Value) }
            #expect((try? PublicKey(text: text)) == expected, "\(item["note"])")
        }
    }
}

@Suite struct NoisePrimitiveVectorTests {
    // Read once: each test is a value of its own.
    private static let file = Result { try VectorFile.json("noise.json") }
    private let vectors: JSONValue

    init() throws { vectors = try Self.file.get() }

    @Test func sharedSecrets() throws {
        for item in try vectors["dh"].arrayValue {
            let secret = try EdwardsExchange.sharedSecret(
                KeyPair(seed: try item["seed"].bytes32Value), PublicKey(try item["publicKey"].bytes32Value))
            #expect(try secret == item["shared"].bytes32Value)
        }
    }

    @Test func unsafePointsAreRefused() throws {
        for item in try vectors["dhReject"].arrayValue {
            let pair = KeyPair(seed: try item["seed"].bytes32Value)
            let key = PublicKey(try item["publicKey"].bytes32Value)
            #expect(throws: EdwardsExchangeError.invalidPublicKey, "\(item["note"])") {
                try EdwardsExchange.sharedSecret(pair, key)
            }
        }
    }

    @Test func authenticationCodes() throws {
        for item in try vectors["primitives"]["hmac"].arrayValue {
            let code = HMACBlake2b.authenticate(try item["data"].hexValue, key: try item["key"].hexValue)
            #expect(try code == item["mac"].hexValue)
        }
    }

    @Test func keyDerivation() throws {
        for item in try vectors["primitives"]["hkdf"].arrayValue {
            let derived = HKDFBlake2b.derive(
                chainingKey: try item["chainingKey"].hexValue,
                inputKeyMaterial: try item["inputKeyMaterial"].hexValue)
            #expect(try derived.output1 == item["output1"].hexValue)
            #expect(try derived.output2 == item["output2"].hexValue)
        }
    }
}
