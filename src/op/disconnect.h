/* The end of a connection, as a verb and as a transmit's last step. */
#ifndef IOCP_OP_DISCONNECT_H
#define IOCP_OP_DISCONNECT_H

#include "op/op.h"

/* Called by the out direction's driver, when all before it is sent. */
enum iocp__outcome iocp__disconnect_now(struct iocp_handle *handle,
                                        struct iocp_op *op, unsigned flags);

#endif
