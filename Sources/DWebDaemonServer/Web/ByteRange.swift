#if Daemon
    /// What a request wants of a file; RFC 9110 section 14.
    enum ByteRange: Equatable {
        /// All of it: there is no range, or one that is not understood, or several.
        case whole
        /// These bytes.
        case part(Range<UInt64>)
        /// Nothing that the file has.
        case unsatisfiable

        /// Reads the header `Range` for a file of `byteCount` bytes.
        init(header: String?, byteCount: UInt64) {
            self = .whole
            guard let header, header.hasPrefix("bytes=") else { return }
            let text = header.dropFirst("bytes=".count)
            let parts = text.split(separator: "-", omittingEmptySubsequences: false).map {
                $0.drop { $0 == " " }.prefix { $0 != " " }
            }
            guard parts.count == 2, !text.contains(",") else { return }
            func number(_ text: Substring) -> UInt64? {
                // Digits only: a sign is no number here. What is too large is beyond every file.
                guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
                return UInt64(text) ?? .max
            }
            switch (parts[0].isEmpty, parts[1].isEmpty) {
            case (true, true): return
            case (true, false):
                guard let count = number(parts[1]) else { return }
                self =
                    count == 0 || byteCount == 0 ? .unsatisfiable : .part(byteCount - min(count, byteCount)..<byteCount)
            case (false, _):
                guard let first = number(parts[0]) else { return }
                var last = UInt64.max
                if !parts[1].isEmpty {
                    guard let given = number(parts[1]), given >= first else { return }
                    last = given
                }
                guard first < byteCount else {
                    self = .unsatisfiable
                    return
                }
                self = .part(first..<min(byteCount, last == .max ? .max : last + 1))
            }
        }
    }
#endif
