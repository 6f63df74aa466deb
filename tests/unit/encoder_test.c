/* Each encoding against the real decoder: whatever the cuts and flushes, the same bytes come out, and at a flush all of
 * them that went in; within the memory and the output that the header promises. */
#include "exchange/encoder.h"

#include "base/limits.h"
#include "base/mem.h"
#include "check.h"
#include "decoder.h"

#include <stdlib.h>

enum { ALL_AT_ONCE = SIZE_MAX >> 1, NEVER = 0 };

struct run {
    struct encoder *encoder;
    struct decoder *decoder;
    struct buf out, back;
    size_t fed, flushed; /* bytes, in all and at the last flush */
    size_t most_memory;
};

/* Told to the encoder: none of its calls may give more than this. */
static void run_check_output(struct run *run)
{
    CHECK(run->out.len <= run->fed - run->flushed + ENCODER_OVERHEAD_BYTES);
    CHECK(decoder_feed(run->decoder, buf_slice(&run->out), &run->back));
    buf_cleanup(&run->out);
    if (encoder_memory_bytes(run->encoder) > run->most_memory)
        run->most_memory = encoder_memory_bytes(run->encoder);
}

static void run_flush(struct run *run)
{
    CHECK(!err_is(encoder_flush(run->encoder, &run->out)));
    run_check_output(run);
    CHECK_INT(run->back.len, run->fed); /* nothing is held back */
    run->flushed = run->fed;
    CHECK(!err_is(encoder_flush(run->encoder, &run->out)));
    CHECK_INT(run->out.len, 0); /* a second one has nothing to say */
}

static size_t round_trip(enum config_encoding encoding, struct slice text, size_t piece, size_t flush_every, bool known)
{
    struct encoders shared = {0};
    struct run run = {.encoder = encoder_new(encoding, known ? text.len : ENCODER_LENGTH_UNKNOWN, &shared),
                      .decoder = decoder_new(encoding)};
    size_t pieces = 0;
    for (struct slice rest = text; rest.len;) {
        struct slice in = slice_first(rest, piece);
        rest = slice_skip(rest, in.len);
        CHECK(!err_is(encoder_feed(run.encoder, in, &run.out)));
        run.fed += in.len;
        run_check_output(&run);
        if (flush_every && ++pieces % flush_every == 0)
            run_flush(&run);
    }
    CHECK(!decoder_ended(run.decoder));
    CHECK(!err_is(encoder_end(run.encoder, &run.out)));
    run_check_output(&run);
    CHECK(decoder_ended(run.decoder));
    CHECK(run.back.len == text.len &&
          memcmp(run.back.ptr ? run.back.ptr : "", text.ptr ? text.ptr : "", text.len) == 0);
    CHECK_INT(shared.used_bytes, encoder_memory_bytes(run.encoder));
    encoder_free(run.encoder);
    encoders_cleanup(&shared);
    CHECK_INT(shared.used_bytes, 0);
    decoder_free(run.decoder);
    buf_cleanup(&run.back);
    return run.most_memory;
}

static void each_cut_and_flush(struct slice text)
{
    for (int i = 0; i < NUM_CONFIG_ENCODINGS; i++)
        for (int known = 0; known < 2; known++) {
            enum config_encoding encoding = (enum config_encoding)i;
            round_trip(encoding, text, ALL_AT_ONCE, NEVER, known);
            round_trip(encoding, text, READ_BUFFER_BYTES, 1, known);
            round_trip(encoding, text, 1000, NEVER, known);
            round_trip(encoding, text, 1000, 7, known);
            if (text.len <= 4096) {
                round_trip(encoding, text, 1, NEVER, known);
                round_trip(encoding, text, 1, 1, known);
            }
        }
}

static void append_words(struct buf *buf, size_t len)
{
    static const char *const words[] = {"Portico ", "stands ", "in ", "front ", "of ", "any ", "backend, ", "\n"};
    for (unsigned seed = 1; buf->len < len; seed = seed * 1103515245 + 12345)
        buf_append_str(buf, words[seed >> 16 & 7]);
    buf->len = len;
}

static void append_noise(struct buf *buf, size_t len)
{
    uint64_t state = 88172645463325252;
    while (buf->len < len) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        buf_append_char(buf, (char)(state >> 32));
    }
}

static void nothing_and_little(void)
{
    each_cut_and_flush(SLICE_NONE);
    each_cut_and_flush(SLICE_LIT("x"));
    each_cut_and_flush(SLICE_LIT("Portico"));
}

static void text_noise_and_zeros(void)
{
    static const size_t lengths[] = {4096, 65536, 300000};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct buf words = {0}, noise = {0}, zeros = {0};
        append_words(&words, lengths[i]);
        append_noise(&noise, lengths[i]);
        memset(buf_reserve(&zeros, lengths[i]), 0, lengths[i]);
        zeros.len = lengths[i];
        each_cut_and_flush(buf_slice(&words));
        each_cut_and_flush(buf_slice(&noise));
        each_cut_and_flush(buf_slice(&zeros));
        buf_cleanup(&words);
        buf_cleanup(&noise);
        buf_cleanup(&zeros);
    }
}

/* X2: the figures that limits.h and encoder.h promise. */
static void memory_is_bounded(void)
{
    struct buf noise = {0}, words = {0};
    append_noise(&noise, 1 << 20);
    append_words(&words, 1 << 20);
    for (int i = 0; i < NUM_CONFIG_ENCODINGS; i++) {
        enum config_encoding encoding = (enum config_encoding)i;
        size_t most = 0, of[] = {round_trip(encoding, buf_slice(&noise), READ_BUFFER_BYTES, 1, false),
                                 round_trip(encoding, buf_slice(&words), READ_BUFFER_BYTES, 1, true),
                                 round_trip(encoding, buf_slice(&words), 1000, NEVER, false)};
        for (size_t j = 0; j < sizeof of / sizeof of[0]; j++)
            most = of[j] > most ? of[j] : most;
        CHECK(most > 0 && most <= ENCODER_MOST_BYTES);
        CHECK(round_trip(encoding, SLICE_LIT("short"), ALL_AT_ONCE, NEVER, true) < most / 2);
    }
    buf_cleanup(&noise);
    buf_cleanup(&words);
}

