#ifndef CChecksum_h
#define CChecksum_h

#include <stddef.h>
#include <stdint.h>

/// The CRC-32C (Castagnoli; RFC 3720, section 12.1) of `count` bytes that follow those whose CRC is `crc`; 0 if there are
/// none before. By the processor's instruction for it where there is one.
uint32_t dweb_crc32c(uint32_t crc, const char *bytes, size_t count);

/// The same without that instruction.
uint32_t dweb_crc32c_by_table(uint32_t crc, const char *bytes, size_t count);

/// The function that stands in for RocksDB's own of this kind in the whole process; null where none does.
const void *dweb_crc32c_of_rocksdb(void);

#endif
