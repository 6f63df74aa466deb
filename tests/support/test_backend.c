#include "test_backend.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void *serve(void *arg)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, world!";
    int fd = (int)(intptr_t)arg;
    char in[8192];
    size_t len = 0;
    for (ssize_t got; len < sizeof in - 1 && (got = read(fd, in + len, sizeof in - 1 - len)) > 0;) {
        len += (size_t)got;
        in[len] = '\0';
        char *end;
        while ((end = strstr(in, "\r\n\r\n"))) {
            size_t used = (size_t)(end + 4 - in);
            if (send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL) < 0)
                break;
            memmove(in, in + used, len - used + 1);
            len -= used;
        }
    }
    close(fd);
    return NULL;
}

static void *accept_all(void *arg)
{
    int listener = (int)(intptr_t)arg;
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0)
            pthread_detach(thread);
        else
            close(fd);
    }
    return NULL;
}

uint16_t test_backend_start(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    pthread_t thread;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 128) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0 ||
        pthread_create(&thread, NULL, accept_all, (void *)(intptr_t)fd) != 0)
        abort();
    pthread_detach(thread);
    return ntohs(address.sin_port);
}
