/* T8 behind TLS: what a backend is told of a client's certificate, and that no client can tell it. */
#include "check.h"
#include "http/hop.h"

/* What the backend gets of a request with that field, the last of that name, in `out`; and how many of that name. */
static size_t passed(const char *name, const struct cert_fields *cert, bool trusted, char out[64])
{
    struct arena arena = {0};
    struct fields fields = {0};
    struct head head = {.method = METHOD_GET, .authority = SLICE_LIT("a.test")};
    struct hop_client client = {.trusted = trusted, .cert = cert};
    size_t num = 0;
    fields_add(&head.fields, &arena, slice_str(name), SLICE_LIT("forged"));
    unsigned dropped = hop_request_fields(&head, &client, &arena, &fields);
    bool kept = false;
    FIELDS_EACH(&fields, field)
    {
        kept |= slice_eq(field->value, SLICE_LIT("forged"));
        if (!slice_ieq(field->name, slice_str(name)))
            continue;
        num++;
        snprintf(out, 64, "%.*s", (int)field->value.len, field->value.ptr);
    }
    CHECK_INT(dropped, !kept);
    arena_cleanup(&arena);
    return num;
}

static const struct cert_fields known = {.verified = true,
                                         .subject = {"CN=device 7", sizeof "CN=device 7" - 1},
                                         .fingerprint = {"00ff", sizeof "00ff" - 1},
                                         .client_cert = {":AAAA:", sizeof ":AAAA:" - 1}};
static const struct cert_fields nobody = {.verified = false};

static void t8_the_backend_is_told_what_was_verified(void)
{
    static const char *const rows[][2] = {{"X-SSL-Client-Verify", "SUCCESS"},
                                          {"X-SSL-Client-S-DN", "CN=device 7"},
                                          {"X-SSL-Client-Fingerprint", "00ff"},
                                          {"Client-Cert", ":AAAA:"}};
    char value[64];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int trusted = 0; trusted < 2; trusted++) { /* a trusted peer speaks of another connection than this one */
            CHECK_INT(passed(rows[i][0], &known, trusted, value), 1);
            CHECK_STR(value, rows[i][1]);
        }
}

static void t8_of_a_client_without_one_it_is_told_just_that(void)
{
    char value[64];
    CHECK_INT(passed("x-ssl-client-verify", &nobody, false, value), 1);
    CHECK_STR(value, "NONE");
    CHECK_INT(passed("X-SSL-Client-S-DN", &nobody, false, value), 0);
    CHECK_INT(passed("X-SSL-Client-Fingerprint", &nobody, false, value), 0);
    CHECK_INT(passed("Client-Cert", &nobody, false, value), 0);
}

static void t8_clients_cannot_send_these_names(void)
{
    static const char *const names[] = {"X-SSL-Client-Verify", "x-ssl-client-s-dn",   "X-SSL-CLIENT-CN",
                                        "X-SSL-Client",        "X-SSL-ClientCert",    "client-cert",
                                        "Client-Cert-Chain",   "X_SSL_Client_Verify", "Client_Cert"};
    char value[64];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        CHECK_INT(passed(names[i], NULL, false, value), 0);
        value[0] = '\0';
        passed(names[i], &nobody, true, value); /* nor can a trusted peer, where it is we who ask */
        CHECK(strcmp(value, "forged") != 0);
    }
}

static void other_names_pass(void)
{
    static const char *const names[] = {"X-SSL", "X-SSL-Clien", "Client-Certificate", "Client-Cer", "X-Client-Cert"};
    char value[64];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        CHECK_INT(passed(names[i], &nobody, false, value), 1);
}

/* A balancer before us that ends mutual TLS itself. */
static void a_trusted_peer_may_tell_where_we_do_not_ask(void)
{
    char value[64];
    CHECK_INT(passed("X-SSL-Client-Verify", NULL, true, value), 1);
    CHECK_STR(value, "forged");
}

static void t8_nor_in_trailers(void)
{
    const struct field trailers[] = {{.name = SLICE_LIT("X-SSL-Client-Verify")}, {.name = SLICE_LIT("Client-Cert")}};
    CHECK(!hop_may_trail(&trailers[0]));
    CHECK(!hop_may_trail(&trailers[1]));
}

int main(void)
{
    RUN(t8_the_backend_is_told_what_was_verified);
    RUN(t8_of_a_client_without_one_it_is_told_just_that);
    RUN(t8_clients_cannot_send_these_names);
    RUN(other_names_pass);
    RUN(a_trusted_peer_may_tell_where_we_do_not_ask);
    RUN(t8_nor_in_trailers);
    return checks_done();
}
