#include "core/sandbox.h"

#include "check.h"
#include "config/mistakes.h"
#include "core/landlock.h"
#include "core/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A directory with:  storage/  vol/..one/key  vol/..data -> ..one  vol/key -> ..data/key  live/key -> ../archive/key1
 * archive/key1  run/  elsewhere/secret */
static char base[PATH_MAX];

static const char *at(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, PATH_MAX, "%.*s/%s", PATH_MAX / 2, base, name);
    return path;
}

static void file_at(const char *name)
{
    FILE *file = fopen(at(name), "w");
    CHECK(file != NULL);
    if (file) {
        fputs("-----BEGIN PRIVATE KEY-----", file);
        fclose(file);
    }
}

static void world_make(void)
{
    static const char *const directories[] = {"vol", "vol/..one", "live",  "archive",
                                              "run", "elsewhere", "certs", "pairs"};
    char made[] = "/tmp/portico-sandbox-XXXXXX";
    CHECK(mkdtemp(made) != NULL);
    CHECK(realpath(made, base) != NULL);
    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++)
        CHECK_INT(mkdir(at(directories[i]), 0700), 0);
    file_at("vol/..one/key");
    file_at("archive/key1");
    file_at("elsewhere/secret");
    FILE *pair = fopen(at("pairs/both1.pem"), "w");
    CHECK(pair && fputs("-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n", pair) >= 0 && fclose(pair) == 0);
    CHECK_INT(symlink("../pairs/both1.pem", at("certs/both.pem")), 0);
    CHECK_INT(symlink("..one", at("vol/..data")), 0);
    CHECK_INT(symlink("..data/key", at("vol/key")), 0);
    CHECK_INT(symlink("../archive/key1", at("live/key")), 0);
}

