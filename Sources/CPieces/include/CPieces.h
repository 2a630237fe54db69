#ifndef CPIECES_H
#define CPIECES_H

#include <stddef.h>

// Keeps up to `count` freed C++ arrays of `byte_count` bytes, 8 at most, for the next ones of that size, and frees what it
// kept before. Call it while no other thread makes or frees arrays: first thing in a program. On systems other than Linux it does
// nothing.
void dweb_keep_pieces(size_t byte_count, int count);

#ifdef __linux__
// `operator new[](size_t)` and `operator delete[](void *)`; the library's forms with other parameters call these.
void *dweb_new_array(size_t byte_count) __asm__("_Znam");
void dweb_delete_array(void *array) __asm__("_ZdaPv");
#endif

#endif
