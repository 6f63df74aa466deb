/* portico version: what is inside. The one file that asks every library, and asks it for its version alone. */
#include "cli/cli.h"

#include <ares.h>
#include <brotli/encode.h>
#include <gnu/libc-version.h>
#include <idn2.h>
#include <libpsl.h>
#include <llhttp.h>
#include <nghttp2/nghttp2.h>
#include <uv.h>
#include <yajl/yajl_version.h>
#include <zlib.h>
#include <zstd.h>

int cli_version(const struct cli_call *call)
{
    int refused = cli_no_args(call, "version");
    if (refused)
        return refused;
    int yajl = yajl_version();
    uint32_t brotli = BrotliEncoderVersion();
    fprintf(call->out, "portico %s\n", call->version);
    fprintf(call->out, "%s\n", call->boringssl_source);
    fprintf(call->out, "libuv %s\n", uv_version_string());
    fprintf(call->out, "llhttp %d.%d.%d\n", LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR, LLHTTP_VERSION_PATCH);
    fprintf(call->out, "yajl %d.%d.%d\n", yajl / 10000, yajl / 100 % 100, yajl % 100);
    fprintf(call->out, "nghttp2 %s\n", nghttp2_version(0)->version_str);
    fprintf(call->out, "zlib %s\n", zlibVersion());
    fprintf(call->out, "brotli %u.%u.%u\n", brotli >> 24, brotli >> 12 & 0xfff, brotli & 0xfff);
    fprintf(call->out, "zstd %s\n", ZSTD_versionString());
    fprintf(call->out, "c-ares %s\n", ares_version(NULL));
    fprintf(call->out, "libidn2 %s\n", idn2_check_version(NULL));
    fprintf(call->out, "libpsl %s\n", psl_get_version());
    fprintf(call->out, "glibc %s\n", gnu_get_libc_version());
    return CLI_EXIT_CLEAN;
}
