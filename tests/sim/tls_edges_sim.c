/* TLS where it hurts: signatures made elsewhere, tickets that must not resume, hellos in crumbs, queues that fill up,
 * connections that end in the middle of it all (HARDENING T1-T6). */
#include "tls_world.h"

#include "tls/tls_server_internal.h"

#include <openssl/digest.h>

/* ---- a pool that can be held ---- */

struct holder {
    struct offload_job job;
    uv_sem_t started, go;
    bool home;
};

static void holder_work(struct offload_job *job)
{
    struct holder *holder = container_of(job, struct holder, job);
    uv_sem_post(&holder->started);
    uv_sem_wait(&holder->go);
}

static void holder_done(struct offload_job *job)
{
    container_of(job, struct holder, job)->home = true;
}

/* The pool's only thread is busy until holder_release. */
static void holder_begin(struct holder *holder, struct world *world, struct offload_pool *pool)
{
    *holder = (struct holder){.job = {.work = holder_work, .done = holder_done}};
    uv_sem_init(&holder->started, 0);
    uv_sem_init(&holder->go, 0);
    CHECK(offload_submit(pool, world->port, &holder->job));
    uv_sem_wait(&holder->started);
}

static void holder_release(struct holder *holder, struct world *world)
{
    uv_sem_post(&holder->go);
    while (!holder->home)
        uv_run(&world->uv, UV_RUN_ONCE);
    uv_sem_destroy(&holder->started);
    uv_sem_destroy(&holder->go);
}

static void world_rsa(struct world *world, const char *name)
{
    const char *names[] = {name, NULL};
    struct cert *cert = test_cert_new(names, true, 86400);
    certset_put(world->set, slice_str(name), cert, true);
    cert_unref(cert);
}

static void world_wait_client(struct world *world, struct link *link)
{
    for (int i = 0; i < MAX_TURNS && !link->client_done && !link->client_failed; i++) {
        world_run(world, link, NULL);
        usleep(500);
    }
}

/* ---- signatures ---- */

static void rsa_is_signed_in_the_pool(void)
{
    struct world world;
    struct link link;
    struct holder holder;
    const uint16_t versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct offload_pool *pool = offload_pool_new("sign", 1, 0, 4);
    for (int i = 0; i < 2; i++) {
        world_init_pool(&world, false, pool);
        world_rsa(&world, "a.test");
        SSL_CTX_set_max_proto_version(world.client_ctx, versions[i]);
        holder_begin(&holder, &world, pool);
        link_open(&link, &world, "a.test", NULL, 0);
        world_run(&world, &link, NULL);
        CHECK_INT(link.tls.state, TLS_PARKED);
        CHECK(!link.wire.reading); /* nothing piles up meanwhile */
        holder_release(&holder, &world);
        world_wait_client(&world, &link);
        CHECK(link.client_done && link.established);
        CHECK(link.tls.job == NULL); /* an idle connection holds nothing of it */
        client_write(&link, "hello");
        world_run(&world, &link, NULL);
        CHECK_SLICE(buf_slice(&link.got), "hello");
        link_end(&link);
        world_cleanup(&world);
    }
    offload_pool_free(pool);
}

/* What came behind the hello in the same slice is kept, and judged when the handshake goes on. */
static void bytes_behind_a_parked_hello_are_kept(void)
{
    struct world world;
    struct link link;
    struct holder holder;
    struct offload_pool *pool = offload_pool_new("sign", 1, 0, 4);
    world_init_pool(&world, false, pool);
    world_rsa(&world, "a.test");
    holder_begin(&holder, &world, pool);
    link_open(&link, &world, "a.test", NULL, 0);
    client_step(&link);
    sim_stream_send(&link.wire, SLICE_LIT("\x17\x03\x03\x00\x05hello"));
    world_run(&world, &link, NULL);
    CHECK_INT(link.tls.state, TLS_PARKED);
    CHECK_INT(link.tls.kept_cipher.len, 10);
    holder_release(&holder, &world);
    for (int i = 0; i < MAX_TURNS && !link.closed; i++) {
        uv_run(&world.uv, UV_RUN_NOWAIT);
        usleep(200);
    }
    CHECK(link.closed && link.closed_err.kind == ERR_TLS && !link.established);
    link_end(&link);
    world_cleanup(&world);
    offload_pool_free(pool);
}

