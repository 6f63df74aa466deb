/* What differs between two configurations, and what of it a reload may not change. */
#include "check.h"

#include "config/diff.h"

static struct config *load(const char *const *entries)
{
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    CHECK(config_load(entries, &config, &mistakes));
    config_mistakes_cleanup(&mistakes);
    return config;
}

#define LOAD(...) load((const char *const[]){"PORTICO_DOMAINS=a.com,b.com", __VA_ARGS__, NULL})

/* The names of the rows that differ, each behind a blank; both are unreferenced. */
static const char *differing(struct config *a, struct config *b)
{
    static char out[1024];
    out[0] = '\0';
    for (size_t i = 0; i < config_num_rows(); i++)
        if (config_row_differs(a, b, i))
            snprintf(out + strlen(out), sizeof out - strlen(out), " %s", config_row_at(i).name + strlen("PORTICO_"));
    CHECK(config_differs(a, b) == (out[0] != '\0'));
    config_unref(a);
    config_unref(b);
    return out;
}

static void rows_that_differ(void)
{
    CHECK_STR(differing(LOAD("PATH=/bin"), LOAD("PATH=/usr/bin")), "");
    CHECK_STR(differing(LOAD("PORTICO_HSTS=1y"), LOAD("PATH=/bin")), " HSTS");
    CHECK_STR(differing(LOAD("PORTICO_UPSTREAM=http://127.0.0.1:8000"), LOAD("PATH=/bin")), ""); /* the default */
    CHECK_STR(differing(LOAD("PORTICO_WORKERS=1", "PORTICO_COMPRESS=gzip"), LOAD("PORTICO_WORKERS=2")),
              " COMPRESS WORKERS");
}

/* Shown as their lengths alone, which may be the same. */
static void secrets_that_differ(void)
{
    static const char hash[] = "$2y$10$abcdefghijklmnopqrstuv0123456789ABCDEFGHIJKLMNOPQRSTU";
    char first[128], second[128];
    snprintf(first, sizeof first, "PORTICO_BASIC_AUTH=ann:%s", hash);
    snprintf(second, sizeof second, "PORTICO_BASIC_AUTH=bob:%s", hash);
    CHECK_STR(differing(LOAD(first), LOAD(first)), "");
    CHECK_STR(differing(LOAD(first), LOAD(second)), " BASIC_AUTH");
}

static void names_that_differ(void)
{
    struct config *a = LOAD("PATH=/bin");
    struct config *b = load(
        (const char *const[]){"PORTICO_DOMAINS=b.com,c.com,d.com,*.a.com", "PORTICO_ACME_DIRECTORY=internal", NULL});
    struct config_names_diff diff = config_names_diff(a, b);
    CHECK_INT(diff.num_added, 3);
    CHECK_INT(diff.num_removed, 1);
    config_unref(a);
    config_unref(b);
}

static bool listens_alike(const char *a_text, const char *b_text)
{
    char a_entry[96], b_entry[96];
    snprintf(a_entry, sizeof a_entry, "PORTICO_HTTP_LISTEN=%s", a_text);
    snprintf(b_entry, sizeof b_entry, "PORTICO_HTTP_LISTEN=%s", b_text);
    struct config *a = LOAD(a_entry, "PORTICO_ACME_DIRECTORY=internal");
    struct config *b = LOAD(b_entry, "PORTICO_ACME_DIRECTORY=internal");
    bool same = config_listen_same(&a->listen.http, &b->listen.http);
    CHECK(same == config_listen_same(&b->listen.http, &a->listen.http));
    config_unref(a);
    config_unref(b);
    return same;
}

static void places_that_differ(void)
{
    CHECK(listens_alike(":80", ":80"));
    CHECK(listens_alike("off", "off"));
    CHECK(listens_alike("unix:/run/a", "unix:/run/a"));
    CHECK(!listens_alike(":80", ":81"));
    CHECK(!listens_alike(":80", "127.0.0.1:80"));
    CHECK(!listens_alike("127.0.0.1:80", "[::1]:80"));
    CHECK(!listens_alike(":80", "off"));
    CHECK(!listens_alike("unix:/run/a", "unix:/run/b"));
    CHECK(!listens_alike("unix:/run/a", ":80"));
}

static void restarts_are_refused_by_name(void)
{
    struct config_mistakes mistakes = {0};
    struct config *a = LOAD("PATH=/bin"), *b = LOAD("PORTICO_WORKERS=2", "PORTICO_HSTS=1y", "PORTICO_STORAGE=/data");
    config_refuse_restarts(a, b, &mistakes);
    CHECK_INT(mistakes.num, 2);
    CHECK_STR(mistakes.items[0].variable, "PORTICO_STORAGE");
    CHECK_STR(mistakes.items[1].variable, "PORTICO_WORKERS");
    config_mistakes_cleanup(&mistakes);
    config_unref(a);
    config_unref(b);
}

int main(void)
{
    RUN(rows_that_differ);
    RUN(secrets_that_differ);
    RUN(names_that_differ);
    RUN(places_that_differ);
    RUN(restarts_are_refused_by_name);
    return checks_done();
}
