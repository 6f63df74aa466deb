/* raw_log: the access log's line of a raw connection. */
#ifndef FRONT_RAW_LOG_H
#define FRONT_RAW_LOG_H

struct raw_front;

/* In the format that its configuration asks for; nothing where it is off. */
void raw_log_write(const struct raw_front *front);

#endif
