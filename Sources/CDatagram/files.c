#if defined(__linux__)
#define _GNU_SOURCE
#endif
#include "CDatagram.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#if defined(__APPLE__)
static const char *attribute_name = "device-file";
#else
static const char *attribute_name = "user.device-file";
#endif
static const char attribute_value[] = "original";

int64_t dweb_file_latest_time(int descriptor) {
#if defined(__linux__) && defined(STATX_BTIME)
    struct statx status;
    if (statx(descriptor, "", AT_EMPTY_PATH, STATX_MTIME | STATX_BTIME, &status) != 0) return -1;
    int64_t modified = (int64_t)status.stx_mtime.tv_sec * 1000 + status.stx_mtime.tv_nsec / 1000000;
    int64_t born = 0;
    if (status.stx_mask & STATX_BTIME) {
        born = (int64_t)status.stx_btime.tv_sec * 1000 + status.stx_btime.tv_nsec / 1000000;
    }
    return modified > born ? modified : born;
#else
    struct stat status;
    if (fstat(descriptor, &status) != 0) return -1;
#if defined(__APPLE__)
    int64_t modified = (int64_t)status.st_mtimespec.tv_sec * 1000 + status.st_mtimespec.tv_nsec / 1000000;
    int64_t born = (int64_t)status.st_birthtimespec.tv_sec * 1000 + status.st_birthtimespec.tv_nsec / 1000000;
    return modified > born ? modified : born;
#else
    return (int64_t)status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1000000;
#endif
#endif
}

int dweb_file_mark_original(int descriptor) {
#if defined(__APPLE__)
    return fsetxattr(descriptor, attribute_name, attribute_value, strlen(attribute_value), 0, 0);
#else
    return fsetxattr(descriptor, attribute_name, attribute_value, strlen(attribute_value), 0);
#endif
}

int dweb_file_is_original(int descriptor) {
    char value[16];
#if defined(__APPLE__)
    ssize_t count = fgetxattr(descriptor, attribute_name, value, sizeof value, 0, 0);
#else
    ssize_t count = fgetxattr(descriptor, attribute_name, value, sizeof value);
#endif
    return count == (ssize_t)strlen(attribute_value) && memcmp(value, attribute_value, (size_t)count) == 0;
}
