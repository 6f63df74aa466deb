/* The commands that need no running process, by what they print and what they return; healthcheck against a listener that
 * answers as told. */
#include "check.h"

#include "base/clock.h"
#include "cli/manual.h"
#include "cli/print.h"
#include "config/config.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct output {
    char *out, *err;
    size_t out_len, err_len;
    int code;
};

static struct output run(const char *const *args, size_t num_args, const char *const *environment)
{
    struct output output = {0};
    struct cli_call call = {.args = args,
                            .num_args = num_args,
                            .environment = environment,
                            .out = open_memstream(&output.out, &output.out_len),
                            .err = open_memstream(&output.err, &output.err_len),
                            .version = "9.8.7",
                            .boringssl_source = "BoringSSL of a test"};
    output.code = cli_dispatch(&call);
    fclose(call.out);
    fclose(call.err);
    return output;
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define RUN_COMMAND(environment, ...) \
    run(LIST(__VA_ARGS__), sizeof(LIST(__VA_ARGS__)) / sizeof(char *) - 1, (environment))

static void output_cleanup(struct output *output)
{
    free(output->out);
    free(output->err);
}

static void check_has(const char *text, const char *piece)
{
    if (!strstr(text, piece))
        fprintf(stderr, "not found: %s\nin: %s\n", piece, text);
    CHECK(strstr(text, piece) != NULL);
}

static void test_usage(void)
{
    static const struct {
        const char *args[2];
        const char *want;
    } rows[] = {
        {{"chek", NULL}, "portico: there is no such command: chek; did you mean `portico check`?\n"},
        {{"Versoin", NULL}, "portico: there is no such command: Versoin; did you mean `portico version`?\n"},
        {{"frobnicate", NULL}, "portico: there is no such command: frobnicate; `portico help` lists them\n"},
        {{"", NULL}, "portico: there is no such command: ; `portico help` lists them\n"},
        {{"run", "now"}, "portico run: takes --take-over or nothing, but got `now`\n"},
        {{"check", "x"}, "portico check: takes no argument, but got `x`\n"},
        {{"version", "x"}, "portico version: takes no argument, but got `x`\n"},
        {{"help", "x"}, "portico help: takes no argument, but got `x`\n"},
        {{"drain", "now"}, "portico drain: takes no argument, but got `now`\n"},
        {{"status", "--jsn"}, "portico status: takes --json or nothing, but got `--jsn`\n"},
        {{"healthcheck", "--redy"}, "portico healthcheck: takes --ready or nothing, but got `--redy`\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct output output = run(rows[i].args, rows[i].args[1] ? 2 : 1, LIST("PATH=/bin"));
        CHECK_INT(output.code, CLI_EXIT_USAGE);
        CHECK_STR(output.err, rows[i].want);
        CHECK_STR(output.out, "");
        output_cleanup(&output);
    }
}

static void test_bad_configuration(void)
{
    static const char want[] = "portico: 2 mistakes in the configuration:\n"
                               "PORTICO_DOMAIN is no variable of this version; did you mean PORTICO_DOMAINS?\n"
                               "PORTICO_WORKERS: `many` is no whole number\n"
                               "    for example: PORTICO_WORKERS=2\n";
    const char *const *environment = LIST("PORTICO_DOMAIN=a.com", "PORTICO_WORKERS=many");
    struct output check = RUN_COMMAND(environment, "check"), named = RUN_COMMAND(environment, "run"),
                  plain = run(NULL, 0, environment);
    CHECK_INT(check.code, CLI_EXIT_CONFIG);
    CHECK_INT(named.code, CLI_EXIT_CONFIG);
    CHECK_INT(plain.code, CLI_EXIT_CONFIG);
    CHECK_STR(check.err, want);
    CHECK_STR(named.err, want);
    CHECK_STR(plain.err, want);
    CHECK_STR(check.out, "");
    output_cleanup(&check);
    output_cleanup(&named);
    output_cleanup(&plain);
}

static void test_check(void)
{
    struct output output = RUN_COMMAND(LIST("PORTICO_DOMAINS=a.com\nlocalhost", "PORTICO_UPSTREAM=http://app:8000",
                                            "PORTICO_ACME_EAB_KID=kid", "PORTICO_ACME_EAB_HMAC_KEY=aHVudGVyMg"),
                                       "check");
    CHECK_INT(output.code, CLI_EXIT_CLEAN);
    CHECK_STR(output.err, "");
    check_has(output.out, "PORTICO_DOMAINS                    a.com\\nlocalhost  (environment)\n");
    check_has(output.out, "PORTICO_WORKERS                    auto  (default)\n");
    check_has(output.out, "PORTICO_ACME_EMAIL                 -  (default)\n");
    check_has(output.out, "PORTICO_ACME_EAB_HMAC_KEY          (secret, 10 bytes)  (environment)\n");
    check_has(output.out,
              "\na.com -> http://app:8000  (certificate of https://acme-v02.api.letsencrypt.org/directory)\n"
              "localhost -> http://app:8000  (certificate of the local CA)\n"
              "\nPORTICO_ACME_ACCEPT_TERMS is false");
    CHECK(!strstr(output.out, "aHVudGVyMg"));
    for (size_t i = 0; i < config_num_rows(); i++)
        check_has(output.out, config_row_at(i).name);
    output_cleanup(&output);
}

static void test_check_without_names(void)
{
    struct output output = RUN_COMMAND(LIST("PATH=/bin"), "check");
    CHECK_INT(output.code, CLI_EXIT_CLEAN);
    check_has(output.out,
              "PORTICO_HTTP_MODE                  serve  (default; there are no names and no certificate)\n");
    check_has(output.out, "\nevery name, over plain HTTP alone -> http://127.0.0.1:8000\n");
    CHECK(!strstr(output.out, "is false"));
    output_cleanup(&output);
}

static void test_help(void)
{
    struct output help = RUN_COMMAND(LIST("PATH=/bin"), "help"), flag = RUN_COMMAND(LIST("PATH=/bin"), "--help"),
                  table = RUN_COMMAND(LIST("PATH=/bin"), "help", "--markdown");
    CHECK_INT(help.code, CLI_EXIT_CLEAN);
    CHECK_STR(help.out, flag.out);
    for (size_t i = 0; i < config_num_rows(); i++) {
        check_has(help.out, config_row_at(i).name);
        check_has(table.out, config_row_at(i).help);
        check_has(table.out, config_row_at(i).values);
    }
    check_has(table.out, "| `PORTICO_STORAGE` | `/var/lib/portico` | a directory | ");
    size_t num_lines = 0;
    for (const char *c = table.out; *c; c++)
        num_lines += *c == '\n';
    CHECK_INT(num_lines, config_num_rows() + 2);
    CHECK(!strchr(help.out, '\t'));
    output_cleanup(&help);
    output_cleanup(&flag);
    output_cleanup(&table);
}

/* Each command is told by help and man page; another spelling by neither. */
static void test_commands_are_told(void)
{
    struct output help = RUN_COMMAND(LIST("PATH=/bin"), "help"), man = RUN_COMMAND(LIST("PATH=/bin"), "help", "--man");
    for (const struct command *command = manual_commands; command->name; command++) {
        char call[64], head[64];
        snprintf(call, sizeof call, command->run == cli_run ? "  portico [%s " : "  portico %s ", command->name);
        snprintf(head, sizeof head, "\n\\fB%s\\fR", command->name);
        CHECK_INT(strstr(help.out, call) != NULL, command->help != NULL);
        CHECK_INT(strstr(man.out, head) != NULL, command->help != NULL);
    }
    output_cleanup(&help);
    output_cleanup(&man);
}

/* What man(7) needs: ASCII, requests that we meant, no backtick left. tests/lint has groff judge it. */
static void test_man(void)
{
    struct output man = RUN_COMMAND(LIST("PATH=/bin"), "help", "--man");
    CHECK_INT(man.code, CLI_EXIT_CLEAN);
    check_has(man.out, "\n.TH PORTICO 1 \"\" \"portico 9.8.7\"");
    for (size_t i = 0; i < config_num_rows(); i++)
        check_has(man.out, config_row_at(i).name);
    check_has(man.out, "\n\\fBPORTICO_HTTP_LISTEN\\fR (:80) [rebind]\n");
    check_has(man.out, "\n\\fBPORTICO_HTTP_MODE\\fR (redirect)\n");
    check_has(man.out, "\n\\fBQUIT\\fR\n");
    check_has(man.out, "\n\\fB78\\fR\n");
    check_has(man.out, "a.example.com \\-> http://a:8000,\n");
    check_has(man.out, "PORTICO_STORAGE=$HOME/.portico \\e\n");
    const char *text = strchr(man.out, '\n');
    for (; text && *text; text++)
        CHECK(*text == '\n' || (*text >= ' ' && *text <= '}' && *text != '`'));
    output_cleanup(&man);
}

static void test_version(void)
{
    struct output version = RUN_COMMAND(LIST("PATH=/bin"), "version"),
                  flag = RUN_COMMAND(LIST("PATH=/bin"), "--version");
    CHECK_INT(version.code, CLI_EXIT_CLEAN);
    CHECK_STR(version.out, flag.out);
    static const char begin[] = "portico 9.8.7\nBoringSSL of a test\nlibuv 1.";
    CHECK(strncmp(version.out, begin, strlen(begin)) == 0);
    check_has(version.out, "\nllhttp ");
    check_has(version.out, "\nyajl 2.");
    check_has(version.out, "\nnghttp2 ");
    output_cleanup(&version);
    output_cleanup(&flag);
}

static void test_wrapping(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    print_wrapped(file, "one `two` three four-and-much-too-long", 2, 13);
    fclose(file);
    CHECK_STR(text, "one two\n  three\n  four-and-much-too-long\n");
    free(text);
}

/* Healthcheck */

struct server {
    int listener;
    const char *answer; /* NULL: accepts and stays silent */
    char request[256];
    char entry[96]; /* the environment's ADMIN_LISTEN */
    pthread_t thread;
};

static void *serve_once(void *arg)
{
    struct server *server = arg;
    int fd = accept(server->listener, NULL, NULL);
    ssize_t n = fd < 0 ? -1 : recv(fd, server->request, sizeof server->request - 1, 0);
    if (n > 0 && server->answer) {
        ssize_t sent = send(fd, server->answer, strlen(server->answer), MSG_NOSIGNAL);
        (void)sent;
    } else if (n > 0) {
        char rest[16];
        n = recv(fd, rest, sizeof rest, 0); /* until the other side gives up */
    }
    if (fd >= 0)
        close(fd);
    return NULL;
}

static void server_start(struct server *server, int family, const char *answer)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr *any = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    socklen_t len = family == AF_INET ? sizeof v4 : sizeof v6;
    *server = (struct server){.answer = answer, .listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    CHECK(bind(server->listener, any, len) == 0 && listen(server->listener, 1) == 0);
    CHECK(getsockname(server->listener, any, &len) == 0);
    snprintf(server->entry, sizeof server->entry, "PORTICO_ADMIN_LISTEN=:%u",
             (unsigned)ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port));
    CHECK(pthread_create(&server->thread, NULL, serve_once, server) == 0);
}

static void server_stop(struct server *server)
{
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
}

static void test_healthcheck_answers(void)
{
    static const struct {
        const char *answer;
        int code;
        const char *err; /* a piece of it */
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", CLI_EXIT_CLEAN, ""},
        {"HTTP/1.1 200 OK\r\n", CLI_EXIT_CLEAN, ""},
        {"HTTP/1.1 503 Service Unavailable\r\n\r\ndraining\nmore", CLI_EXIT_FATAL,
         "answers 503 Service Unavailable: draining\n"},
        {"HTTP/1.1 503 \x1b[2J\r\n\r\n", CLI_EXIT_FATAL, "answers 503 \\x1b[2J"},
        {"HTTP/1.1 2000 OK\r\n\r\n", CLI_EXIT_FATAL, "answers 2000 OK"},
        {"SSH-2.0-x\r\n", CLI_EXIT_FATAL, "does not answer in HTTP\n"},
        {"", CLI_EXIT_FATAL, "does not answer: Connection reset by peer\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct server server;
        server_start(&server, AF_INET, rows[i].answer);
        struct output output = RUN_COMMAND(LIST(server.entry), "healthcheck");
        server_stop(&server);
        CHECK_INT(output.code, rows[i].code);
        check_has(output.err, rows[i].err);
        CHECK_INT(output.err_len == 0, rows[i].code == 0);
        CHECK_STR(server.request, "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        output_cleanup(&output);
    }
}

/* Mistakes elsewhere, and a certificate that is just being replaced, are not a question of life. */
static void test_healthcheck_ready_and_nothing_else(void)
{
    struct server server;
    server_start(&server, AF_INET, "HTTP/1.1 200 OK\r\n\r\n");
    struct output output = RUN_COMMAND(
        LIST("PORTICO_TLS_CERT_FILE=/no/such", "PORTICO_NONSENSE=1", server.entry, "PORTICO_ADMIN_LISTENING=x"),
        "healthcheck", "--ready");
    server_stop(&server);
    CHECK_INT(output.code, CLI_EXIT_CLEAN);
    CHECK_STR(output.err, "");
    CHECK(strncmp(server.request, "GET /readyz ", 12) == 0);
    output_cleanup(&output);
}

static void test_healthcheck_ipv6(void)
{
    struct server server;
    int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool has_ipv6 = probe >= 0 && bind(probe, (struct sockaddr *)&v6, sizeof v6) == 0;
    if (probe >= 0)
        close(probe);
    if (!has_ipv6)
        return;
    server_start(&server, AF_INET6, "HTTP/1.1 200 OK\r\n\r\n");
    struct output output = RUN_COMMAND(LIST(server.entry), "healthcheck");
    server_stop(&server);
    CHECK_INT(output.code, CLI_EXIT_CLEAN);
    output_cleanup(&output);
}

static void test_healthcheck_silence(void)
{
    struct server server;
    server_start(&server, AF_INET, NULL);
    int64_t before = clock_system.mono_ms(&clock_system);
    struct output output = RUN_COMMAND(LIST(server.entry), "healthcheck");
    int64_t took = clock_system.mono_ms(&clock_system) - before;
    server_stop(&server);
    CHECK_INT(output.code, CLI_EXIT_FATAL);
    check_has(output.err, "does not answer: Connection timed out\n");
    CHECK(took >= 1900 && took < 10000);
    output_cleanup(&output);
}

static void test_healthcheck_nowhere(void)
{
    struct output off = RUN_COMMAND(LIST("PORTICO_ADMIN_LISTEN=off", "PORTICO_STORAGE=/no/such"), "healthcheck");
    struct output chosen =
        RUN_COMMAND(LIST("PORTICO_ADMIN_LISTEN=127.0.0.1:0", "PORTICO_STORAGE=/no/such"), "healthcheck");
    struct output absent = RUN_COMMAND(LIST("PORTICO_ADMIN_LISTEN=unix:/no/such"), "healthcheck");
    struct output wrong = RUN_COMMAND(LIST("PORTICO_ADMIN_LISTEN=x"), "healthcheck");
    static const char no_process[] = "portico healthcheck: /livez at /no/such: no process with this PORTICO_STORAGE "
                                     "answers at its control socket (run as its user, in its container)\n";
    CHECK_STR(off.err, no_process);
    CHECK_STR(chosen.err, no_process);
    CHECK_STR(absent.err,
              "portico healthcheck: /livez at unix:/no/such: cannot be reached: No such file or directory\n");
    check_has(wrong.err, "PORTICO_ADMIN_LISTEN: `x` has no port");
    CHECK_INT(off.code, CLI_EXIT_FATAL);
    CHECK_INT(chosen.code, CLI_EXIT_FATAL);
    CHECK_INT(absent.code, CLI_EXIT_FATAL);
    CHECK_INT(wrong.code, CLI_EXIT_FATAL);
    output_cleanup(&off);
    output_cleanup(&chosen);
    output_cleanup(&absent);
    output_cleanup(&wrong);
}

/* Nobody is there: both ways are told, and the code is that of trouble. */
static void test_status_and_drain_nowhere(void)
{
    const char *const *environment = LIST("PORTICO_ADMIN_LISTEN=off", "PORTICO_STORAGE=/no/such", "PORTICO_NONSENSE=1");
    struct output status = RUN_COMMAND(environment, "status"), json = RUN_COMMAND(environment, "status", "--json"),
                  drain = RUN_COMMAND(environment, "drain");
    check_has(status.err, "portico status: /status/lines at /no/such: no process");
    check_has(status.err, "portico status: /status/lines at off: PORTICO_ADMIN_LISTEN is off");
    check_has(json.err, "portico status: /status/lines at /no/such: no process");
    check_has(drain.err, "portico drain: /drain at /no/such: no process");
    CHECK_INT(status.code, CLI_EXIT_FATAL);
    CHECK_INT(json.code, CLI_EXIT_FATAL);
    CHECK_INT(drain.code, CLI_EXIT_FATAL);
    CHECK_STR(status.out, "");
    output_cleanup(&status);
    output_cleanup(&json);
    output_cleanup(&drain);
}

int main(void)
{
    RUN(test_status_and_drain_nowhere);
    RUN(test_usage);
    RUN(test_bad_configuration);
    RUN(test_check);
    RUN(test_check_without_names);
    RUN(test_help);
    RUN(test_commands_are_told);
    RUN(test_man);
    RUN(test_version);
    RUN(test_wrapping);
    RUN(test_healthcheck_answers);
    RUN(test_healthcheck_ready_and_nothing_else);
    RUN(test_healthcheck_ipv6);
    RUN(test_healthcheck_silence);
    RUN(test_healthcheck_nowhere);
    return checks_done();
}
