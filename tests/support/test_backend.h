/* A plain HTTP/1.1 backend of threads and blocking sockets, for tests of the whole proxy in one process: answers every
 * request that has no body with 200 and a small body, keep-alive. */
#ifndef SUPPORT_TEST_BACKEND_H
#define SUPPORT_TEST_BACKEND_H

#include <stdint.h>

/* Listens on 127.0.0.1; returns the port. Its threads are detached and end with the process. */
uint16_t test_backend_start(void);

#endif
