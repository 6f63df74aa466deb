/* TLS over simulated transports: the stream's contract, the output buffer's owner, certificates chosen by name, tickets
 * across a swap. The clients are BoringSSL's own, over memory. */
#include "tls_world.h"

/* ---- tests ---- */

static void any_cut_of_the_wire_is_served(void)
{
    for (size_t read_bytes = 0; read_bytes < 4; read_bytes++) {
        struct world world;
        struct link link;
        world_init(&world, false);
        world_name(&world, "a.test");
        link_open(&link, &world, "a.test", NULL, read_bytes);
        world_run(&world, &link, NULL);
        CHECK(link.established && link.client_done);
        client_write(&link, "hello");
        world_run(&world, &link, NULL);
        CHECK_MEM(link.got.ptr, link.got.len, "hello", 5);
        CHECK(stream_write(&link.tls.base, SLICE_LIT("world")));
        world_run(&world, &link, NULL);
        CHECK_MEM(link.client_got.ptr, link.client_got.len, "world", 5);
        link_end(&link);
        world_cleanup(&world);
    }
}

/* The worst bug a proxy can have: one client's bytes on another's connection. */
static void write_both(struct link *link, struct slice bytes)
{
    (void)bytes;
    for (int i = 0; i < 50; i++) {
        CHECK(stream_write(&link->tls.base, SLICE_LIT("mine")));
        CHECK(stream_write(&link->other->tls.base, SLICE_LIT("OTHER")));
    }
}

static void two_connections_written_in_one_callback_get_their_own(void)
{
    struct world world;
    struct link a, b;
    world_init(&world, false);
    world_name(&world, "a.test");
    link_open(&a, &world, "a.test", NULL, 0);
    link_open(&b, &world, "a.test", NULL, 0);
    world_run(&world, &a, &b);
    a.other = &b;
    a.on_data = write_both;
    client_write(&a, "go");
    world_run(&world, &a, &b);
    CHECK_INT(a.client_got.len, 50 * 4);
    CHECK_INT(b.client_got.len, 50 * 5);
    for (size_t i = 0; i + 4 <= a.client_got.len; i += 4)
        CHECK(memcmp(a.client_got.ptr + i, "mine", 4) == 0);
    for (size_t i = 0; i + 5 <= b.client_got.len; i += 5)
        CHECK(memcmp(b.client_got.ptr + i, "OTHER", 5) == 0);
    CHECK(!a.client_failed && !b.client_failed);
    link_end(&a);
    link_end(&b);
    world_cleanup(&world);
}

static void stop_reading(struct link *link, struct slice bytes)
{
    (void)bytes;
    stream_read_stop(&link->tls.base);
}

static void what_is_decrypted_while_stopped_is_kept_and_delivered_later(void)
{
    struct world world;
    struct link link;
    char big[40000];
    memset(big, 'x', sizeof big);
    world_init(&world, false);
    world_name(&world, "a.test");
    link_open(&link, &world, "a.test", NULL, 0);
    world_run(&world, &link, NULL);
    stream_read_stop(&link.tls.base);
    CHECK(SSL_write(link.ssl, "first", 5) == 5);
    CHECK(SSL_write(link.ssl, big, sizeof big) == sizeof big);
    stream_read_start(&link.tls.base);
    link.on_data = stop_reading;
    world_run(&world, &link, NULL);
    unsigned events = link.num_data;
    CHECK_INT(events, 1); /* no event behind read_stop */
    CHECK(link.got.len < 5 + sizeof big);
    link.on_data = NULL;
    stream_read_start(&link.tls.base);
    CHECK_INT(link.num_data, events); /* never from within read_start */
    world_run(&world, &link, NULL);
    CHECK_INT(link.got.len, 5 + sizeof big);
    link_end(&link);
    world_cleanup(&world);
}

static void ends_are_told_apart(void)
{
    struct world world;
    struct link link;
    world_init(&world, false);
    world_name(&world, "a.test");
    link_open(&link, &world, "a.test", NULL, 0); /* close_notify */
    world_run(&world, &link, NULL);
    SSL_shutdown(link.ssl);
    world_run(&world, &link, NULL);
    CHECK(link.eof && !link.truncated && !link.closed);
    link_end(&link);
    link_open(&link, &world, "a.test", NULL, 0); /* FIN alone */
    world_run(&world, &link, NULL);
    sim_stream_send_eof(&link.wire);
    world_run(&world, &link, NULL);
    CHECK(!link.eof && link.truncated);
    link_end(&link);
    link_open(&link, &world, "a.test", NULL, 0); /* FIN in the handshake */
    sim_stream_send_eof(&link.wire);
    world_run(&world, &link, NULL);
    CHECK(link.closed && link.closed_err.kind == ERR_EOF);
    link_end(&link);
    link_open(&link, &world, "a.test", NULL, 0); /* rubbish */
    sim_stream_send(&link.wire, SLICE_LIT("\x16\x03\x01\xff\xffrubbish"));
    world_run(&world, &link, NULL);
    CHECK(link.closed && link.closed_err.kind == ERR_TLS && link.wire.end == SIM_CLOSED);
    link_end(&link);
    world_cleanup(&world);
}