static void a_connection_may_end_while_its_signature_is_made(void)
{
    struct world world;
    struct link link;
    struct holder holder;
    struct offload_pool *pool = offload_pool_new("sign", 1, 0, 4);
    for (int way = 0; way < 3; way++) {
        world_init_pool(&world, false, pool);
        world_rsa(&world, "a.test");
        holder_begin(&holder, &world, pool);
        link_open(&link, &world, "a.test", NULL, 0);
        world_run(&world, &link, NULL);
        CHECK_INT(link.tls.state, TLS_PARKED);
        if (way == 0)
            stream_reset(&link.tls.base);
        else if (way == 1)
            stream_close(&link.tls.base);
        else
            sim_stream_break(&link.wire);
        world_run(&world, &link, NULL);
        CHECK(link.closed && !link.established);
        link_end(&link); /* the memory goes before the signature comes home */
        memset(&link, 0xee, sizeof link);
        holder_release(&holder, &world);
        world_cleanup(&world);
    }
    offload_pool_free(pool);
}

static void a_full_pool_sheds(void)
{
    struct world world;
    struct link first, second;
    struct holder holder;
    struct offload_pool *pool = offload_pool_new("sign", 1, 0, 1);
    world_init_pool(&world, false, pool);
    world_rsa(&world, "a.test");
    holder_begin(&holder, &world, pool);
    link_open(&first, &world, "a.test", NULL, 0);
    link_open(&second, &world, "a.test", NULL, 0);
    world_run(&world, &first, &second);
    CHECK_INT(first.tls.state, TLS_PARKED);
    CHECK(second.closed && second.closed_err.kind == ERR_TLS);
    holder_release(&holder, &world);
    world_wait_client(&world, &first);
    CHECK(first.client_done);
    link_end(&first);
    link_end(&second);
    world_cleanup(&world);
    offload_pool_free(pool);
}

static void a_second_hello_is_served(void) /* HelloRetryRequest */
{
    struct offload_pool *pool = offload_pool_new("sign", 1, 0, 4);
    for (int rsa = 0; rsa < 2; rsa++) {
        struct world world;
        struct link link;
        world_init_pool(&world, false, pool);
        if (rsa)
            world_rsa(&world, "a.test");
        else
            world_name(&world, "a.test");
        CHECK(SSL_CTX_set1_curves_list(world.client_ctx, "P-384:X25519") == 1);
        link_open(&link, &world, "a.test", NULL, 0);
        world_wait_client(&world, &link);
        CHECK(link.client_done && link.established);
        link_end(&link);
        world_cleanup(&world);
    }
    offload_pool_free(pool);
}

/* ---- tickets (T5) ---- */

static SSL_SESSION *session_damaged(struct world *world, SSL_SESSION *session, size_t at)
{
    uint8_t *bytes;
    size_t len, ticket_len;
    const uint8_t *ticket;
    SSL_SESSION_get0_ticket(session, &ticket, &ticket_len);
    CHECK(SSL_SESSION_to_bytes(session, &bytes, &len) == 1);
    uint8_t *found = memmem(bytes, len, ticket, ticket_len);
    CHECK(found && at < ticket_len);
    found[at] ^= 0x10;
    SSL_SESSION *damaged = SSL_SESSION_from_bytes(bytes, len, world->client_ctx);
    CHECK(damaged != NULL);
    OPENSSL_free(bytes);
    return damaged;
}

static void a_damaged_ticket_is_a_full_handshake(void)
{
    struct world world;
    bool resumed;
    int error;
    size_t ticket_len;
    const uint8_t *ticket;
    world_init(&world, false);
    world_name(&world, "a.test");
    SSL_SESSION *session = take_session(&world, "a.test");
    SSL_SESSION_get0_ticket(session, &ticket, &ticket_len);
    const size_t places[] = {0, 15, 16, 31, 32, ticket_len / 2, ticket_len - 32, ticket_len - 1};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        SSL_SESSION *damaged = session_damaged(&world, session, places[i]);
        CHECK(shake(&world, "a.test", damaged, &resumed, &error));
        CHECK(!resumed);
        SSL_SESSION_free(damaged);
    }
    CHECK(shake(&world, "a.test", session, &resumed, &error) && resumed); /* replayed: it may */
    SSL_SESSION_free(session);
    world_cleanup(&world);
}

static void clock_of_next_week(const SSL *ssl, struct timeval *out_now)
{
    (void)ssl;
    gettimeofday(out_now, NULL);
    out_now->tv_sec += 8 * 86400;
}

