/* ENV_DIR: which of its files count, what is a mistake, and what their stamp tells. */
#include "check.h"

#include "base/mem.h"
#include "config/config.h"
#include "config/sources.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], dir_entry[96];

static const char *path_of(const char *name)
{
    static char paths[2][160]; /* rename takes two */
    static unsigned turn;
    char *path = paths[turn++ % 2];
    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");
    CHECK(file && fputs(text, file) >= 0);
    if (file)
        fclose(file);
}

static void dir_init(void)
{
    snprintf(dir, sizeof dir, "/tmp/env_dir_test.XXXXXX");
    CHECK(mkdtemp(dir) != NULL);
    snprintf(dir_entry, sizeof dir_entry, "PORTICO_ENV_DIR=%s", dir);
}

static void dir_cleanup(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    CHECK(system(command) == 0);
}

/* All mistakes in one text, "" for none. */
static const char *load(const char *const *entries, struct config **out_config)
{
    static struct buf out;
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    out.len = 0;
    if (!config_load(entries, &config, &mistakes))
        config_mistakes_print(&mistakes, &out);
    config_mistakes_cleanup(&mistakes);
    if (out_config)
        *out_config = config;
    else
        config_unref(config);
    const char *text = out.len ? buf_cstr(&out) : "";
    static char kept[4096];
    snprintf(kept, sizeof kept, "%s", text);
    buf_cleanup(&out);
    out = (struct buf){0};
    return kept;
}

static bool mistaken(const char *const *entries, const char *text)
{
    const char *said = load(entries, NULL);
    bool found = strstr(said, text) != NULL;
    if (!found)
        fprintf(stderr, "no '%s' in '%s'\n", text, said);
    return found;
}

#define ENTRIES(...) ((const char *const[]){dir_entry, __VA_ARGS__, NULL})

static void files_are_variables(void)
{
    struct config *config;
    dir_init();
    put("PORTICO_DOMAINS", "a.com\nb.com\n");
    put("PORTICO_UPSTREAM", "http://app:8000\r\n");
    put("PORTICO_HSTS", "");
    CHECK_STR(load(ENTRIES("PORTICO_WORKERS=2"), &config), "");
    CHECK_INT(config->num_names, 2);
    CHECK_SLICE(config->default_site.group->upstreams[0]->text, "http://app:8000");
    CHECK_INT(config->tls.hsts.len, 0);
    CHECK_INT(config->values[0].source, CONFIG_FROM_FILE);
    CHECK_SLICE(config->values[0].path, path_of("PORTICO_DOMAINS"));
    CHECK_INT(config->workers, 2);
    config_unref(config);
    dir_cleanup();
}

static void a_file_may_name_another(void)
{
    struct config *config;
    char text[160];
    dir_init();
    put("page.html", "<h1>Sorry</h1>\n");
    snprintf(text, sizeof text, "%s\n", path_of("page.html"));
    put("PORTICO_ERROR_PAGE_FILE", text);
    CHECK_STR(load(ENTRIES("PORTICO_DOMAINS=a.com"), &config), "");
    CHECK_SLICE(config->policy.error_page, "<h1>Sorry</h1>");
    config_unref(config);
    unlink(path_of("page.html"));
    CHECK(mistaken(ENTRIES("PORTICO_DOMAINS=a.com"), "PORTICO_ERROR_PAGE_FILE: `"));
    dir_cleanup();
}

static void other_names_are_nobodys(void)
{
    dir_init();
    put("DOMAINS", "nobody");
    put("PORTICO_DOMAINS~", "an editor's");
    put(".PORTICO_DOMAINS.swp", "an editor's");
    put("..data", "a volume's");
    put("PORTICO_", "nobody");
    put("PORTICO_web", "nobody");
    put("PORTICO_WEB_SERVICE_HOST", "a service link");
    CHECK_STR(load(ENTRIES("PORTICO_DOMAINS=a.com"), NULL), "");
    put("PORTICO_DOMIANS", "a.com");
    CHECK(mistaken(ENTRIES("PORTICO_DOMAINS=a.com"), "did you mean PORTICO_DOMAINS?"));
    dir_cleanup();
}

static void set_twice_is_a_mistake(void)
{
    dir_init();
    put("PORTICO_DOMAINS", "a.com");
    CHECK(mistaken(ENTRIES("PORTICO_DOMAINS=a.com"), "PORTICO_DOMAINS is a file of PORTICO_ENV_DIR"));
    CHECK(mistaken(ENTRIES("PORTICO_DOMAINS_FILE=/dev/null"), "is given elsewhere too"));
    put("PORTICO_DOMAINS_FILE", "/dev/null");
    CHECK(mistaken(ENTRIES("PATH=/bin"), "PORTICO_DOMAINS_FILE is a file of PORTICO_ENV_DIR"));
    unlink(path_of("PORTICO_DOMAINS_FILE"));
    put("PORTICO_ENV_DIR", dir);
    CHECK(mistaken(ENTRIES("PATH=/bin"), "PORTICO_ENV_DIR is a file of PORTICO_ENV_DIR"));
    dir_cleanup();
}

static void what_cannot_be_read_is_a_mistake(void)
{
    dir_init();
    CHECK(mkdir(path_of("PORTICO_DOMAINS"), 0700) == 0);
    CHECK(mistaken(ENTRIES("PATH=/bin"), "PORTICO_DOMAINS: `"));
    dir_cleanup();
    CHECK(mistaken(ENTRIES("PATH=/bin"), "PORTICO_ENV_DIR: `"));
    CHECK(mistaken((const char *const[]){"PORTICO_ENV_DIR_FILE=/etc/hostname", NULL},
                   "must be set in the environment itself"));
}

