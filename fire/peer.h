/* What is known of the other end of a connection. */
#ifndef FIRE_PEER_H
#define FIRE_PEER_H

#include <netinet/in.h>
#include <stdbool.h>

#include "text.h"

/* The address as text, "unix:" when it has none. */
void peer_put_address(struct text *text, const struct sockaddr_in6 *peer,
                      socklen_t size);

/*
 * Is the peer of this socket still there? A peer that reads slowly, or not
 * at all, answers the kernel's probes; a dead one leaves them unanswered.
 */
bool peer_is_alive(int fd);

/* Has the peer not taken yet all that was sent to it? */
bool peer_is_behind(int fd);

#endif
