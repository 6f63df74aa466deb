/* websocket_key: the two tokens of a WebSocket handshake over HTTP/1.1 (RFC 6455 §4.2.2): where a client asked by extended
 * CONNECT (RFC 8441), the proxy makes the key and checks the answer. Lives here because SHA-1, base64 and good random bytes
 * are libcrypto's. Pure but for those bytes. Any thread. */
#ifndef TLS_WEBSOCKET_KEY_H
#define TLS_WEBSOCKET_KEY_H

#include "base/slice.h"

/* Both with a terminating NUL. */
enum { WEBSOCKET_KEY_BYTES = 25, WEBSOCKET_ACCEPT_BYTES = 29 };

/* A fresh Sec-WebSocket-Key: 16 random bytes in base64. */
void websocket_key_make(char out_key[WEBSOCKET_KEY_BYTES]);
/* The Sec-WebSocket-Accept that answers a key. */
void websocket_key_accept(struct slice key, char out_accept[WEBSOCKET_ACCEPT_BYTES]);

#endif
