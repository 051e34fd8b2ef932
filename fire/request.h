/* What a request gets. */
#ifndef FIRE_REQUEST_H
#define FIRE_REQUEST_H

struct exchange;
struct worker;

/* The head of the exchange was read, or refused: write the answer. */
void request_answer(struct worker *worker, struct exchange *exchange);

/* The head did not come in time: 408, and the connection closes. */
void request_time_out(struct worker *worker, struct exchange *exchange);

#endif
