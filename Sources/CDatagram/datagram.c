#define _GNU_SOURCE
#include "CDatagram.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef __linux__
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#endif

// The most messages that one system call takes.
#define VECTOR_COUNT 32
// An IPv6 packet of this size reaches every host.
#define IPV6_MINIMUM_MTU 1280

static void set_option(int socket, int level, int option, int value) {
    (void)setsockopt(socket, level, option, &value, sizeof value);
}

void dweb_datagram_configure(int socket, int family, int receive_buffer_bytes, int send_buffer_bytes) {
#ifdef __linux__
    if (family == AF_INET6) {
        set_option(socket, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
        set_option(socket, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    }
    set_option(socket, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    set_option(socket, IPPROTO_IP, IP_RECVTOS, 1);
#if defined(SO_RCVBUFFORCE)
    // The forced form ignores the system's limit where the process may; the plain form below is cut to that limit.
    if (setsockopt(socket, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer_bytes, sizeof receive_buffer_bytes) == 0)
        receive_buffer_bytes = 0;
    if (setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &send_buffer_bytes, sizeof send_buffer_bytes) == 0)
        send_buffer_bytes = 0;
#endif
#else
#ifdef IP_DONTFRAG
    if (family == AF_INET) set_option(socket, IPPROTO_IP, IP_DONTFRAG, 1);
#endif
#ifdef IPV6_DONTFRAG
    if (family == AF_INET6) set_option(socket, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
#endif
#ifdef IP_RECVTOS
    if (family == AF_INET) set_option(socket, IPPROTO_IP, IP_RECVTOS, 1);
#endif
#ifdef IPV6_RECVTCLASS
    if (family == AF_INET6) set_option(socket, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
#endif
#endif
    if (receive_buffer_bytes > 0) set_option(socket, SOL_SOCKET, SO_RCVBUF, receive_buffer_bytes);
    if (send_buffer_bytes > 0) set_option(socket, SOL_SOCKET, SO_SNDBUF, send_buffer_bytes);
}

int dweb_datagram_merge(int socket) {
#ifdef __linux__
    int yes = 1;
    return setsockopt(socket, IPPROTO_UDP, UDP_GRO, &yes, sizeof yes) == 0;
#else
    (void)socket;
    return 0;
#endif
}

int dweb_datagram_can_segment(int socket) {
#ifdef __linux__
    int segment = 0;
    socklen_t size = sizeof segment;
    return getsockopt(socket, IPPROTO_UDP, UDP_SEGMENT, &segment, &size) == 0;
#else
    (void)socket;
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

static void take_address(const struct sockaddr_storage *storage, struct dweb_address *address) {
    memset(address, 0, sizeof *address);
    if (storage->ss_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)storage;
        address->host_length = 4;
        address->port = ntohs(ipv4->sin_port);
        memcpy(address->host, &ipv4->sin_addr, 4);
    } else if (storage->ss_family == AF_INET6) {
        static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
        const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)storage;
        const uint8_t *host = (const uint8_t *)&ipv6->sin6_addr;
        int is_mapped = memcmp(host, mapped, sizeof mapped) == 0;
        address->host_length = is_mapped ? 4 : 16;
        address->port = ntohs(ipv6->sin6_port);
        memcpy(address->host, is_mapped ? host + 12 : host, address->host_length);
    }
}

// Everything that a message header points to.
struct message {
    struct sockaddr_storage address;
    struct iovec vector;
    union {
        char bytes[CMSG_SPACE(sizeof(int)) * 6];
        struct cmsghdr aligned;
    } control;
};

static void put_control(
    struct message *message, struct msghdr *header, int level, int type, const void *value, size_t length) {
    struct cmsghdr *control = (struct cmsghdr *)(message->control.bytes + header->msg_controllen);
    memset(control, 0, CMSG_SPACE(length));
    control->cmsg_level = level;
    control->cmsg_type = type;
    control->cmsg_len = CMSG_LEN(length);
    memcpy(CMSG_DATA(control), value, length);
    header->msg_control = message->control.bytes;
    header->msg_controllen += CMSG_SPACE(length);
}

// Whether the packets of a run are IPv4 ones, also where they leave through an IPv6 socket.
static int is_ipv4(const struct dweb_run *run) { return run->address.host_length == 4; }

static void prepare(const struct dweb_run *run, struct message *message, struct msghdr *header) {
    memset(header, 0, sizeof *header);
    header->msg_name = &message->address;
    header->msg_namelen = fill_address(run->address, &message->address);
    message->vector.iov_base = (void *)run->bytes;
    message->vector.iov_len = run->length;
    header->msg_iov = &message->vector;
    header->msg_iovlen = 1;
#ifdef __linux__
    if (run->segment > 0 && run->segment < run->length)
        put_control(message, header, IPPROTO_UDP, UDP_SEGMENT, &run->segment, sizeof run->segment);
    int value = run->time_to_live;
    if (value > 0)
        put_control(
            message, header, is_ipv4(run) ? IPPROTO_IP : IPPROTO_IPV6, is_ipv4(run) ? IP_TTL : IPV6_HOPLIMIT, &value,
            sizeof value);
    value = run->congestion_mark;
    if (value > 0)
        put_control(
            message, header, is_ipv4(run) ? IPPROTO_IP : IPPROTO_IPV6, is_ipv4(run) ? IP_TOS : IPV6_TCLASS, &value,
            sizeof value);
#endif
}

// Lets the next packets of the socket be cut in pieces, or not any more.
static void allow_fragments(int socket, const struct dweb_run *run, int allowed) {
#ifdef __linux__
    if (is_ipv4(run)) {
        set_option(socket, IPPROTO_IP, IP_MTU_DISCOVER, allowed ? IP_PMTUDISC_DONT : IP_PMTUDISC_PROBE);
    } else {
        // Only the sender cuts IPv6 packets.
        set_option(socket, IPPROTO_IPV6, IPV6_MTU_DISCOVER, allowed ? IPV6_PMTUDISC_DONT : IPV6_PMTUDISC_PROBE);
        set_option(socket, IPPROTO_IPV6, IPV6_MTU, allowed ? IPV6_MINIMUM_MTU : 0);
    }
#else
#ifdef IP_DONTFRAG
    if (is_ipv4(run)) set_option(socket, IPPROTO_IP, IP_DONTFRAG, !allowed);
#endif
#ifdef IPV6_DONTFRAG
    if (!is_ipv4(run)) set_option(socket, IPPROTO_IPV6, IPV6_DONTFRAG, !allowed);
#endif
#endif
}

// Sends one run, with settings that have no form per message set on the socket meanwhile. Nobody else sends then.
static int send_alone(int socket, const struct dweb_run *run) {
    struct message message;
    struct msghdr header;
    prepare(run, &message, &header);
    if (run->is_fragmentable) allow_fragments(socket, run, 1);
#ifdef __linux__
    ssize_t sent = sendmsg(socket, &header, MSG_NOSIGNAL);
#else
    int level = run->address.is_ipv6_socket ? IPPROTO_IPV6 : IPPROTO_IP;
    int hops = run->address.is_ipv6_socket ? IPV6_UNICAST_HOPS : IP_TTL;
    int traffic = run->address.is_ipv6_socket ? IPV6_TCLASS : IP_TOS;
    int previous = 0;
    socklen_t size = sizeof previous;
    if (run->time_to_live > 0) {
        (void)getsockopt(socket, level, hops, &previous, &size);
        set_option(socket, level, hops, run->time_to_live);
    }
    if (run->congestion_mark > 0) set_option(socket, level, traffic, run->congestion_mark);
    ssize_t sent = sendmsg(socket, &header, 0);
#endif
    int failure = errno;
#ifndef __linux__
    if (run->time_to_live > 0) set_option(socket, level, hops, previous);
    if (run->congestion_mark > 0) set_option(socket, level, traffic, 0);
#endif
    if (run->is_fragmentable) allow_fragments(socket, run, 0);
    errno = failure;
    return sent < 0 ? -1 : 0;
}

size_t dweb_datagram_send(int socket, const struct dweb_run *runs, size_t count) {
    size_t sent = 0;
#ifdef __linux__
    struct message messages[VECTOR_COUNT];
    struct mmsghdr headers[VECTOR_COUNT];
    while (sent < count) {
        unsigned used = 0;
        while (used < VECTOR_COUNT && sent + used < count && !runs[sent + used].is_fragmentable) {
            prepare(&runs[sent + used], &messages[used], &headers[used].msg_hdr);
            headers[used].msg_len = 0;
            used += 1;
        }
        if (used == 0) {
            if (send_alone(socket, &runs[sent]) < 0) return sent;
            sent += 1;
            continue;
        }
        int result = used == 1 ? (sendmsg(socket, &headers[0].msg_hdr, MSG_NOSIGNAL) < 0 ? -1 : 1)
                               : sendmmsg(socket, headers, used, MSG_NOSIGNAL);
        if (result < 0) return sent;
        // A shorter result hides its error; the next call shows it.
        sent += (size_t)result;
    }
#else
    while (sent < count && send_alone(socket, &runs[sent]) == 0) sent += 1;
#endif
    return sent;
}

static void take_arrival(const struct msghdr *header, size_t length, struct dweb_arrival *arrival) {
    memset(arrival, 0, sizeof *arrival);
    take_address((const struct sockaddr_storage *)header->msg_name, &arrival->source);
    arrival->length = (uint32_t)length;
    arrival->is_truncated = (header->msg_flags & MSG_TRUNC) != 0;
    for (struct cmsghdr *control = CMSG_FIRSTHDR((struct msghdr *)header); control != NULL;
         control = CMSG_NXTHDR((struct msghdr *)header, control)) {
        size_t size = control->cmsg_len - CMSG_LEN(0);
        int value = 0;
        if (size >= sizeof(int))
            memcpy(&value, CMSG_DATA(control), sizeof value);
        else if (size >= 1)
            value = *(const uint8_t *)CMSG_DATA(control);
#ifdef __linux__
        if (control->cmsg_level == IPPROTO_UDP && control->cmsg_type == UDP_GRO) {
            arrival->segment = value > 0 && (size_t)value < length ? (uint16_t)value : 0;
            continue;
        }
        int is_mark = control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_TOS;
#elif defined(IP_RECVTOS)
        int is_mark = control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_RECVTOS;
#else
        int is_mark = 0;
#endif
        is_mark = is_mark || (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_TCLASS);
        if (is_mark) arrival->congestion_mark = (uint8_t)(value & 3);
    }
}

int dweb_datagram_receive(
    int socket, void *bytes, size_t slot_length, size_t slot_count, struct dweb_arrival *arrivals) {
    struct message messages[VECTOR_COUNT];
    if (slot_count > VECTOR_COUNT) slot_count = VECTOR_COUNT;
#ifdef __linux__
    struct mmsghdr headers[VECTOR_COUNT];
    memset(headers, 0, sizeof headers[0] * slot_count);
#else
    struct msghdr plain;
#endif
    int used = 0;
    for (size_t index = 0; index < slot_count; index += 1) {
        struct message *message = &messages[index];
#ifdef __linux__
        struct msghdr *header = &headers[index].msg_hdr;
#else
        struct msghdr *header = &plain;
        memset(header, 0, sizeof *header);
#endif
        message->vector.iov_base = (char *)bytes + index * slot_length;
        message->vector.iov_len = slot_length;
        header->msg_name = &message->address;
        header->msg_namelen = sizeof message->address;
        header->msg_iov = &message->vector;
        header->msg_iovlen = 1;
        header->msg_control = message->control.bytes;
        header->msg_controllen = sizeof message->control.bytes;
#ifndef __linux__
        ssize_t length = recvmsg(socket, header, MSG_DONTWAIT);
        if (length < 0) return used > 0 ? used : -1;
        take_arrival(header, (size_t)length, &arrivals[index]);
        used += 1;
#endif
    }
#ifdef __linux__
    used = recvmmsg(socket, headers, (unsigned)slot_count, MSG_DONTWAIT, NULL);
    for (int index = 0; index < used; index += 1)
        take_arrival(&headers[index].msg_hdr, headers[index].msg_len, &arrivals[index]);
#endif
    return used;
}

int dweb_multicast_join(int socket, const uint8_t *group, const uint8_t *interface_address) {
    struct ip_mreq membership;
    memcpy(&membership.imr_multiaddr, group, 4);
    memcpy(&membership.imr_interface, interface_address, 4);
    // The one length of a value that every system takes for these two.
    unsigned char time_to_live = 255, loops_back = 1;
#ifdef IP_MULTICAST_ALL
    // Without this, Linux delivers what arrives for the group on any interface that any socket joined.
    set_option(socket, IPPROTO_IP, IP_MULTICAST_ALL, 0);
#endif
    if (setsockopt(socket, IPPROTO_IP, IP_MULTICAST_IF, &membership.imr_interface, sizeof membership.imr_interface) != 0 ||
        setsockopt(socket, IPPROTO_IP, IP_MULTICAST_TTL, &time_to_live, sizeof time_to_live) != 0 ||
        setsockopt(socket, IPPROTO_IP, IP_MULTICAST_LOOP, &loops_back, sizeof loops_back) != 0)
        return -1;
    return setsockopt(socket, IPPROTO_IP, IP_ADD_MEMBERSHIP, &membership, sizeof membership);
}

unsigned dweb_interface_index(const char *name) { return if_nametoindex(name); }

int dweb_multicast_join6(int socket, const uint8_t *group, unsigned interface_index) {
    struct ipv6_mreq membership;
    memcpy(&membership.ipv6mr_multiaddr, group, 16);
    membership.ipv6mr_interface = interface_index;
    int hops = 255, loops_back = 1, index = (int)interface_index;
#ifdef IPV6_MULTICAST_ALL
    set_option(socket, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
#endif
    if (setsockopt(socket, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index) != 0 ||
        setsockopt(socket, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops) != 0 ||
        setsockopt(socket, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &loops_back, sizeof loops_back) != 0)
        return -1;
    return setsockopt(socket, IPPROTO_IPV6, IPV6_JOIN_GROUP, &membership, sizeof membership);
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

#ifdef __GLIBC__
#include <malloc.h>
#endif

void dweb_limit_memory_arenas(int count) {
#ifdef __GLIBC__
    (void)mallopt(M_ARENA_MAX, count);
    // Large buffers come from the system and go back to it. Left alone, the limit grows with the largest buffer that was
    // freed, and the heaps keep twice what is in use.
    (void)mallopt(M_MMAP_THRESHOLD, 1024 * 1024);
    (void)mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
#else
    (void)count;
#endif
}

#ifdef __linux__
#include <link.h>
#include <sys/mman.h>

// A debugger's breakpoints are written into code pages, and would be given back with them.
static int is_debugged(void) {
    char line[128];
    int tracer = 0;
    FILE *status = fopen("/proc/self/status", "re");
    if (status == NULL) return 1;
    while (fgets(line, sizeof line, status) != NULL && sscanf(line, "TracerPid: %d", &tracer) != 1) continue;
    fclose(status);
    return tracer != 0;
}

static int forget_pages(struct dl_phdr_info *object, size_t size, void *context) {
    (void)size;
    (void)context;
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int index = 0; index < object->dlpi_phnum; index++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[index];
        // Only what is as it is in the file: parts that are written to hold relocated addresses.
        if (part->p_type != PT_LOAD || (part->p_flags & PF_W) != 0) continue;
        const uintptr_t start = (object->dlpi_addr + part->p_vaddr + page - 1) & ~(page - 1);
        const uintptr_t end = (object->dlpi_addr + part->p_vaddr + part->p_memsz) & ~(page - 1);
        if (end > start) (void)madvise((void *)start, end - start, MADV_DONTNEED);
    }
    return 0;
}
#endif

void dweb_give_back_memory(void) {
#ifdef __linux__
    if (!is_debugged()) (void)dl_iterate_phdr(forget_pages, NULL);
#endif
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}
