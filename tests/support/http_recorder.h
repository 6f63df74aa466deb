/* http_recorder: a plain HTTP/1.1 server in a thread that writes down what it is asked, and answers with one status. */
#ifndef SUPPORT_HTTP_RECORDER_H
#define SUPPORT_HTTP_RECORDER_H

#include <pthread.h>
#include <stdint.h>

struct http_recorder {
    int listener;
    uint16_t port;
    _Atomic unsigned status; /* of each answer; its body is "zone: no"; 0: none comes */
    pthread_mutex_t mutex;
    char calls[8192]; /* whole requests, a newline behind each */
};

/* Listens on 127.0.0.1. Its thread is detached and ends with the process: it lives as long. */
void http_recorder_start(struct http_recorder *recorder);
void http_recorder_forget(struct http_recorder *recorder);

#endif
