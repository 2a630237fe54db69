#if Daemon
    /// Text made safe for HTML and for URLs. Everything that a drive or a peer names goes through here.
    enum HTMLText {
        /// Text as the content of an element or of a quoted attribute.
        static func escaped(_ text: some StringProtocol) -> String {
            var result = ""
            result.reserveCapacity(text.utf8.count)
            for character in text.unicodeScalars {
                switch character {
                case "&": result += "&amp;"
                case "<": result += "&lt;"
                case ">": result += "&gt;"
                case "\"": result += "&quot;"
                case "'": result += "&#39;"
                default: result.unicodeScalars.append(character)
                }
            }
            return result
        }

        /// Text as one part of a path of a URL; RFC 3986 section 2.3 names what stays as it is.
        static func pathPart(_ text: some StringProtocol) -> String {
            let digits = Array("0123456789ABCDEF")
            var result = ""
            for byte in text.utf8 {
                switch byte {
                case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f, 0x7e:
                    result.unicodeScalars.append(Unicode.Scalar(byte))
                default: result += "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
                }
            }
            return result
        }

        /// Undoes the escapes of a URL; nil if they are wrong, or what they stand for is no text.
        static func unescaped(_ text: some StringProtocol) -> String? {
            var bytes: [UInt8] = []
            var iterator = text.utf8.makeIterator()
            func digit(_ byte: UInt8?) -> UInt8? {
                switch byte {
                case .some(let byte) where (0x30...0x39).contains(byte): byte - 0x30
                case .some(let byte) where (0x41...0x46).contains(byte & 0xdf): (byte & 0xdf) - 0x41 + 10
                default: nil
                }
            }
            while let byte = iterator.next() {
                guard byte == UInt8(ascii: "%") else {
                    bytes.append(byte)
                    continue
                }
                guard let high = digit(iterator.next()), let low = digit(iterator.next()) else { return nil }
                bytes.append(high << 4 | low)
            }
            return String(validating: bytes, as: UTF8.self)
        }
    }
#endif
