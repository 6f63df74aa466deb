/* The pairs in data/h1: bytes in, verdict and forwarded bytes out, one file per row of the table of hostile input.
 * Each input is read at once, byte by byte, and cut in two at every place: the outcome must be the same.
 *
 *     h1_golden            compares
 *     h1_golden --update   writes what came out into the files; then read the difference
 *
 * A block ```request or ```response holds the bytes: \r \n \t \\ \xNN as in C, \*N(text) repeats, line feeds of the file
 * do not count. Words behind it: trusted, tunnel (the backend accepts the upgrade), body=N (limit), HEAD, upgrade (was
 * asked for), http10 (the client's version). The block ```out behind it is what must come. */
#include "check.h"
#include "h1_run.h"

#include <dirent.h>

static int update;
static int num_cases;

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void unescape(struct buf *out, struct slice text);

/* \*N(text), from behind the star. Returns how much of it there was. */
static size_t unescape_repeat(struct buf *out, struct slice text)
{
    struct slice rest = text;
    uint64_t num = 0;
    if (!slice_decimal(slice_split(&rest, '('), 1 << 20, &num))
        abort();
    struct slice part = slice_split(&rest, ')');
    while (num-- > 0)
        unescape(out, part);
    return text.len - rest.len;
}

static void unescape(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\n')
            continue;
        if (c != '\\') {
            buf_append_char(out, c);
            continue;
        }
        char escape = ++i < text.len ? text.ptr[i] : '\0';
        if (escape == 'x' && i + 2 < text.len) {
            buf_append_char(out, (char)(hex_value(text.ptr[i + 1]) * 16 + hex_value(text.ptr[i + 2])));
            i += 2;
        } else if (escape == '*') {
            i += unescape_repeat(out, slice_skip(text, i + 1));
        } else {
            buf_append_char(out, escape == 'r' ? '\r' : escape == 'n' ? '\n' : escape == 't' ? '\t' : '\\');
        }
    }
}

/* "```response HEAD body=10": false for a line that opens no input. */
static bool run_options(struct h1_run *run, struct slice line)
{
    struct slice words = line, word = slice_split(&words, ' ');
    if (!slice_eq(word, SLICE_LIT("```request")) && !slice_eq(word, SLICE_LIT("```response")))
        return false;
    run->kind = slice_eq(word, SLICE_LIT("```request")) ? H1_REQUEST : H1_RESPONSE;
    run->asked = METHOD_GET;
    while (words.len) {
        word = slice_split(&words, ' ');
        run->trusted |= slice_eq(word, SLICE_LIT("trusted"));
        run->accept_upgrade |= slice_eq(word, SLICE_LIT("tunnel"));
        run->upgrade_asked |= slice_eq(word, SLICE_LIT("upgrade"));
        if (slice_eq(word, SLICE_LIT("HEAD")))
            run->asked = METHOD_HEAD;
        if (slice_eq(word, SLICE_LIT("http10")))
            run->client_version = 10;
        if (slice_starts(word, SLICE_LIT("body=")) &&
            !slice_decimal(slice_skip(word, 5), 1 << 20, &run->limits.body_bytes))
            abort();
    }
    return true;
}

/* The transcript of one way to cut, with what was dropped. */
static struct buf run_transcript(const struct h1_run *options, struct slice input, size_t first, size_t step)
{
    struct h1_run run = *options;
    struct buf transcript = {0};
    h1_run_all(&run, input, first, step);
    buf_append_slice(&transcript, buf_slice(&run.transcript));
    if (run.num_dropped)
        buf_printf(&transcript, "[%u dropped]\n", run.num_dropped);
    h1_run_cleanup(&run);
    return transcript;
}

static void check_cut(const struct h1_run *options, struct slice input, struct slice want, size_t first, size_t step)
{
    struct buf got = run_transcript(options, input, first, step);
    if (!slice_eq(buf_slice(&got), want)) {
        fprintf(stderr, "cut at %zu, then by %zu:\n", first, step);
        CHECK_MEM(got.ptr, got.len, want.ptr, want.len);
    }
    buf_cleanup(&got);
}

static struct buf check_case(const struct h1_run *options, struct slice input)
{
    struct buf whole = run_transcript(options, input, SIZE_MAX, SIZE_MAX);
    size_t stride = input.len > 2048 ? input.len / 200 : 1;
    check_cut(options, input, buf_slice(&whole), 1, 1);
    for (size_t at = 1; at < input.len; at += stride)
        check_cut(options, input, buf_slice(&whole), at, SIZE_MAX);
    num_cases++;
    return whole;
}

static struct slice line_next(struct slice *rest)
{
    return slice_split(rest, '\n');
}

/* The lines up to the closing fence. */
static struct slice block_next(struct slice *rest)
{
    const char *begin = rest->ptr;
    for (;;) {
        const char *line_at = rest->ptr;
        if (rest->len == 0) {
            fprintf(stderr, "%s: a block is not closed\n", checks_test);
            abort();
        }
        if (slice_eq(line_next(rest), SLICE_LIT("```")))
            return slice_make(begin, (size_t)(line_at - begin));
    }
}

/* Copies the file to `out` with what really came in its out blocks, and compares. */
static void golden_file(struct slice rest, struct buf *out)
{
    struct buf got = {0};
    while (rest.len) {
        struct h1_run options = {0};
        struct slice line = line_next(&rest);
        buf_append_slice(out, line);
        buf_append_char(out, '\n');
        bool is_input = run_options(&options, line), is_want = slice_eq(line, SLICE_LIT("```out"));
        if (!is_input && !is_want)
            continue;
        struct slice block = block_next(&rest);
        if (is_input) {
            struct buf input = {0};
            unescape(&input, block);
            buf_cleanup(&got);
            got = check_case(&options, buf_slice(&input));
            buf_cleanup(&input);
        } else if (!update) {
            CHECK_MEM(got.ptr, got.len, block.ptr, block.len);
        }
        buf_append_slice(out, is_input ? block : buf_slice(&got));
        buf_append_str(out, "```\n");
    }
    buf_cleanup(&got);
}

static struct buf file_read(const char *path)
{
    struct buf text = {0};
    FILE *file = fopen(path, "rb");
    size_t len;
    if (!file)
        return text;
    while ((len = fread(buf_reserve(&text, 65536), 1, 65536, file)) > 0)
        text.len += len;
    fclose(file);
    return text;
}

static void golden_path(const char *path, const char *name)
{
    struct buf text = file_read(path), out = {0};
    checks_test = name;
    CHECK(text.len > 0);
    golden_file(buf_slice(&text), &out);
    if (update && !slice_eq(buf_slice(&text), buf_slice(&out))) {
        FILE *file = fopen(path, "wb");
        CHECK(file && fwrite(out.ptr, 1, out.len, file) == out.len);
        if (file)
            fclose(file);
    }
    buf_cleanup(&text);
    buf_cleanup(&out);
}

int main(int argc, char **argv)
{
    update = argc == 2 && strcmp(argv[1], "--update") == 0;
    DIR *dir = opendir(TEST_DATA "/h1");
    CHECK(dir);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char path[4096];
        if (!slice_ends(slice_str(entry->d_name), SLICE_LIT(".md")))
            continue;
        snprintf(path, sizeof path, "%s/%s", TEST_DATA "/h1", entry->d_name);
        golden_path(path, entry->d_name);
    }
    if (dir)
        closedir(dir);
    printf("%d cases\n", num_cases);
    CHECK(num_cases > 0);
    return checks_done();
}