/* Its files hold thousands of other things that may be wrong meanwhile. */
static void the_health_check_reads_its_own_variable_alone(void)
{
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    dir_init();
    put("PORTICO_ADMIN_LISTEN", "127.0.0.1:9999");
    put("PORTICO_UPSTREAM", "nonsense");
    put("PORTICO_NONSENSE", "nonsense");
    CHECK(config_load_admin(ENTRIES("PORTICO_DOMAINS=-"), &config, &mistakes));
    CHECK_INT(config->listen.admin.port, 9999);
    config_unref(config);
    dir_cleanup();
}

/* ---- stamps ---- */

static struct config_sources look(const char *const *entries)
{
    struct config_sources sources;
    config_sources_look(entries, &sources);
    return sources;
}

static uint64_t stamp(void)
{
    struct config_sources sources = look(ENTRIES("PORTICO_TLS_CERT_FILE=/nonexistent/tls.crt"));
    uint64_t found = sources.stamp;
    config_sources_cleanup(&sources);
    return found;
}

static bool has_place(const struct config_sources *sources, const char *path)
{
    for (size_t i = 0; i < sources->num_places; i++)
        if (strcmp(sources->places[i], path) == 0)
            return true;
    return false;
}

static void age(const char *name, time_t seconds)
{
    const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    CHECK(utimensat(AT_FDCWD, path_of(name), times, 0) == 0);
}

static bool changed(uint64_t *last)
{
    uint64_t before = *last;
    *last = stamp();
    return *last != before;
}

static void every_change_shows_in_the_stamp(void)
{
    dir_init();
    uint64_t last = stamp();
    CHECK(!changed(&last));
    put("PORTICO_DOMAINS", "a.com");
    CHECK(changed(&last));
    put("PORTICO_DOMAINS", "a.com,b.com");
    CHECK(changed(&last));
    age("PORTICO_DOMAINS", 1000);
    CHECK(changed(&last));
    put("PORTICO_HSTS", "");
    CHECK(changed(&last));
    unlink(path_of("PORTICO_HSTS"));
    CHECK(changed(&last));
    CHECK(rename(path_of("PORTICO_DOMAINS"), path_of("PORTICO_UPSTREAM")) == 0);
    CHECK(changed(&last));
    put("notes", "not ours");
    CHECK(!changed(&last));
    dir_cleanup();
}

static void a_volume_is_seen_through_its_link(void)
{
    dir_init();
    CHECK(mkdir(path_of("..1"), 0700) == 0 && mkdir(path_of("..2"), 0700) == 0);
    put("..1/PORTICO_DOMAINS", "a.com");
    put("..2/PORTICO_DOMAINS", "b.com");
    age("..1/PORTICO_DOMAINS", 1000);
    age("..2/PORTICO_DOMAINS", 1000); /* the same size and the same time: another file */
    CHECK(symlink("..1", path_of("..data")) == 0);
    CHECK(symlink("..data/PORTICO_DOMAINS", path_of("PORTICO_DOMAINS")) == 0);
    uint64_t before = stamp();
    CHECK(unlink(path_of("..data")) == 0 && symlink("..2", path_of("..data")) == 0);
    CHECK(stamp() != before);
    dir_cleanup();
}

static void places_are_the_files_and_where_they_are_replaced(void)
{
    dir_init();
    put("PORTICO_DOMAINS", "a.com");
    struct config_sources sources =
        look(ENTRIES("PORTICO_TLS_CERT_FILE=/etc/tls/tls.crt", "PORTICO_TLS_KEY_FILE=tls.key"));
    CHECK(has_place(&sources, dir) && has_place(&sources, path_of("PORTICO_DOMAINS")));
    CHECK(has_place(&sources, "/etc/tls") && has_place(&sources, "/etc/tls/tls.crt"));
    CHECK(has_place(&sources, ".") && has_place(&sources, "tls.key"));
    CHECK_INT(sources.num_places, 6);
    config_sources_cleanup(&sources);
    sources = look((const char *const[]){"PORTICO_DOMAINS=a.com", NULL});
    CHECK_INT(sources.num_places, 0);
    config_sources_cleanup(&sources);
    dir_cleanup();
}

/* A second change within the clock's grain may leave every figure as it was. */
static void what_has_just_changed_is_fresh(void)
{
    dir_init();
    put("PORTICO_DOMAINS", "a.com");
    struct config_sources sources = look(ENTRIES("PATH=/bin"));
    CHECK(sources.fresh);
    config_sources_cleanup(&sources);
    sources = look((const char *const[]){"PORTICO_DOMAINS_FILE=/bin/sh", NULL});
    CHECK(!sources.fresh);
    config_sources_cleanup(&sources);
    dir_cleanup();
}

int main(void)
{
    RUN(files_are_variables);
    RUN(a_file_may_name_another);
    RUN(other_names_are_nobodys);
    RUN(set_twice_is_a_mistake);
    RUN(what_cannot_be_read_is_a_mistake);
    RUN(the_health_check_reads_its_own_variable_alone);
    RUN(every_change_shows_in_the_stamp);
    RUN(a_volume_is_seen_through_its_link);
    RUN(places_are_the_files_and_where_they_are_replaced);
    RUN(what_has_just_changed_is_fresh);
    return checks_done();
}
