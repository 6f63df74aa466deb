/* Certificates of one's own: which of several is served for a name, what is taken over by a reload, what is refused. */
#include "base/mem.h"
#include "cert_files.h"
#include "certs/own_cert.h"
#include "check.h"
#include "test_cert.h"

#include <time.h>

enum { DAY_S = 24 * 3600 };

static struct cert *made(const char *a, const char *b, bool rsa, long valid_s)
{
    return test_cert_new((const char *const[]){a, b, NULL}, rsa, valid_s);
}

static void put(const struct cert_files *files, const char *file, struct cert *cert)
{
    cert_files_put(files, file, cert, cert);
    cert_unref(cert);
}

static const struct config *load(const struct cert_files *files)
{
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    CHECK(config_load((const char *const[]){files->entry, NULL}, &config, &mistakes));
    config_mistakes_cleanup(&mistakes);
    return config;
}

static struct own_certs *own_new(const struct cert_files *files, const struct own_certs *before, struct buf *mistake)
{
    const struct config *config = load(files);
    struct own_certs *own = NULL;
    struct err err = own_certs_new(config, before, &own, mistake);
    CHECK(err_is(err) == (own == NULL));
    config_unref(config);
    return own;
}

/* The file of the certificate that is served for the name now, without the directory: "a.crt"; "-": none. */
static const char *file_for(const struct own_certs *own, const char *name, bool beside)
{
    int64_t now_s = (int64_t)time(NULL);
    const struct own_cert *found = own_certs_find(own, slice_str(name), now_s);
    if (found && beside)
        found = own_certs_find_beside(own, found, slice_str(name), now_s);
    CHECK(beside || (found != NULL) == own_certs_cover(own, slice_str(name)));
    return found ? strrchr(found->source.ptr, '/') + 1 : "-";
}

static void each_name_gets_the_one_that_has_it(void)
{
    struct cert_files files;
    struct buf mistake = {0};
    cert_files_init(&files);
    put(&files, "a", made("a.example", NULL, false, DAY_S));
    put(&files, "wild", made("*.example", "b.other", false, DAY_S));
    struct own_certs *own = own_new(&files, NULL, &mistake);
    CHECK_INT(own->num, 2);
    CHECK_STR(file_for(own, "a.example", false), "a.crt"); /* the name itself, not the wildcard */
    CHECK_STR(file_for(own, "c.example", false), "wild.crt");
    CHECK_STR(file_for(own, "b.other", false), "wild.crt");
    CHECK_STR(file_for(own, "c.other", false), "-");
    CHECK_STR(file_for(own, "a.example", true), "-"); /* no RSA key anywhere */
    own_certs_unref(own);
    cert_files_cleanup(&files);
}

static void of_several_the_best_is_served(void)
{
    struct cert_files files;
    struct buf mistake = {0};
    cert_files_init(&files);
    put(&files, "1-ended", made("a.example", NULL, false, -1));
    put(&files, "2-wild", made("*.example", NULL, false, 9 * DAY_S));
    put(&files, "3-short", made("a.example", NULL, false, DAY_S));
    put(&files, "4-long", made("a.example", NULL, false, 2 * DAY_S));
    put(&files, "5-rsa", made("a.example", NULL, true, 9 * DAY_S));
    put(&files, "6-only", made("ended.other", NULL, false, -1));
    struct own_certs *own = own_new(&files, NULL, &mistake);
    CHECK_STR(file_for(own, "a.example", false), "4-long.crt");
    CHECK_STR(file_for(own, "a.example", true), "5-rsa.crt");
    CHECK_STR(file_for(own, "ended.other", false), "6-only.crt"); /* it is said elsewhere that it has ended */
    own_certs_unref(own);
    for (const char *const *name = (const char *const[]){"2-wild", "3-short", "4-long", "5-rsa", NULL}; *name; name++)
        cert_files_remove(&files, *name);
    put(&files, "7-wild", made("*.example", NULL, true, DAY_S));
    own = own_new(&files, NULL, &mistake);
    CHECK_STR(file_for(own, "a.example", false), "7-wild.crt"); /* rather than one that has ended */
    CHECK_STR(file_for(own, "a.example", true), "-");
    own_certs_unref(own);
    cert_files_cleanup(&files);
}

static void what_is_the_same_is_taken_over(void)
{
    struct cert_files files;
    struct buf mistake = {0};
    cert_files_init(&files);
    put(&files, "a", made("a.example", NULL, false, DAY_S));
    put(&files, "b", made("b.example", NULL, false, DAY_S));
    struct own_certs *before = own_new(&files, NULL, &mistake);
    put(&files, "a", made("a.example", NULL, false, DAY_S));
    struct own_certs *after = own_new(&files, before, &mistake);
    CHECK(!own_certs_same(before->config, after->config));
    CHECK(before->items[0].cert->id != after->items[0].cert->id);
    CHECK(before->items[1].cert == after->items[1].cert);
    own_certs_unref(before);
    CHECK_STR(file_for(after, "b.example", false), "b.crt");
    own_certs_unref(after);
    cert_files_cleanup(&files);
}

static void every_broken_pair_is_told_by_its_files(void)
{
    struct cert_files files;
    struct buf mistake = {0}, want = {0};
    struct cert *a = made("a.example", NULL, false, DAY_S), *b = made("b.example", NULL, false, DAY_S);
    cert_files_init(&files);
    cert_files_put(&files, "a", a, b);
    cert_files_put(&files, "b", b, a);
    put(&files, "good", made("c.example", NULL, false, DAY_S));
    CHECK(!own_new(&files, NULL, &mistake));
    const char *why = "match the private key with the certificate: refused input; they must belong together";
    buf_printf(&want, "PORTICO_TLS_CERT_DIR: %s/a.crt and %s/a.key: %s; %s/b.crt and %s/b.key: %s", files.path,
               files.path, why, files.path, files.path, why);
    CHECK_STR(buf_cstr(&mistake), buf_cstr(&want));
    buf_cleanup(&mistake);
    buf_cleanup(&want);
    cert_unref(a);
    cert_unref(b);
    cert_files_cleanup(&files);
}

int main(void)
{
    RUN(each_name_gets_the_one_that_has_it);
    RUN(of_several_the_best_is_served);
    RUN(what_is_the_same_is_taken_over);
    RUN(every_broken_pair_is_told_by_its_files);
    return checks_done();
}
