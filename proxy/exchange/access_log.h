/* access_log: one line per exchange, when it is over. Worker's thread. */
#ifndef EXCHANGE_ACCESS_LOG_H
#define EXCHANGE_ACCESS_LOG_H

struct exchange;

/* In the format that the exchange's configuration asks for; nothing where it is off. */
void access_log_write(const struct exchange *exchange);

#endif
