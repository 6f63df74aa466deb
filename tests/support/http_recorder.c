#include "http_recorder.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void recorder_keep(struct http_recorder *recorder, const char *request)
{
    pthread_mutex_lock(&recorder->mutex);
    size_t len = strlen(recorder->calls);
    snprintf(recorder->calls + len, sizeof recorder->calls - len, "%s\n", request);
    pthread_mutex_unlock(&recorder->mutex);
}

static void recorder_serve(struct http_recorder *recorder, int fd)
{
    char in[4096], out[160];
    size_t len = 0;
    for (ssize_t got; len < sizeof in - 1 && (got = read(fd, in + len, sizeof in - 1 - len)) > 0;) {
        len += (size_t)got;
        in[len] = '\0';
        const char *end = strstr(in, "\r\n\r\n"), *length = strstr(in, "Content-Length: ");
        if (!end || strlen(end + 4) < (length ? strtoul(length + 16, NULL, 10) : 0))
            continue;
        recorder_keep(recorder, in);
        len = 0;
        if (!recorder->status)
            continue;
        snprintf(out, sizeof out, "HTTP/1.1 %u X\r\nContent-Length: 9\r\n\r\nzone: no\n", recorder->status);
        if (send(fd, out, strlen(out), MSG_NOSIGNAL) < 0)
            return;
    }
}

static void *recorder_run(void *arg)
{
    struct http_recorder *recorder = arg;
    for (int fd; (fd = accept(recorder->listener, NULL, NULL)) >= 0; close(fd))
        recorder_serve(recorder, fd);
    return NULL;
}

void http_recorder_start(struct http_recorder *recorder)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    pthread_t thread;
    pthread_mutex_init(&recorder->mutex, NULL);
    recorder->status = 200;
    recorder->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(recorder->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(recorder->listener, 8) != 0 || getsockname(recorder->listener, (struct sockaddr *)&address, &len) != 0 ||
        pthread_create(&thread, NULL, recorder_run, recorder) != 0)
        abort();
    pthread_detach(thread);
    recorder->port = ntohs(address.sin_port);
}

void http_recorder_forget(struct http_recorder *recorder)
{
    pthread_mutex_lock(&recorder->mutex);
    recorder->calls[0] = '\0';
    recorder->status = 200;
    pthread_mutex_unlock(&recorder->mutex);
}