static void without_memory_there_is_no_encoder(void)
{
    struct encoders shared = {.used_bytes = LIMIT_ENCODERS_BYTES - 1};
    struct encoder *last = encoder_new(CONFIG_ENCODING_GZIP, ENCODER_LENGTH_UNKNOWN, &shared);
    CHECK(last != NULL);
    CHECK(encoder_new(CONFIG_ENCODING_GZIP, ENCODER_LENGTH_UNKNOWN, &shared) == NULL);
    encoder_free(last);
    CHECK_INT(shared.used_bytes, LIMIT_ENCODERS_BYTES - 1);
    encoder_free(NULL);
}

static void an_encoder_can_be_freed_at_any_point(void)
{
    for (int i = 0; i < NUM_CONFIG_ENCODINGS; i++) {
        struct encoders shared = {0};
        struct buf out = {0};
        encoder_free(encoder_new((enum config_encoding)i, 1000, &shared));
        struct encoder *encoder = encoder_new((enum config_encoding)i, ENCODER_LENGTH_UNKNOWN, &shared);
        CHECK(!err_is(encoder_feed(encoder, SLICE_LIT("half"), &out)));
        encoder_free(encoder);
        encoders_cleanup(&shared);
        CHECK_INT(shared.used_bytes, 0);
        buf_cleanup(&out);
    }
}

/* zstd writes the length into its header: another one is a lie that must not go out as a whole answer. */
static void a_wrong_length_fails_and_fails_on(void)
{
    struct encoders shared = {0};
    struct buf out = {0};
    struct encoder *encoder = encoder_new(CONFIG_ENCODING_ZSTD, 10, &shared);
    CHECK(!err_is(encoder_feed(encoder, SLICE_LIT("short"), &out)));
    CHECK_INT(encoder_end(encoder, &out).kind, ERR_STATE);
    CHECK_INT(encoder_flush(encoder, &out).kind, ERR_STATE);
    CHECK_INT(encoder_feed(encoder, SLICE_LIT("short"), &out).kind, ERR_STATE);
    encoder_free(encoder);
    encoders_cleanup(&shared);
    buf_cleanup(&out);
}

static void encode(struct encoders *shared, struct slice text, struct buf *out)
{
    struct encoder *encoder = encoder_new(CONFIG_ENCODING_ZSTD, ENCODER_LENGTH_UNKNOWN, shared);
    CHECK(!err_is(encoder_feed(encoder, text, out)));
    CHECK(!err_is(encoder_end(encoder, out)));
    encoder_free(encoder);
}

/* Nothing of one answer is in another: the spare gives what a new one gives, also after failure and in mid-answer. */
static void a_spare_is_as_a_new_one(void)
{
    struct encoders used = {0}, unused = {0};
    struct buf before = {0}, first = {0}, second = {0}, text = {0};
    append_words(&text, 50000);
    struct encoder *wrong = encoder_new(CONFIG_ENCODING_ZSTD, 10, &used);
    CHECK(!err_is(encoder_feed(wrong, SLICE_LIT("short"), &before)));
    CHECK_INT(encoder_end(wrong, &before).kind, ERR_STATE);
    encoder_free(wrong);
    struct encoder *half = encoder_new(CONFIG_ENCODING_ZSTD, 100000, &used);
    CHECK(half == wrong && !used.spare);
    CHECK(!err_is(encoder_feed(half, buf_slice(&text), &before)));
    encoder_free(half);
    encode(&used, slice_skip(buf_slice(&text), 100), &first);
    encode(&unused, slice_skip(buf_slice(&text), 100), &second);
    CHECK(slice_eq(buf_slice(&first), buf_slice(&second)));
    encoders_cleanup(&used);
    encoders_cleanup(&unused);
    CHECK_INT(used.used_bytes, 0);
    buf_cleanup(&before);
    buf_cleanup(&first);
    buf_cleanup(&second);
    buf_cleanup(&text);
}

static void one_spare_is_kept(void)
{
    struct encoders shared = {0};
    struct encoder *two[] = {encoder_new(CONFIG_ENCODING_ZSTD, 10, &shared),
                             encoder_new(CONFIG_ENCODING_ZSTD, 10, &shared)};
    encoder_free(two[0]);
    encoder_free(two[1]);
    CHECK(shared.spare == two[0]);
    CHECK_INT(shared.used_bytes, encoder_memory_bytes(two[0]));
    encoders_cleanup(&shared);
    CHECK_INT(shared.used_bytes, 0);
}

static void names_are_those_of_the_registry(void)
{
    CHECK_SLICE(encoder_name(CONFIG_ENCODING_GZIP), "gzip");
    CHECK_SLICE(encoder_name(CONFIG_ENCODING_BR), "br");
    CHECK_SLICE(encoder_name(CONFIG_ENCODING_ZSTD), "zstd");
}

int main(void)
{
    RUN(nothing_and_little);
    RUN(text_noise_and_zeros);
    RUN(memory_is_bounded);
    RUN(without_memory_there_is_no_encoder);
    RUN(an_encoder_can_be_freed_at_any_point);
    RUN(a_wrong_length_fails_and_fails_on);
    RUN(a_spare_is_as_a_new_one);
    RUN(one_spare_is_kept);
    RUN(names_are_those_of_the_registry);
    return checks_done();
}