static void names_are_matched_and_others_refused(void)
{
    struct world world;
    bool resumed;
    int error;
    world_init(&world, false);
    world_name(&world, "a.test");
    world_name(&world, "*.w.test");
    CHECK(shake(&world, "a.test", NULL, &resumed, &error));
    CHECK(shake(&world, "A.TEST", NULL, &resumed, &error));
    CHECK(shake(&world, "x.w.test", NULL, &resumed, &error));
    const char *refused[] = {"b.test", "w.test", "x.y.w.test", "a_b.test", NULL};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        CHECK(!shake(&world, refused[i], NULL, &resumed, &error));
        CHECK_INT(error, SSL_R_TLSV1_ALERT_UNRECOGNIZED_NAME);
    }
    world_cleanup(&world);
    world_init(&world, true);
    world_name(&world, "a.test");
    certset_set_default(world.set, SLICE_LIT("a.test"));
    CHECK(shake(&world, "b.test", NULL, &resumed, &error));
    CHECK(shake(&world, NULL, NULL, &resumed, &error));
    world_cleanup(&world);
}

static void tickets_outlive_a_swap_and_belong_to_one_name(void)
{
    struct world world;
    bool resumed;
    int error;
    world_init(&world, false);
    world_name(&world, "a.test");
    world_name(&world, "b.test");
    SSL_SESSION *session = take_session(&world, "a.test");
    CHECK(shake(&world, "a.test", session, &resumed, &error) && resumed);
    world_name(&world, "a.test"); /* another certificate */
    CHECK(shake(&world, "a.test", session, &resumed, &error) && resumed);
    CHECK(shake(&world, "b.test", session, &resumed, &error) && !resumed);
    ticket_ring_rotate(&world.set->tickets); /* an older key still opens */
    CHECK(shake(&world, "a.test", session, &resumed, &error) && resumed);
    world.set->tickets = (struct ticket_ring){0}; /* another process */
    ticket_ring_rotate(&world.set->tickets);
    CHECK(shake(&world, "a.test", session, &resumed, &error) && !resumed);
    SSL_SESSION_free(session);
    world_cleanup(&world);
}

static void alpn_is_ours_or_refused(void)
{
    static const uint8_t ours[] = "\x02h2\x08http/1.1", theirs[] = "\x0a" "acme-tls/1";
    struct world world;
    bool resumed;
    int error;
    world_init(&world, false);
    world_name(&world, "a.test");
    SSL_CTX_set_alpn_protos(world.client_ctx, ours, sizeof ours - 1);
    CHECK(shake(&world, "a.test", NULL, &resumed, &error));
    SSL_CTX_set_alpn_protos(world.client_ctx, theirs, sizeof theirs - 1);
    CHECK(!shake(&world, "a.test", NULL, &resumed, &error));
    CHECK_INT(error, SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
    world_cleanup(&world);
}

static void old_versions_are_refused(void)
{
    struct world world;
    bool resumed;
    int error;
    world_init(&world, false);
    world_name(&world, "a.test");
    SSL_CTX_set_max_proto_version(world.client_ctx, TLS1_1_VERSION);
    SSL_CTX_set_min_proto_version(world.client_ctx, TLS1_VERSION);
    CHECK(!shake(&world, "a.test", NULL, &resumed, &error));
    CHECK_INT(error, SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
    SSL_CTX_set_max_proto_version(world.client_ctx, TLS1_2_VERSION);
    CHECK(shake(&world, "a.test", NULL, &resumed, &error));
    world_cleanup(&world);
}

int main(void)
{
    RUN(any_cut_of_the_wire_is_served);
    RUN(two_connections_written_in_one_callback_get_their_own);
    RUN(what_is_decrypted_while_stopped_is_kept_and_delivered_later);
    RUN(ends_are_told_apart);
    RUN(names_are_matched_and_others_refused);
    RUN(tickets_outlive_a_swap_and_belong_to_one_name);
    RUN(alpn_is_ours_or_refused);
    RUN(old_versions_are_refused);
    return checks_done();
}
