// The few socket calls whose control messages Swift cannot build: segmented sends, merged
// receives and settings per datagram.
#ifndef CDATAGRAM_H
#define CDATAGRAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

// An address: 4 or 16 bytes in network order and a port in host order.
struct dweb_address {
    uint8_t host[16];
    uint8_t host_length;
    // Whether the socket is an IPv6 one, to which IPv4 destinations are mapped.
    uint8_t is_ipv6_socket;
    uint16_t port;
};

// Datagrams of one size to one destination, back to back; the last may be shorter.
struct dweb_run {
    struct dweb_address address;
    const void *bytes;
    uint32_t length;
    // The size of each datagram but the last; 0, or at least `length`, for a single one.
    uint16_t segment;
    // 0 leaves the socket's own.
    uint8_t time_to_live;
    // The two congestion bits of the IP header.
    uint8_t congestion_mark;
    // Whether routers may cut the datagrams in pieces.
    uint8_t is_fragmentable;
};

// What one receive call took in: one datagram, or several of one size from one source that the kernel had merged.
struct dweb_arrival {
    struct dweb_address source;
    uint32_t length;
    // The size of each datagram but the last; 0 for a single one.
    uint16_t segment;
    uint8_t congestion_mark;
    // Whether it was longer than its slot.
    uint8_t is_truncated;
};

// Sets "don't fragment", asks for congestion marks and, where the kernel allows, buffer sizes.
// Failures are ignored: the socket works without.
void dweb_datagram_configure(int socket, int family, int receive_buffer_bytes, int send_buffer_bytes);

// Asks for merged receives, which take room for 64 KiB each. Whether there are such from now on.
int dweb_datagram_merge(int socket);

// Sends runs in order, in one system call where there is one for that. Returns how many were sent, which is fewer than
// `count` if the one after them failed; errno then says why.
size_t dweb_datagram_send(int socket, const struct dweb_run *runs, size_t count);

// Takes what waits, without blocking, into `slot_count` slots of `slot_length` bytes each, of which the first begins at
// `bytes`. Returns how many slots were used, or -1 with errno.
int dweb_datagram_receive(
    int socket, void *bytes, size_t slot_length, size_t slot_count, struct dweb_arrival *arrivals);

// Whether this socket can split one send into many datagrams.
int dweb_datagram_can_segment(int socket);

// Makes a bound IPv4 socket a member of a multicast group on the interface with this address alone: what is sent to a
// group leaves through it, with a time to live of 255, and reaches members on this host too. Addresses are 4 bytes in
// network order. Returns 0, or -1 with errno.
int dweb_multicast_join(int socket, const uint8_t *group, const uint8_t *interface_address);

// The number of the interface with this name, 0 if there is none.
unsigned dweb_interface_index(const char *name);

// The same for an IPv6 socket and the interface with this number. The group is 16 bytes in network order.
int dweb_multicast_join6(int socket, const uint8_t *group, unsigned interface_index);

// Takes an exclusive lock on the whole file for as long as the descriptor stays open: an open-file-description lock
// on Linux, flock elsewhere. Returns 0, or -1 with errno.
int dweb_lock_file(int descriptor);

// The later of the times at which a file was changed and made, in milliseconds since 1970; -1 with errno.
int64_t dweb_file_latest_time(int descriptor);

// Marks a file by an extended attribute that copies mostly lose. Returns 0, or -1 with errno where there are none.
int dweb_file_mark_original(int descriptor);

// Whether a file has that mark.
int dweb_file_is_original(int descriptor);

// Lets all threads share this many memory arenas, where the C library has them; elsewhere nothing.
void dweb_limit_memory_arenas(int count);

// Unmaps the pages of this program's code and constants, which the system maps again, from its file cache, as they are
// used (Linux, not under a debugger), and returns what the allocator holds free (glibc). Elsewhere nothing.
void dweb_give_back_memory(void);

#endif