static void an_old_ticket_is_a_full_handshake(void)
{
    struct world world;
    bool resumed;
    int error;
    world_init(&world, false);
    world_name(&world, "a.test");
    SSL_SESSION *session = take_session(&world, "a.test");
    for (int i = 1; i < NUM_TICKET_KEYS; i++) {
        ticket_ring_rotate(&world.set->tickets);
        CHECK(shake(&world, "a.test", session, &resumed, &error) && resumed);
    }
    ticket_ring_rotate(&world.set->tickets); /* its key has left the ring */
    CHECK(shake(&world, "a.test", session, &resumed, &error) && !resumed);
    SSL_SESSION_free(session);
    session = take_session(&world, "a.test");
    SSL_CTX_set_current_time_cb(world.server->ctx, clock_of_next_week);
    CHECK(shake(&world, "a.test", session, &resumed, &error) && !resumed);
    SSL_SESSION_free(session);
    world_cleanup(&world);
}

static void without_ticket_keys_there_are_no_tickets(void)
{
    struct world world;
    struct link link;
    world_init(&world, false);
    world_name(&world, "a.test");
    world.set->tickets.num = 0;
    link_open(&link, &world, "a.test", NULL, 0);
    world_run(&world, &link, NULL);
    CHECK(stream_write(&link.tls.base, SLICE_LIT("x")));
    world_run(&world, &link, NULL);
    CHECK(link.client_done && world.session == NULL);
    link_end(&link);
    world_cleanup(&world);
}

static void a_ticket_of_a_name_that_is_gone_is_refused(void)
{
    struct world world;
    bool resumed;
    int error;
    world_init(&world, false);
    world_name(&world, "a.test");
    SSL_SESSION *session = take_session(&world, "a.test");
    certset_remove(world.set, SLICE_LIT("a.test"));
    CHECK(!shake(&world, "a.test", session, &resumed, &error));
    CHECK_INT(error, SSL_R_TLSV1_ALERT_UNRECOGNIZED_NAME);
    SSL_SESSION_free(session);
    world_cleanup(&world);
}

/* ---- hellos (T2, T3) ---- */

/* The client's first flight, as one record. */
static void hello_take(struct link *link, struct buf *out)
{
    char bytes[4096];
    CHECK(SSL_do_handshake(link->ssl) < 0);
    int len = BIO_read(SSL_get_wbio(link->ssl), bytes, sizeof bytes);
    CHECK(len > 5);
    buf_append(out, bytes, (size_t)len);
    link->client_failed = true; /* from here on the test speaks */
}

static void a_hello_in_records_of_one_byte_is_served_or_refused(void)
{
    struct world world;
    struct link link;
    struct buf hello = {0};
    world_init(&world, false);
    world_name(&world, "a.test");
    link_open(&link, &world, "a.test", NULL, 0);
    hello_take(&link, &hello);
    for (size_t i = 5; i < hello.len; i++) {
        char record[6] = {0x16, 0x03, 0x01, 0x00, 0x01, hello.ptr[i]};
        sim_stream_send(&link.wire, slice_make(record, sizeof record));
    }
    world_run(&world, &link, NULL);
    CHECK(link.wire.output.len > 0); /* a ServerHello, or an alert */
    buf_cleanup(&hello);
    link_end(&link);
    world_cleanup(&world);
}

static void huge_and_foreign_hellos_are_refused(void)
{
    static const struct {
        const char *bytes;
        size_t len, padding;
    } hellos[] = {
        {"\x16\x03\x01\x40\x00\x01\x00\xff\xff", 9, 70000},           /* 64 KiB announced */
        {"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", 11, 40},     /* SSLv2 */
        {"\x16\x03\x01\x00\x04\x01\x00\x00\x00", 9, 0},               /* empty */
        {"\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03", 11, 0},      /* cut */
        {"\x16\x03\x01\x00\x00", 5, 0},                               /* no bytes at all */
        {"\x15\x03\x01\x00\x02\x02\x28", 7, 0},                       /* an alert */
        {"\x17\x03\x03\x00\x01x", 6, 0},                              /* data */
    };
    for (size_t i = 0; i < sizeof hellos / sizeof hellos[0]; i++) {
        struct world world;
        struct link link;
        struct buf zeros = {0};
        memset(buf_reserve(&zeros, hellos[i].padding + 1), 0, hellos[i].padding);
        zeros.len = hellos[i].padding;
        world_init(&world, false);
        world_name(&world, "a.test");
        link_open(&link, &world, "a.test", NULL, 0);
        link.client_failed = true;
        sim_stream_send(&link.wire, slice_make(hellos[i].bytes, hellos[i].len));
        sim_stream_send(&link.wire, buf_slice(&zeros));
        sim_stream_send_eof(&link.wire);
        world_run(&world, &link, NULL);
        CHECK(link.closed && !link.established && err_is(link.closed_err));
        buf_cleanup(&zeros);
        link_end(&link);
        world_cleanup(&world);
    }
}