static void world_remove(void)
{
    char command[PATH_MAX + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", base);
    CHECK_INT(system(command), 0);
}

static struct config *config_with(const char *key_file)
{
    char storage[PATH_MAX + 32], http[PATH_MAX + 32], key[PATH_MAX + 32];
    snprintf(storage, sizeof storage, "PORTICO_STORAGE=%s", at("storage"));
    snprintf(http, sizeof http, "PORTICO_HTTP_LISTEN=unix:%s", at("run/http.sock"));
    snprintf(key, sizeof key, "PORTICO_ACME_ACCOUNT_KEY_FILE=%s", at(key_file));
    const char *const entries[] = {"PORTICO_DOMAINS=a.test", storage, http, key, NULL};
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    bool loaded = config_load(entries, &config, &mistakes);
    CHECK(loaded);
    if (!loaded)
        fprintf(stderr, "%s\n", mistakes.items[0].reason);
    config_mistakes_cleanup(&mistakes);
    return config;
}

/* 0: not granted, 1: to be read, 2: to be written */
static int granted(const struct sandbox *sandbox, const char *path)
{
    for (size_t i = 0; i < sandbox_num_grants(sandbox); i++) {
        struct sandbox_grant grant = sandbox_grant_at(sandbox, i);
        if (strcmp(grant.path, path) == 0)
            return grant.write ? 2 : 1;
    }
    return 0;
}

static void directories_are_granted_and_files_never(void)
{
    struct config *config = config_with("vol/key");
    struct sandbox *sandbox = sandbox_new(config, at("run"));
    CHECK_INT(granted(sandbox, at("storage")), 2); /* it was made, too */
    CHECK_INT(granted(sandbox, at("run")), 2);
    CHECK_INT(granted(sandbox, at("vol")), 1); /* the whole volume: `..data` will lead elsewhere in it */
    CHECK_INT(granted(sandbox, at("vol/key")), 0);
    CHECK_INT(granted(sandbox, at("elsewhere")), 0);
    CHECK_INT(granted(sandbox, base), 0);
    CHECK_INT(granted(sandbox, "/etc"), 1);
    CHECK_INT(granted(sandbox, "/"), 0);
    sandbox_free(sandbox);
    config_unref(config);
}

static void a_link_is_granted_where_it_leads(void)
{
    struct config *config = config_with("live/key");
    struct sandbox *sandbox = sandbox_new(config, NULL);
    CHECK_INT(granted(sandbox, at("live")), 1);
    CHECK_INT(granted(sandbox, at("archive")), 1); /* key2 will stand there */
    sandbox_free(sandbox);
    config_unref(config);
}

/* What is exported is made, with the directory; certificates of one's own are read where they stand, and where links lead. */
static void directories_of_certificates(void)
{
    char certs[PATH_MAX + 32], exported[PATH_MAX + 32], storage[PATH_MAX + 32];
    snprintf(storage, sizeof storage, "PORTICO_STORAGE=%s", at("storage"));
    snprintf(certs, sizeof certs, "PORTICO_TLS_CERT_DIR=%s", at("certs"));
    snprintf(exported, sizeof exported, "PORTICO_EXPORT_DIR=%s", at("exported"));
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    struct stat status;
    CHECK(config_load((const char *const[]){storage, certs, exported, NULL}, &config, &mistakes));
    config_mistakes_cleanup(&mistakes);
    struct sandbox *sandbox = sandbox_new(config, NULL);
    CHECK_INT(granted(sandbox, at("certs")), 1);
    CHECK_INT(granted(sandbox, at("pairs")), 1);
    CHECK_INT(granted(sandbox, at("exported")), 2);
    CHECK(stat(at("exported"), &status) == 0 && (status.st_mode & 07777) == 0750);
    sandbox_free(sandbox);
    config_unref(config);
}

/* Several places of systemd's, of which the second is not there. */
static void every_runtime_directory_is_granted(void)
{
    struct config *config = config_with("live/key");
    char both[2 * PATH_MAX];
    snprintf(both, sizeof both, "%s:/no/such:%s", at("elsewhere"), at("archive"));
    struct sandbox *sandbox = sandbox_new(config, both);
    CHECK_INT(granted(sandbox, at("elsewhere")), 2);
    CHECK_INT(granted(sandbox, at("archive")), 2);
    CHECK_INT(granted(sandbox, "/no/such"), 0);
    sandbox_free(sandbox);
    config_unref(config);
}

/* ---- what the kernel does with it: in a child, for there is no way back ---- */

static int in_child(int (*body)(void))
{
    int status = -1;
    pid_t child = fork();
    if (child == 0)
        _exit(body());
    CHECK_INT(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool can_open(const char *name, int flags)
{
    int fd = open(at(name), flags, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

#define WANT(cond)       \
    do {                 \
        if (!(cond)) {   \
            CHECK(cond); \
            return 1;    \
        }                \
    } while (0)

/* Those that lie beyond, and no other. */
static bool explained(const struct sandbox *sandbox)
{
    static const struct {
        const char *value, *reason;
        bool beyond;
    } rows[] = {{"elsewhere/secret", "cannot be read: permission denied", true},
                {"vol/none", "cannot be read: it is not there", false},
                {"elsewhere", "begins with a slash", false},
                {"unix:elsewhere/s", "cannot be listened on (bind): cure", true},
                {"unix:vol/s", "cannot be listened on (bind): cure", true},
                {"unix:run/s", "cannot be listened on (bind): cure", false}};
    struct config_mistakes mistakes = {0};
    bool right = true;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool socket = strncmp(rows[i].value, "unix:", 5) == 0;
        char value[PATH_MAX];
        snprintf(value, sizeof value, "%s%s", socket ? "unix:" : "", at(rows[i].value + (socket ? 5 : 0)));
        mistakes_add(&mistakes, "PORTICO_X", slice_str(value), NULL, "%s", rows[i].reason);
    }
    sandbox_explain(sandbox, &mistakes);
    for (size_t i = 0; i < mistakes.num; i++)
        right &= rows[i].beyond == (strstr(mistakes.items[i].reason, "PORTICO_SANDBOX") != NULL);
    config_mistakes_cleanup(&mistakes);
    return right;
}

static int landlocked(void)
{
    struct config *config = config_with("vol/key");
    struct sandbox *sandbox = sandbox_new(config, NULL);
    sandbox_apply(sandbox);
    WANT(can_open("storage/new", O_WRONLY | O_CREAT));
    WANT(mkdir(at("storage/a"), 0700) == 0 && rename(at("storage/new"), at("storage/a/new")) == 0);
    WANT(can_open("vol/key", O_RDONLY));
    WANT(!can_open("vol/key", O_WRONLY));
    WANT(!can_open("vol/other", O_WRONLY | O_CREAT));
    WANT(!can_open("elsewhere/secret", O_RDONLY) && errno == EACCES);
    WANT(!can_open("live/key", O_RDONLY));
    WANT(open("/etc/passwd", O_RDONLY) >= 0);
    WANT(open("/etc/passwd", O_RDWR) < 0);

    WANT(sandbox_covers(sandbox, at("vol/key"), false));
    WANT(sandbox_covers(sandbox, at("vol/later"), false));
    WANT(sandbox_covers(sandbox, at("vol"), false));
    WANT(!sandbox_covers(sandbox, at("vol/key"), true));
    WANT(sandbox_covers(sandbox, at("run/https.sock"), true));
    WANT(!sandbox_covers(sandbox, at("elsewhere/secret"), false));
    WANT(!sandbox_covers(sandbox, at("elsewhere"), false));
    WANT(!sandbox_covers(sandbox, at("live/key"), false));
    WANT(!sandbox_covers(sandbox, at("volume"), false)); /* a name that begins like one that is granted */
    WANT(!sandbox_covers(sandbox, at("no/such/directory"), false));
    WANT(explained(sandbox));
    config_unref(config);
    sandbox_free(sandbox);
    return 0;
}

static void landlock_holds(void)
{
    if (landlock_abi() < LANDLOCK_ABI_LEAST) {
        printf("no Landlock in this kernel: what it does is not tested\n");
        return;
    }
    CHECK_INT(in_child(landlocked), 0);
}

static bool refused(long number, long first, int want)
{
    errno = 0;
    return syscall(number, first, 0, 0, 0, 0) < 0 && errno == want;
}

static void *nothing(void *arg)
{
    return arg;
}

static int filtered(void)
{
    char *const argv[] = {"true", NULL};
    WANT(!err_is(seccomp_deny()));
    WANT(execv("/bin/true", argv) < 0 && errno == EPERM);
    WANT(mount("none", "/tmp", "tmpfs", 0, NULL) < 0 && errno == EPERM);
    WANT(refused(SYS_unshare, CLONE_NEWUSER, EPERM));
    WANT(refused(SYS_bpf, 0, EPERM));
    WANT(refused(SYS_keyctl, 0, EPERM));
    WANT(refused(425, 0, EPERM));  /* io_uring_setup */
    WANT(refused(435, 0, ENOSYS)); /* clone3 */
    WANT(refused(SYS_clone, CLONE_NEWUSER | SIGCHLD, EPERM));
    WANT(refused(SYS_clone, CLONE_NEWNS | SIGCHLD, EPERM));
    WANT(socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EPERM);
    WANT(socket(AF_ALG, SOCK_SEQPACKET, 0) < 0 && errno == EPERM);
    WANT(socket(AF_INET, SOCK_STREAM, 0) >= 0 && socket(AF_INET6, SOCK_STREAM, 0) >= 0);
    WANT(socket(AF_UNIX, SOCK_STREAM, 0) >= 0 && socket(AF_NETLINK, SOCK_RAW, 0) >= 0);
#if defined(__x86_64__)
    WANT(refused(0x40000000 | 39, 0, EPERM)); /* getpid of x32 */
#endif
    pthread_t thread;
    WANT(pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0);
    return 0;
}

static void seccomp_holds(void)
{
    CHECK(seccomp_available());
    CHECK_INT(in_child(filtered), 0);
}

static _Atomic bool filter_is_there;

static void *elder(void *arg)
{
    while (!filter_is_there)
        sched_yield();
    *(bool *)arg = refused(SYS_bpf, 0, EPERM) && refused(425, 0, EPERM);
    return NULL;
}

/* A thread that was there before is bound by it, too. */
static int filtered_with_a_thread(void)
{
    pthread_t thread;
    bool bound = false;
    WANT(pthread_create(&thread, NULL, elder, &bound) == 0);
    WANT(!err_is(seccomp_deny()));
    filter_is_there = true;
    WANT(pthread_join(thread, NULL) == 0);
    WANT(bound);
    return 0;
}

static void seccomp_holds_for_all_threads(void)
{
    CHECK_INT(in_child(filtered_with_a_thread), 0);
}

int main(void)
{
    world_make();
    RUN(directories_are_granted_and_files_never);
    RUN(a_link_is_granted_where_it_leads);
    RUN(every_runtime_directory_is_granted);
    RUN(directories_of_certificates);
    RUN(landlock_holds);
    RUN(seccomp_holds);
    RUN(seccomp_holds_for_all_threads);
    world_remove();
    return checks_done();
}
