#include "CPieces.h"

#ifdef __linux__
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

// RocksDB's write buffers grow by pieces, arrays of one size, and free them when the buffer is written. From the heap they
// would split what others freed, so the C library takes them from the system and gives them back (`ProcessMemory`). Then every
// page of every piece is made and cleared anew: 20 page faults for a block of 64 KiB. A few pieces that wait for the next
// buffer save them. RocksDB cannot be given an allocator for this, but a program may replace the operators. Only a program: a
// library leaves them to whoever links it.

enum { most_pieces = 8 };

static _Atomic(void *) kept[most_pieces];
static size_t piece_byte_count;
static int kept_limit;

// What an allocator may add to a request: its header, and the rest of a page.
static const size_t surplus_byte_count = 8192;

void dweb_keep_pieces(size_t byte_count, int count) {
    // Those of another size are of no use; whether there are any is not worth a question.
    for (int index = 0; index < most_pieces; index++)
        free(atomic_exchange_explicit(&kept[index], NULL, memory_order_acquire));
    piece_byte_count = byte_count;
    kept_limit = count < most_pieces ? count : most_pieces;
}

void *dweb_new_array(size_t byte_count) {
    if (byte_count == piece_byte_count) {
        for (int index = 0; index < kept_limit; index++) {
            void *piece = atomic_exchange_explicit(&kept[index], NULL, memory_order_acquire);
            if (piece != NULL) return piece;
        }
    }
    void *array = malloc(byte_count);
    // The operator's exception cannot be thrown from C, and RocksDB catches none.
    if (array == NULL) abort();
    return array;
}

void dweb_delete_array(void *array) {
    const size_t usable = array != NULL && kept_limit > 0 ? malloc_usable_size(array) : 0;
    if (usable >= piece_byte_count && usable < piece_byte_count + surplus_byte_count) {
        for (int index = 0; index < kept_limit; index++) {
            void *none = NULL;
            if (atomic_compare_exchange_strong_explicit(
                    &kept[index], &none, array, memory_order_release, memory_order_relaxed))
                return;
        }
    }
    free(array);
}
#else
void dweb_keep_pieces(size_t byte_count, int count) {
    (void)byte_count;
    (void)count;
}
#endif