/* Any single wrong byte of a hello is served or refused, never more. */
static void a_hello_with_any_byte_wrong_crashes_nothing(void)
{
    struct world world;
    struct link link;
    struct buf hello = {0};
    world_init(&world, false);
    world_name(&world, "a.test");
    size_t len = 6;
    for (size_t at = 0; at < len; at++) {
        link_open(&link, &world, "a.test", NULL, 0);
        hello.len = 0;
        hello_take(&link, &hello);
        len = hello.len;
        hello.ptr[at] = (char)(hello.ptr[at] ^ 0x41);
        sim_stream_send(&link.wire, buf_slice(&hello));
        for (int i = 0; i < 4; i++)
            uv_run(&world.uv, UV_RUN_NOWAIT);
        link_end(&link);
    }
    buf_cleanup(&hello);
    world_cleanup(&world);
}

/* ---- queues ---- */

/* Small writes gather in the loop's buffer: they count as queued all the same. */
static void many_small_writes_of_one_turn_meet_the_mark(void)
{
    struct world world;
    struct link link;
    char small[1000] = {0};
    size_t written = 0;
    world_init(&world, false);
    world_name(&world, "a.test");
    link_open(&link, &world, "a.test", NULL, 0);
    world_run(&world, &link, NULL);
    link.wire.stalled = true;
    while (written < 1000 * sizeof small && stream_write(&link.tls.base, slice_make(small, sizeof small)))
        written += sizeof small;
    CHECK(written < FLOW_HIGH_BYTES + 4 * sizeof small);
    CHECK(stream_queued_bytes(&link.tls.base) > FLOW_HIGH_BYTES);
    CHECK_INT(link.num_drained, 0);
    sim_stream_release(&link.wire);
    world_run(&world, &link, NULL);
    CHECK_INT(link.num_drained, 1);
    CHECK_INT(link.client_got.len, written + sizeof small);
    link_end(&link);
    world_cleanup(&world);
}

/* A writev that answered false is always followed by `drained`, whatever was queued where. */
static void false_is_followed_by_drained(void)
{
    struct world world;
    struct link link;
    struct buf big = {0};
    world_init(&world, false);
    world_name(&world, "a.test");
    memset(buf_reserve(&big, 400000), 'b', 400000);
    for (size_t len = 1000; len < 400000; len += 13337) {
        link_open(&link, &world, "a.test", NULL, 0);
        world_run(&world, &link, NULL);
        link.wire.stalled = true;
        const struct slice parts[] = {SLICE_LIT("head"), slice_make(big.ptr, len), SLICE_LIT("tail")};
        bool room = stream_writev(&link.tls.base, parts, 3);
        room = stream_writev(&link.tls.base, parts, 3) && room;
        world_run(&world, &link, NULL);
        sim_stream_release(&link.wire);
        world_run(&world, &link, NULL);
        CHECK(room || link.num_drained >= 1);
        CHECK_INT(link.client_got.len, 2 * (len + 8));
        link_end(&link);
    }
    buf_cleanup(&big);
    world_cleanup(&world);
}

/* ---- ends (T6) ---- */

static void close_says_so_and_reset_does_not(void)
{
    for (int reset = 0; reset < 2; reset++) {
        struct world world;
        struct link link;
        world_init(&world, false);
        world_name(&world, "a.test");
        link_open(&link, &world, "a.test", NULL, 0);
        world_run(&world, &link, NULL);
        CHECK(stream_write(&link.tls.base, SLICE_LIT("bye")));
        if (reset)
            stream_reset(&link.tls.base);
        else
            stream_close(&link.tls.base);
        stream_close(&link.tls.base);
        CHECK(stream_write(&link.tls.base, SLICE_LIT("nobody hears this")));
        CHECK(!link.closed);
        world_run(&world, &link, NULL);
        CHECK(link.closed && !err_is(link.closed_err));
        CHECK_SLICE(buf_slice(&link.client_got), reset ? "" : "bye");
        CHECK_INT((SSL_get_shutdown(link.ssl) & SSL_RECEIVED_SHUTDOWN) != 0, !reset);
        CHECK_INT(link.wire.end, reset ? SIM_RESET : SIM_CLOSED);
        link_end(&link);
        world_cleanup(&world);
    }
}

