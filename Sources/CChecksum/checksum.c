#include "CChecksum.h"

#include <string.h>

// Four bits at a time, of the reflected polynomial 0x82F63B78: for processors from before 2008.
static const uint32_t nibbles[16] = {
    0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3, 0x61C69362, 0x7198540D,
    0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9, 0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75};

static uint32_t extend_by_table(uint32_t state, const unsigned char *bytes, size_t count) {
    for (size_t index = 0; index < count; index++) {
        state ^= bytes[index];
        state = (state >> 4) ^ nibbles[state & 15];
        state = (state >> 4) ^ nibbles[state & 15];
    }
    return state;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t extend_by_instruction(
    uint32_t state, const unsigned char *bytes, size_t count) {
    uint64_t wide = state;
    for (; count >= 8; bytes += 8, count -= 8) {
        uint64_t word;
        memcpy(&word, bytes, sizeof word);
        wide = _mm_crc32_u64(wide, word);
    }
    state = (uint32_t)wide;
    for (; count > 0; bytes++, count--) state = _mm_crc32_u8(state, *bytes);
    return state;
}
#endif

uint32_t dweb_crc32c_by_table(uint32_t crc, const char *bytes, size_t count) {
    return ~extend_by_table(~crc, (const unsigned char *)bytes, count);
}

uint32_t dweb_crc32c(uint32_t crc, const char *bytes, size_t count) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~extend_by_instruction(~crc, (const unsigned char *)bytes, count);
#endif
    return dweb_crc32c_by_table(crc, bytes, count);
}

#if defined(__linux__) && defined(__x86_64__)
// RocksDB adds a CRC-32C to every record of its log and of its blob files, and checks it whenever it reads one. The
// builds of Debian and Ubuntu are for any x86-64 processor and compute it without the instruction: a third of the
// processor time of storing and serving large blocks. The library calls `rocksdb::crc32c::Extend(uint32_t, const char *,
// size_t)` as a symbol that a program may define as well, so this one is used in its place. It is weak: an archive keeps its
// own, unless the linker is told otherwise, as scripts/build does. What it computes is the same, so stores are too
// (ChecksumTests, StoredFixtureVectorTests).
__attribute__((weak, visibility("default"))) uint32_t dweb_rocksdb_extend(
    uint32_t crc, const char *bytes, size_t count) __asm__("_ZN7rocksdb6crc32c6ExtendEjPKcm");

uint32_t dweb_rocksdb_extend(uint32_t crc, const char *bytes, size_t count) { return dweb_crc32c(crc, bytes, count); }

const void *dweb_crc32c_of_rocksdb(void) { return (const void *)dweb_rocksdb_extend; }
#else
const void *dweb_crc32c_of_rocksdb(void) { return NULL; }
#endif
