/* Addresses of listeners, read and written. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "listen.h"

static bool parse_port(const char *text, in_port_t *ret_port)
{
    char *end;
    unsigned long port;

    if (text[0] < '0' || text[0] > '9')
        return false;
    port = strtoul(text, &end, 10);
    if (*end != '\0' || port > 65535)
        return false;
    *ret_port = htons((uint16_t)port);
    return true;
}

static bool parse_local(const char *path, struct listen_address *ret_address)
{
    struct sockaddr_un *local = &ret_address->socket.local;
    size_t size = strlen(path);

    if (size == 0 || size >= sizeof(local->sun_path))
        return false;
    local->sun_family = AF_UNIX;
    memcpy(local->sun_path, path, size + 1);
    ret_address->size =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + 1);
    return true;
}

static bool parse_v6(const char *text, struct listen_address *ret_address)
{
    struct sockaddr_in6 *v6 =
        (struct sockaddr_in6 *)(void *)&ret_address->socket;
    const char *bracket = strchr(text, ']');
    char host[INET6_ADDRSTRLEN];

    if (!bracket || bracket[1] != ':' ||
        (size_t)(bracket - text) > sizeof(host))
        return false;
    memcpy(host, text + 1, (size_t)(bracket - text - 1));
    host[bracket - text - 1] = '\0';
    v6->sin6_family = AF_INET6;
    ret_address->size = sizeof(*v6);
    return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1 &&
           parse_port(bracket + 2, &v6->sin6_port);
}

static bool parse_v4(const char *text, struct listen_address *ret_address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&ret_address->socket;
    const char *colon = strchr(text, ':');
    char host[INET_ADDRSTRLEN];

    if (!colon || (size_t)(colon - text) >= sizeof(host))
        return false;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    v4->sin_family = AF_INET;
    ret_address->size = sizeof(*v4);
    return inet_pton(AF_INET, host, &v4->sin_addr) == 1 &&
           parse_port(colon + 1, &v4->sin_port);
}

bool listen_parse(const char *text, struct listen_address *ret_address)
{
    memset(ret_address, 0, sizeof(*ret_address));
    if (strncmp(text, "unix:", 5) == 0)
        return parse_local(text + 5, ret_address);
    if (text[0] == '[')
        return parse_v6(text, ret_address);
    return parse_v4(text, ret_address);
}

void listener_name(const struct listener *listener, char *name, size_t size)
{
    const struct sockaddr *any = &listener->address.socket.any;
    char host[INET6_ADDRSTRLEN] = "?";

    if (any->sa_family == AF_UNIX) {
        snprintf(name, size, "unix:%s",
                 listener->address.socket.local.sun_path);
    } else if (any->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)any;

        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
        snprintf(name, size, "http://[%s]:%u/", host, ntohs(v6->sin6_port));
    } else {
        const struct sockaddr_in *v4 = (const void *)any;

        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
        snprintf(name, size, "http://%s:%u/", host, ntohs(v4->sin_port));
    }
}
