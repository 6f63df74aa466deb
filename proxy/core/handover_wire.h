/* handover_wire: the messages of a binary upgrade between two processes of one machine, over a unix socket of packets in
 * STORAGE. Any thread; owns nothing.
 *
 *   new                            old
 *    |---- "portico-handover 1" ---->|
 *    |<--- "https :443" + sockets ---|   for each listener, at most HANDOVER_BATCH_FDS at a time
 *    |<--- "end" --------------------|
 *    |---- "serving" --------------->|   the old one drains and ends
 *
 * An end of the connection before "serving" changes nothing for the old one. Whom it does not want it hangs up on. */
#ifndef CORE_HANDOVER_WIRE_H
#define CORE_HANDOVER_WIRE_H

#include "base/err.h"
#include "base/slice.h"
#include "net/address.h"

#define HANDOVER_HELLO "portico-handover 1"
#define HANDOVER_END "end"
#define HANDOVER_SERVING "serving"
#define HANDOVER_SOCKET ".handover" /* in STORAGE: the store passes over names with a dot */

enum {
    HANDOVER_BATCH_FDS = 128, /* the kernel takes 253 */
    HANDOVER_TEXT_BYTES = 512 /* a listener's name and its address: a path has 107 bytes, a systemd name 255 */
};

struct handover_message {
    char text[HANDOVER_TEXT_BYTES];
    struct slice body; /* of text; len 0: the other end has closed */
    int fds[HANDOVER_BATCH_FDS];
    size_t num_fds; /* the receiver's, close-on-exec */
};

/* A text and descriptors, which stay the caller's, in one packet. */
MUST_CHECK struct err handover_send(int fd, const char *text, const int *fds, size_t num_fds);
/* One packet; a longer one, and more descriptors, are an error and closed. On failure nothing is the caller's. */
MUST_CHECK struct err handover_receive(int fd, struct handover_message *out_message);
void handover_message_close(struct handover_message *message);

/* The other end runs as our user, or as root. */
MUST_CHECK struct err handover_check_peer(int fd, int *out_pid);

/* The address of the file `name` in the directory, also where the path is too long for one: then by way of dir_fd, which
 * must stay open while it is used. */
bool handover_address(const char *directory, int dir_fd, const char *name, struct address *out_address);

#endif
