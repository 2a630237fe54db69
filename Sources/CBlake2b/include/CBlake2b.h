#ifndef CBlake2b_h
#define CBlake2b_h

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Whether the processor has registers in which four hashes are made in little more time than one.
bool dweb_blake2b_has_four(void);

/// The 32-byte BLAKE2b (RFC 7693) of four messages, without a key. Only where `dweb_blake2b_has_four()`.
///
/// Message i is the first `head_count` (at most 128) of the 128 bytes from `heads` + 128 * i on, then the
/// `body_counts[i]` bytes at `bodies[i]`. All four take the same number of blocks of 128 bytes, rounded up. Digest i
/// goes to the 32 bytes from `digests` + 32 * i on.
void dweb_blake2b_four(
    const uint8_t *heads, size_t head_count, const uint8_t *const bodies[4], const size_t body_counts[4],
    uint8_t *digests);

/// The same for a processor that has AVX2 and not AVX-512VL; for tests.
void dweb_blake2b_four_by_avx2(
    const uint8_t *heads, size_t head_count, const uint8_t *const bodies[4], const size_t body_counts[4],
    uint8_t *digests);

#endif
