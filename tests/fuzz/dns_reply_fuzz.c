/* Answers of a hostile DNS server, read as each type: nothing beyond the limits is kept, and nothing beyond the bytes read. */
#include "net/dns_reply.h"

#include "base/limits.h"

#include <stdlib.h>

static void check(bool good)
{
    if (!good)
        abort();
}

static size_t text_bytes(const struct dns_answer *answer)
{
    size_t bytes = 0;
    for (size_t i = 0; i < answer->num; i++) {
        if (answer->texts)
            bytes += strnlen(answer->texts[i].ptr, answer->texts[i].len);
        if (answer->caa)
            bytes += answer->caa[i].tag.len + answer->caa[i].value.len;
    }
    return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1 || len > 65536)
        return 0;
    for (enum dns_type type = DNS_A; type <= DNS_CAA; type++) {
        struct arena arena = {0};
        struct dns_answer answer = {.type = type};
        int status = dns_reply_read(&arena, data, (int)len, &answer);
        check((status == 0) == (answer.num > 0));
        check(answer.num <= (type == DNS_A || type == DNS_AAAA ? LIMIT_DNS_ADDRESSES : LIMIT_DNS_RECORDS));
        check(text_bytes(&answer) <= LIMIT_DNS_TEXT_BYTES);
        arena_cleanup(&arena);
    }
    return 0;
}
