#define _GNU_SOURCE
#include "CDatagram.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/file.h>
#include <sys/uio.h>

#ifdef __linux__
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#endif

void dweb_datagram_configure(int socket, int family, int receive_buffer_bytes, int send_buffer_bytes) {
#ifdef __linux__
    int probe = IP_PMTUDISC_PROBE;
    if (family == AF_INET6) {
        int probe6 = IPV6_PMTUDISC_PROBE;
        (void)setsockopt(socket, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe6, sizeof probe6);
    }
    (void)setsockopt(socket, IPPROTO_IP, IP_MTU_DISCOVER, &probe, sizeof probe);
#if defined(SO_RCVBUFFORCE)
    // The forced form ignores the system's limit where the process may; the plain form below is cut to that limit.
    if (setsockopt(socket, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer_bytes, sizeof receive_buffer_bytes) == 0)
        receive_buffer_bytes = 0;
    if (setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &send_buffer_bytes, sizeof send_buffer_bytes) == 0)
        send_buffer_bytes = 0;
#endif
#else
    int on = 1;
#ifdef IP_DONTFRAG
    if (family == AF_INET) (void)setsockopt(socket, IPPROTO_IP, IP_DONTFRAG, &on, sizeof on);
#endif
#ifdef IPV6_DONTFRAG
    if (family == AF_INET6) (void)setsockopt(socket, IPPROTO_IPV6, IPV6_DONTFRAG, &on, sizeof on);
#endif
#endif
    if (receive_buffer_bytes > 0)
        (void)setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    if (send_buffer_bytes > 0)
        (void)setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &send_buffer_bytes, sizeof send_buffer_bytes);
}

int dweb_datagram_can_segment(void) {
#ifdef __linux__
    return 1;
#else
    return 0;
#endif
}

static socklen_t fill_address(struct dweb_address address, struct sockaddr_storage *storage) {
    memset(storage, 0, sizeof *storage);
    if (address.host_length == 4 && !address.is_ipv6_socket) {
        struct sockaddr_in *ipv4 = (struct sockaddr_in *)storage;
        ipv4->sin_family = AF_INET;
        ipv4->sin_port = htons(address.port);
        memcpy(&ipv4->sin_addr, address.host, 4);
#ifdef __APPLE__
        ipv4->sin_len = sizeof *ipv4;
#endif
        return sizeof *ipv4;
    }
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)storage;
    ipv6->sin6_family = AF_INET6;
    ipv6->sin6_port = htons(address.port);
    uint8_t *host = (uint8_t *)&ipv6->sin6_addr;
    if (address.host_length == 4) {
        host[10] = 0xff;
        host[11] = 0xff;
        memcpy(host + 12, address.host, 4);
    } else {
        memcpy(host, address.host, 16);
    }
#ifdef __APPLE__
    ipv6->sin6_len = sizeof *ipv6;
#endif
    return sizeof *ipv6;
}

ssize_t dweb_datagram_send(
    int socket, struct dweb_address address, const void *bytes, size_t length, uint16_t segment, int time_to_live) {
    struct sockaddr_storage destination;
    socklen_t destination_length = fill_address(address, &destination);
    struct iovec vector = {.iov_base = (void *)bytes, .iov_len = length};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_name = &destination;
    message.msg_namelen = destination_length;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
#ifdef __linux__
    union {
        char bytes[CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(int))];
        struct cmsghdr aligned;
    } control;
    memset(&control, 0, sizeof control);
    size_t used = 0;
    if (segment > 0 && segment < length) {
        struct cmsghdr *header = (struct cmsghdr *)(control.bytes + used);
        header->cmsg_level = IPPROTO_UDP;
        header->cmsg_type = UDP_SEGMENT;
        header->cmsg_len = CMSG_LEN(sizeof(uint16_t));
        memcpy(CMSG_DATA(header), &segment, sizeof segment);
        used += CMSG_SPACE(sizeof(uint16_t));
    }
    if (time_to_live > 0) {
        struct cmsghdr *header = (struct cmsghdr *)(control.bytes + used);
        int is_ipv6 = destination.ss_family == AF_INET6;
        header->cmsg_level = is_ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
        header->cmsg_type = is_ipv6 ? IPV6_HOPLIMIT : IP_TTL;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &time_to_live, sizeof time_to_live);
        used += CMSG_SPACE(sizeof(int));
    }
    if (used > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = used;
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL);
#else
    (void)segment;
    int previous = 0;
    socklen_t size = sizeof previous;
    int is_ipv6 = destination.ss_family == AF_INET6;
    int level = is_ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
    int option = is_ipv6 ? IPV6_UNICAST_HOPS : IP_TTL;
    if (time_to_live > 0) {
        (void)getsockopt(socket, level, option, &previous, &size);
        (void)setsockopt(socket, level, option, &time_to_live, sizeof time_to_live);
    }
    ssize_t sent = sendmsg(socket, &message, 0);
    int failure = errno;
    if (time_to_live > 0) (void)setsockopt(socket, level, option, &previous, sizeof previous);
    errno = failure;
    return sent;
#endif
}

int dweb_lock_file(int descriptor) {
#if defined(__linux__) && defined(F_OFD_SETLK)
    struct flock lock;
    memset(&lock, 0, sizeof lock);
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    return fcntl(descriptor, F_OFD_SETLK, &lock);
#else
    return flock(descriptor, LOCK_EX | LOCK_NB);
#endif
}
