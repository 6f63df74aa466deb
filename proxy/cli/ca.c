/* portico ca: the local CA's root on standard output, and on standard error what it is and how machines come to trust it. */
#include "cli/cli.h"

#include "acme/pem.h"
#include "base/clock.h"
#include "certs/internal_ca.h"
#include "cli/print.h"
#include "store/store_peek.h"

#include <errno.h>

static const char how_to_trust[] =
    "\n"
    "To have it trusted (as root; root.pem is what this command writes to standard output):\n"
    "  Debian, Ubuntu, Alpine  portico ca > /usr/local/share/ca-certificates/portico.crt && update-ca-certificates\n"
    "  Fedora, RHEL            portico ca > /etc/pki/ca-trust/source/anchors/portico.pem && update-ca-trust\n"
    "  macOS                   security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain "
    "root.pem\n"
    "  Windows                 certutil -addstore -f Root root.pem\n"
    "  Chrome on Linux         certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n portico -i root.pem (package "
    "libnss3-tools)\n"
    "  Firefox                 Settings, Certificates, Authorities, Import\n"
    "  curl, Node, Python      curl --cacert root.pem, NODE_EXTRA_CA_CERTS=root.pem, REQUESTS_CA_BUNDLE=root.pem\n"
    "Whoever has its private key can pose as any site towards those machines.\n";

static void complain(const struct cli_call *call, const char *storage, enum store_result result)
{
    const char *why = store_result_text(result), *cure = "restore the record from a copy";
    switch (result) {
    case STORE_UNAVAILABLE:
        why = strerror(errno);
        cure = "run this as the user that Portico runs as";
        break;
    case STORE_DENIED:
        why = "it is sealed";
        cure = "give PORTICO_STORAGE_KEY";
        break;
    case STORE_WRONG_KEY:
        why = "it is sealed with another key";
        cure = "give the PORTICO_STORAGE_KEY that Portico runs with";
        break;
    case STORE_OK:
    case STORE_NOT_FOUND:
    case STORE_CONFLICT:
    case STORE_FENCED:
    case STORE_UNKNOWN:
    case STORE_TOO_BIG:
    case STORE_FULL:
    case STORE_CORRUPT: break;
    }
    fprintf(call->err, "portico ca: %s/internal-ca cannot be read: %s: %s\n", storage, why, cure);
}

/* NULL, and why has been said. */
static struct internal_ca *root_of_storage(const struct cli_call *call, const struct config *config)
{
    struct buf record = {0};
    struct internal_ca *root = NULL;
    const char *storage = config->storage.ptr;
    enum store_result result = store_peek(storage, SLICE_LIT("internal-ca"), config->storage_key, &record);
    if (result == STORE_OK && err_is(internal_ca_read(buf_slice(&record), &root)))
        result = STORE_CORRUPT;
    if (result == STORE_NOT_FOUND)
        fprintf(
            call->err,
            "portico ca: there is no local root yet in %s: Portico makes it when it first serves a name that no public "
            "CA signs, such as localhost\n",
            storage);
    else if (result != STORE_OK)
        complain(call, storage, result);
    buf_cleanup_secret(&record);
    return root;
}

static struct internal_ca *root_given(const struct cli_call *call, const struct config *config)
{
    struct internal_ca *root = NULL;
    struct err err = internal_ca_of_pem(config->internal_ca.cert.text, config->internal_ca.key.text, &root);
    if (err_is(err))
        fprintf(call->err, "portico ca: PORTICO_INTERNAL_CA: %s\n", err.what);
    return root;
}

/* "3F:9C:...", as browsers and openssl show it. */
static void print_fingerprint(FILE *file, struct slice hex)
{
    for (size_t i = 0; i + 1 < hex.len; i += 2) {
        char high = hex.ptr[i], low = hex.ptr[i + 1];
        fprintf(file, "%s%c%c", i ? ":" : "", high >= 'a' ? high - 'a' + 'A' : high,
                low >= 'a' ? low - 'a' + 'A' : low);
    }
}

static void root_explain(FILE *file, const struct internal_ca *root, bool given, const char *storage)
{
    char until[CLOCK_TEXT_BYTES];
    print_escaped(file, internal_ca_name(root));
    fputs("\n  SHA-256 ", file);
    print_fingerprint(file, internal_ca_fingerprint(root));
    fprintf(file, "\n  until   %.10s\n  from    %s%s\n", clock_rfc3339(internal_ca_not_after_s(root) * 1000, until),
            given ? "PORTICO_INTERNAL_CA" : storage, given ? "" : "/internal-ca");
    fputs(how_to_trust, file);
}

int cli_ca(const struct cli_call *call)
{
    int usage = cli_no_args(call, "ca");
    struct config *config = usage ? NULL : cli_load(call, config_load);
    if (!config)
        return usage ? usage : CLI_EXIT_CONFIG;
    bool given = config->internal_ca.cert.text.len > 0;
    struct internal_ca *root = given ? root_given(call, config) : root_of_storage(call, config);
    if (root) {
        struct buf pem = {0};
        pem_write(&pem, "CERTIFICATE", internal_ca_root_der(root));
        fputs(buf_cstr(&pem), call->out);
        fflush(call->out); /* in front of the words, on a terminal that shows both */
        root_explain(call->err, root, given, config->storage.ptr);
        buf_cleanup(&pem);
    }
    int code = root ? CLI_EXIT_CLEAN : given ? CLI_EXIT_CONFIG : CLI_EXIT_FATAL;
    internal_ca_free(root);
    config_unref(config);
    return code;
}
