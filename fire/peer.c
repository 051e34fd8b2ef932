#include "peer.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

/* Probes or retransmissions in a row: some 12 s at the kernel's pace. */
#define UNANSWERED_MAX 6

void peer_put_address(struct text *text, const struct sockaddr_in6 *peer,
                      socklen_t size)
{
    char address[INET6_ADDRSTRLEN];
    const void *bytes = NULL;
    int family = peer->sin6_family;

    if (size < sizeof(sa_family_t))
        family = AF_UNSPEC;
    if (family == AF_INET)
        bytes = &((const struct sockaddr_in *)(const void *)peer)->sin_addr;
    else if (family == AF_INET6)
        bytes = &peer->sin6_addr;
    if (bytes && inet_ntop(family, bytes, address, sizeof(address)))
        text_puts(text, address);
    else
        text_puts(text, "unix:");
}

bool peer_is_alive(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);

    /* A Unix socket's peer cannot die unnoticed. */
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
        return true;
    return info.tcpi_retransmits + info.tcpi_probes < UNANSWERED_MAX;
}

bool peer_is_behind(int fd)
{
    int unsent = 0;

    return ioctl(fd, SIOCOUTQ, &unsent) == 0 && unsent > 0;
}
