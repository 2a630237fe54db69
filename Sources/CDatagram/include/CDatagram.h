// The few socket calls whose control messages Swift cannot build: segmented sends and a time to live per datagram.
#ifndef CDATAGRAM_H
#define CDATAGRAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

// A destination: 4 or 16 address bytes in network order and a port in host order.
struct dweb_address {
    uint8_t host[16];
    uint8_t host_length;
    uint16_t port;
    // Whether the socket is an IPv6 one, to which IPv4 destinations are mapped.
    uint8_t is_ipv6_socket;
};

// Sets "don't fragment" and, where the kernel allows, buffer sizes. Failures are ignored: the socket works without.
void dweb_datagram_configure(int socket, int family, int receive_buffer_bytes, int send_buffer_bytes);

// Sends `length` bytes as datagrams of `segment` bytes each (the last may be shorter); segment 0 sends one datagram.
// A `time_to_live` other than 0 applies to this call alone. Returns the bytes sent, or -1 with errno.
ssize_t dweb_datagram_send(
    int socket, struct dweb_address address, const void *bytes, size_t length, uint16_t segment, int time_to_live);

// Whether this system can split one send into many datagrams.
int dweb_datagram_can_segment(void);

// Takes an exclusive lock on the whole file for as long as the descriptor stays open: an open-file-description lock
// on Linux, flock elsewhere. Returns 0, or -1 with errno.
int dweb_lock_file(int descriptor);

#endif
