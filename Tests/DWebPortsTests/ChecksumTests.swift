import CChecksum
import DWebSimulation
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// The checksum that stands in for the storage library's own; a wrong one would make stores that nobody else can read.
@Suite struct ChecksumTests {
    /// RFC 3720, appendix B.4, and the check value of the CRC catalogues.
    @Test(
        arguments: [
            ([UInt8](repeating: 0, count: 32), 0x8A91_36AA), ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
            ([UInt8](0..<32), 0x46DD_794E), ([UInt8]((0..<32).reversed()), 0x113F_DB5C),
            (Array("123456789".utf8), 0xE306_9283), ([], 0),
        ] as [([UInt8], UInt32)]) func knownValues(_ bytes: [UInt8], _ expected: UInt32)
    {
        #expect(checksum(bytes) == expected)
        #expect(checksum(bytes, by: dweb_crc32c_by_table) == expected)
    }

    @Test func bothWaysAgreeAndGoOnWhereTheyStopped() {
        var random = SimulationRandom(seed: 7)
        for _ in 0..<300 {
            let bytes = (0..<Int(random.next() % 200)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let whole = checksum(bytes)
            #expect(checksum(bytes, by: dweb_crc32c_by_table) == whole)
            let cut = bytes.isEmpty ? 0 : Int(random.next() % UInt64(bytes.count))
            #expect(checksum(Array(bytes[cut...]), after: checksum(Array(bytes[..<cut]))) == whole)
        }
    }

    #if os(Linux) && arch(x86_64)
        @Test func theStorageLibraryUsesIt() throws {
            typealias Extend = @convention(c) (UInt32, UnsafePointer<CChar>?, Int) -> UInt32
            let symbol = try #require(dlsym(dlopen(nil, RTLD_NOW), "_ZN7rocksdb6crc32c6ExtendEjPKcm"))
            #expect(UnsafeRawPointer(symbol) == dweb_crc32c_of_rocksdb())
            let bytes = [UInt8](0..<100)
            #expect(checksum(bytes, by: unsafeBitCast(symbol, to: Extend.self)) == checksum(bytes))
        }
    #endif

    private func checksum(
        _ bytes: [UInt8], after crc: UInt32 = 0,
        by extend: (UInt32, UnsafePointer<CChar>?, Int) -> UInt32 = dweb_crc32c
    ) -> UInt32 {
        bytes.withUnsafeBytes { extend(crc, $0.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count) }
    }
}
