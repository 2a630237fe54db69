#include "CBlake2b.h"

#if defined(__x86_64__)
#include <string.h>

// One word of each of the four messages.
typedef uint64_t words __attribute__((vector_size(32)));

#define BLOCK_BYTE_COUNT 128

static const uint64_t initial_state[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

// RFC 7693, section 2.7. Rounds 10 and 11 are those of 0 and 1.
static const uint8_t schedule[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

#define ROTATED(value, count) ((value) >> (count) | (value) << (64 - (count)))

#define MIX(a, b, c, d, x, y)      \
    v[a] += v[b] + m[x];           \
    v[d] = ROTATED(v[d] ^ v[a], 32); \
    v[c] += v[d];                  \
    v[b] = ROTATED(v[b] ^ v[c], 24); \
    v[a] += v[b] + m[y];           \
    v[d] = ROTATED(v[d] ^ v[a], 16); \
    v[c] += v[d];                  \
    v[b] = ROTATED(v[b] ^ v[c], 63);

// Inlined where it is called, so that it is compiled for the processor its caller is for.
__attribute__((always_inline)) static inline void compress(
    words *state, const uint8_t *const blocks[4], const uint64_t byte_counts[4], bool is_last) {
    words m[16], v[16];
#pragma clang loop unroll(full)
    for (size_t index = 0; index < 16; index += 4) {
        words row[4];
        for (size_t lane = 0; lane < 4; lane++) memcpy(&row[lane], blocks[lane] + 8 * index, sizeof row[lane]);
        // Four words of each of four messages, turned about.
        words low01 = __builtin_shufflevector(row[0], row[1], 0, 4, 2, 6);
        words high01 = __builtin_shufflevector(row[0], row[1], 1, 5, 3, 7);
        words low23 = __builtin_shufflevector(row[2], row[3], 0, 4, 2, 6);
        words high23 = __builtin_shufflevector(row[2], row[3], 1, 5, 3, 7);
        m[index] = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
        m[index + 1] = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
        m[index + 2] = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
        m[index + 3] = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
    }
    words zero = {0};
    for (size_t index = 0; index < 8; index++) {
        v[index] = state[index];
        v[index + 8] = zero + initial_state[index];
    }
    v[12] ^= (words){byte_counts[0], byte_counts[1], byte_counts[2], byte_counts[3]};
    if (is_last) v[14] = ~v[14];
#pragma clang loop unroll(full)
    for (size_t round = 0; round < 12; round++) {
        const uint8_t *s = schedule[round % 10];
        MIX(0, 4, 8, 12, s[0], s[1])
        MIX(1, 5, 9, 13, s[2], s[3])
        MIX(2, 6, 10, 14, s[4], s[5])
        MIX(3, 7, 11, 15, s[6], s[7])
        MIX(0, 5, 10, 15, s[8], s[9])
        MIX(1, 6, 11, 12, s[10], s[11])
        MIX(2, 7, 8, 13, s[12], s[13])
        MIX(3, 4, 9, 14, s[14], s[15])
    }
    for (size_t index = 0; index < 8; index++) state[index] ^= v[index] ^ v[index + 8];
}

__attribute__((always_inline)) static inline void hash(
    const uint8_t *heads, size_t head_count, const uint8_t *const bodies[4], const size_t body_counts[4],
    uint8_t *digests) {
    words state[8], zero = {0};
    for (size_t index = 0; index < 8; index++) state[index] = zero + initial_state[index];
    // A digest of 32 bytes, no key, neither tree nor salt.
    state[0] ^= zero + 0x01010020;
    uint8_t copies[4][BLOCK_BYTE_COUNT];
    size_t offset = 0;
    bool is_last;
    do {
        const uint8_t *blocks[4];
        uint64_t byte_counts[4];
        size_t end = offset + BLOCK_BYTE_COUNT;
        is_last = end >= head_count + body_counts[0];
        for (size_t lane = 0; lane < 4; lane++) {
            size_t total = head_count + body_counts[lane];
            byte_counts[lane] = end < total ? end : total;
            if (offset >= head_count && end <= total) {
                blocks[lane] = bodies[lane] + (offset - head_count);
                continue;
            }
            // The head lies in the first block.
            size_t head = offset == 0 ? head_count : 0;
            size_t body = byte_counts[lane] - offset - head;
            memcpy(copies[lane], heads + BLOCK_BYTE_COUNT * lane, head);
            if (body > 0) memcpy(copies[lane] + head, bodies[lane] + (offset + head - head_count), body);
            memset(copies[lane] + head + body, 0, BLOCK_BYTE_COUNT - head - body);
            blocks[lane] = copies[lane];
        }
        compress(state, blocks, byte_counts, is_last);
        offset = end;
    } while (!is_last);
    for (size_t lane = 0; lane < 4; lane++)
        for (size_t index = 0; index < 4; index++) {
            uint64_t word = state[index][lane];
            memcpy(digests + 32 * lane + 8 * index, &word, sizeof word);
        }
}

__attribute__((target("avx2"))) void dweb_blake2b_four_by_avx2(
    const uint8_t *heads, size_t head_count, const uint8_t *const bodies[4], const size_t body_counts[4],
    uint8_t *digests) {
    hash(heads, head_count, bodies, body_counts, digests);
}

// With rotations, and registers for all sixteen words and as many of the message.
__attribute__((target("avx512f,avx512vl"))) static void four_by_avx512(
    const uint8_t *heads, size_t head_count, const uint8_t *const bodies[4], const size_t body_counts[4],
    uint8_t *digests) {
    hash(heads, head_count, bodies, body_counts, digests);
}

bool dweb_blake2b_has_four(void) { return __builtin_cpu_supports("avx2"); }

void dweb_blake2b_four(
    const uint8_t *heads, size_t head_count, const uint8_t *const bodies[4], const size_t body_counts[4],
    uint8_t *digests) {
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"))
        four_by_avx512(heads, head_count, bodies, body_counts, digests);
    else
        dweb_blake2b_four_by_avx2(heads, head_count, bodies, body_counts, digests);
}
#else
bool dweb_blake2b_has_four(void) { return false; }

void dweb_blake2b_four(
    const uint8_t *heads, size_t head_count, const uint8_t *const bodies[4], const size_t body_counts[4],
    uint8_t *digests) {
    __builtin_trap();
}

void dweb_blake2b_four_by_avx2(
    const uint8_t *heads, size_t head_count, const uint8_t *const bodies[4], const size_t body_counts[4],
    uint8_t *digests) {
    __builtin_trap();
}
#endif
