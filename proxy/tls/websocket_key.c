#include "tls/websocket_key.h"

#include <openssl/base64.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

void websocket_key_make(char out_key[WEBSOCKET_KEY_BYTES])
{
    uint8_t bytes[16];
    RAND_bytes(bytes, sizeof bytes); /* cannot fail in BoringSSL */
    EVP_EncodeBlock((uint8_t *)out_key, bytes, sizeof bytes);
}

void websocket_key_accept(struct slice key, char out_accept[WEBSOCKET_ACCEPT_BYTES])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t digest[SHA_DIGEST_LENGTH];
    SHA_CTX sha;
    SHA1_Init(&sha);
    SHA1_Update(&sha, key.ptr, key.len);
    SHA1_Update(&sha, guid, sizeof guid - 1);
    SHA1_Final(digest, &sha);
    EVP_EncodeBlock((uint8_t *)out_accept, digest, sizeof digest);
}