static void shutdown_half_closes(void)
{
    struct world world;
    struct link link;
    world_init(&world, false);
    world_name(&world, "a.test");
    link_open(&link, &world, "a.test", NULL, 0);
    world_run(&world, &link, NULL);
    CHECK(stream_write(&link.tls.base, SLICE_LIT("last")));
    stream_shutdown(&link.tls.base);
    stream_shutdown(&link.tls.base);
    world_run(&world, &link, NULL);
    CHECK_SLICE(buf_slice(&link.client_got), "last");
    CHECK(SSL_get_shutdown(link.ssl) & SSL_RECEIVED_SHUTDOWN);
    client_write(&link, "still heard");
    world_run(&world, &link, NULL);
    CHECK_SLICE(buf_slice(&link.got), "still heard");
    CHECK(!link.closed);
    link_end(&link);
    world_cleanup(&world);
}

static void close_in_data(struct link *link, struct slice bytes)
{
    (void)bytes;
    stream_close(&link->tls.base);
}

static void reset_in_data(struct link *link, struct slice bytes)
{
    (void)bytes;
    stream_reset(&link->tls.base);
}

static void ending_within_an_event_is_the_end(void)
{
    struct world world;
    struct link link;
    char big[40000] = {0};
    void (*const ends[])(struct link *, struct slice) = {close_in_data, reset_in_data};
    world_init(&world, false);
    world_name(&world, "a.test");
    for (size_t i = 0; i < 2; i++) {
        link_open(&link, &world, "a.test", NULL, 7);
        world_run(&world, &link, NULL);
        link.on_data = ends[i];
        CHECK(SSL_write(link.ssl, big, sizeof big) == sizeof big);
        SSL_shutdown(link.ssl);
        world_run(&world, &link, NULL);
        CHECK_INT(link.num_data, 1);
        CHECK(link.closed && !link.eof && !link.truncated);
        link_end(&link);
    }
    world_cleanup(&world);
}

static void a_damaged_record_ends_it_behind_what_was_good(void)
{
    struct world world;
    struct link link;
    char bytes[256];
    world_init(&world, false);
    world_name(&world, "a.test");
    link_open(&link, &world, "a.test", NULL, 0);
    world_run(&world, &link, NULL);
    CHECK(SSL_write(link.ssl, "good", 4) == 4);
    CHECK(SSL_write(link.ssl, "evil", 4) == 4);
    int len = BIO_read(SSL_get_wbio(link.ssl), bytes, sizeof bytes);
    bytes[len - 1] ^= 1;
    sim_stream_send(&link.wire, slice_make(bytes, (size_t)len));
    world_run(&world, &link, NULL);
    CHECK_SLICE(buf_slice(&link.got), "good");
    CHECK(link.closed && link.closed_err.kind == ERR_TLS);
    link_end(&link);
    world_cleanup(&world);
}

static void a_record_that_is_cut_is_no_end(void)
{
    struct world world;
    struct link link;
    char bytes[256];
    world_init(&world, false);
    world_name(&world, "a.test");
    link_open(&link, &world, "a.test", NULL, 0);
    world_run(&world, &link, NULL);
    CHECK(SSL_write(link.ssl, "whole", 5) == 5);
    int len = BIO_read(SSL_get_wbio(link.ssl), bytes, sizeof bytes);
    sim_stream_send(&link.wire, slice_make(bytes, (size_t)len - 1));
    sim_stream_send_eof(&link.wire);
    world_run(&world, &link, NULL);
    CHECK(link.got.len == 0 && link.truncated && !link.eof);
    link_end(&link);
    world_cleanup(&world);
}

int main(void)
{
    RUN(rsa_is_signed_in_the_pool);
    RUN(bytes_behind_a_parked_hello_are_kept);
    RUN(a_connection_may_end_while_its_signature_is_made);
    RUN(a_full_pool_sheds);
    RUN(a_second_hello_is_served);
    RUN(a_damaged_ticket_is_a_full_handshake);
    RUN(an_old_ticket_is_a_full_handshake);
    RUN(without_ticket_keys_there_are_no_tickets);
    RUN(a_ticket_of_a_name_that_is_gone_is_refused);
    RUN(a_hello_in_records_of_one_byte_is_served_or_refused);
    RUN(huge_and_foreign_hellos_are_refused);
    RUN(a_hello_with_any_byte_wrong_crashes_nothing);
    RUN(many_small_writes_of_one_turn_meet_the_mark);
    RUN(false_is_followed_by_drained);
    RUN(close_says_so_and_reset_does_not);
    RUN(shutdown_half_closes);
    RUN(ending_within_an_event_is_the_end);
    RUN(a_damaged_record_ends_it_behind_what_was_good);
    RUN(a_record_that_is_cut_is_no_end);
    return checks_done();
}
