#include "core/sandbox.h"

#include "base/mem.h"
#include "certs/export.h"
#include "core/landlock.h"
#include "core/seccomp.h"
#include "store/dir_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SANDBOX_WHY_BYTES = 160 };

struct grant {
    char *path;
    bool write;
};

struct sandbox {
    const struct config *config; /* borrowed until it is applied */
    struct grant *grants;
    size_t num, cap;
    bool storage_missing;
    int abi; /* of the Landlock that holds; 0: none */
    bool seccomp;
    char landlock_why[SANDBOX_WHY_BYTES], seccomp_why[SANDBOX_WHY_BYTES];
};

/* ---- which directories ---- */

static void grant_add(struct sandbox *sandbox, const char *path, bool write)
{
    char real[PATH_MAX];
    if (!realpath(path, real))
        return; /* what is not there needs no grant */
    for (size_t i = 0; i < sandbox->num; i++)
        if (strcmp(sandbox->grants[i].path, real) == 0) {
            sandbox->grants[i].write |= write;
            return;
        }
    if (sandbox->num == sandbox->cap) {
        sandbox->cap = sandbox->cap ? 2 * sandbox->cap : 16;
        sandbox->grants = mem_realloc(sandbox->grants, sandbox->cap * sizeof(struct grant));
    }
    sandbox->grants[sandbox->num++] = (struct grant){mem_strdup(real), write};
}

/* The directory that a path stands in, as it is written; false where it has none. */
static bool path_parent(const char *path, char out[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    if (!slash || len >= PATH_MAX)
        return false;
    memcpy(out, path, len);
    out[len] = '\0';
    if (len == 0)
        memcpy(out, "/", 2);
    return true;
}

/* A relative path of a _FILE variable stands in the working directory. */
static void path_parent_or_here(const char *path, char out[PATH_MAX])
{
    if (!path_parent(path, out))
        memcpy(out, ".", 2);
}

/* Where the file is named, and where its links lead: `live/name.pem -> ../archive/name1.pem`. */
static void grant_file(struct sandbox *sandbox, const char *path, bool write)
{
    char parent[PATH_MAX], real[PATH_MAX];
    path_parent_or_here(path, parent);
    grant_add(sandbox, parent, write);
    if (realpath(path, real) && path_parent(real, parent))
        grant_add(sandbox, parent, write);
}

/* The program's own needs: resolving names, roots of CAs, what it reads of itself and its limits. */
static void grant_system(struct sandbox *sandbox)
{
    static const char *const readable[] = {"/etc",
                                           "/usr",
                                           "/lib",
                                           "/lib64",
                                           "/run/systemd/resolve",
                                           "/proc",
                                           "/sys/fs/cgroup",
                                           "/sys/devices/system/cpu",
                                           "/dev/urandom",
                                           "/nix/store",
                                           "/gnu/store"};
    for (size_t i = 0; i < sizeof readable / sizeof readable[0]; i++)
        grant_add(sandbox, readable[i], false);
    grant_file(sandbox, "/etc/resolv.conf", false);
    grant_file(sandbox, "/etc/ssl/certs/ca-certificates.crt", false);
    grant_add(sandbox, "/dev/null", true);
}

static void grant_listen(struct sandbox *sandbox, const struct config_listen *listen)
{
    if (listen->kind == CONFIG_LISTEN_UNIX)
        grant_file(sandbox, listen->path.ptr, true);
}

/* Of systemd: several are separated by colons. The control socket's other place is /run/portico. */
static void grant_runtime(struct sandbox *sandbox, const char *directories)
{
    struct slice rest = slice_str(directories);
    grant_add(sandbox, "/run/portico", true);
    while (rest.len) {
        struct slice part = slice_split(&rest, ':');
        char *path = mem_dup(part.ptr, part.len);
        grant_add(sandbox, path, true);
        mem_free(path);
    }
}

static void grant_values(struct sandbox *sandbox, const struct config *config)
{
    for (size_t i = 0; i < config_num_rows(); i++) {
        const struct config_value *value = &config->values[i];
        if (value->source == CONFIG_FROM_FILE && value->path.len)
            grant_file(sandbox, value->path.ptr, false);
        if (strcmp(config_row_at(i).name, "PORTICO_ENV_DIR") == 0 && value->text.len)
            grant_add(sandbox, value->text.ptr, false);
    }
}

/* The directory and those below it, and where links of files in them lead. */
static void grant_certs(struct sandbox *sandbox, const struct config *config)
{
    if (config->tls.cert_dir.len)
        grant_add(sandbox, config->tls.cert_dir.ptr, false);
    for (size_t i = 0; i < config->tls.num_pairs; i++) {
        grant_file(sandbox, config->tls.pairs[i].cert.path.ptr, false);
        grant_file(sandbox, config->tls.pairs[i].key.path.ptr, false);
    }
}

struct sandbox *sandbox_new(const struct config *config, const char *runtime_directory)
{
    struct sandbox *sandbox = MEM_NEW(struct sandbox);
    sandbox->config = config;
    bool exports = config->export_dir.len && !err_is(export_make_dir(config->export_dir.ptr));
    if (config->sandbox == CONFIG_SANDBOX_OFF)
        return sandbox;
    sandbox->storage_missing = err_is(dir_disk_make_path(config->storage.ptr));
    grant_add(sandbox, config->storage.ptr, true);
    if (exports) /* what is not there is told by the export, again and again */
        grant_add(sandbox, config->export_dir.ptr, true);
    grant_system(sandbox);
    grant_listen(sandbox, &config->listen.https);
    grant_listen(sandbox, &config->listen.http);
    grant_listen(sandbox, &config->listen.admin);
    grant_runtime(sandbox, runtime_directory);
    grant_values(sandbox, config);
    grant_certs(sandbox, config);
    return sandbox;
}

void sandbox_free(struct sandbox *sandbox)
{
    if (!sandbox)
        return;
    for (size_t i = 0; i < sandbox->num; i++)
        mem_free(sandbox->grants[i].path);
    mem_free(sandbox->grants);
    mem_free(sandbox);
}

size_t sandbox_num_grants(const struct sandbox *sandbox)
{
    return sandbox->num;
}

struct sandbox_grant sandbox_grant_at(const struct sandbox *sandbox, size_t i)
{
    return (struct sandbox_grant){sandbox->grants[i].path, sandbox->grants[i].write};
}

/* ---- the kernel ---- */

static const char *landlock_absence(int abi)
{
    switch (-abi) {
    case ENOSYS: return "this kernel has no Landlock";
    case EOPNOTSUPP: return "Landlock is switched off at boot (lsm=)";
    case EPERM: return "Landlock is forbidden here, as by an older container engine's filter";
    default: return "this kernel's Landlock is too old (ABI 2 is Linux 5.19)";
    }
}

static struct err grants_allow(const struct sandbox *sandbox, const struct landlock *landlock, int abi)
{
    struct err err = ERR_OK;
    for (size_t i = 0; i < sandbox->num && !err_is(err); i++) {
        int fd = open(sandbox->grants[i].path, O_PATH | O_CLOEXEC);
        if (fd < 0)
            continue; /* it has just gone, or is not for us */
        err = landlock_allow(landlock, abi, fd, sandbox->grants[i].write);
        close(fd);
    }
    return err;
}

static void sandbox_apply_landlock(struct sandbox *sandbox)
{
    struct landlock landlock;
    int abi = landlock_abi();
    if (abi < LANDLOCK_ABI_LEAST || sandbox->storage_missing) {
        snprintf(sandbox->landlock_why, sizeof sandbox->landlock_why, "%s",
                 abi < LANDLOCK_ABI_LEAST ? landlock_absence(abi) : "PORTICO_STORAGE is not there, nor can it be made");
        return;
    }
    struct err err = landlock_begin(&landlock, abi);
    if (!err_is(err))
        err = grants_allow(sandbox, &landlock, abi);
    if (!err_is(err))
        err = landlock_restrict(&landlock);
    landlock_end(&landlock);
    if (err_is(err))
        err_text(err, sandbox->landlock_why, sizeof sandbox->landlock_why);
    else
        sandbox->abi = abi;
}

static void sandbox_apply_seccomp(struct sandbox *sandbox)
{
    struct err err = seccomp_deny();
    sandbox->seccomp = !err_is(err);
    if (err_is(err))
        err_text(err, sandbox->seccomp_why, sizeof sandbox->seccomp_why);
}

void sandbox_apply(struct sandbox *sandbox)
{
    if (sandbox->config->sandbox == CONFIG_SANDBOX_OFF) {
        snprintf(sandbox->landlock_why, sizeof sandbox->landlock_why, "PORTICO_SANDBOX is off");
        snprintf(sandbox->seccomp_why, sizeof sandbox->seccomp_why, "PORTICO_SANDBOX is off");
        return;
    }
    sandbox_apply_landlock(sandbox);
    sandbox_apply_seccomp(sandbox);
}

void sandbox_log(const struct sandbox *sandbox, struct log_ring *log)
{
    char landlock[SANDBOX_WHY_BYTES + 8];
    if (sandbox->abi)
        snprintf(landlock, sizeof landlock, "abi %d", sandbox->abi);
    else
        snprintf(landlock, sizeof landlock, "off: %s", sandbox->landlock_why);
    char seccomp[SANDBOX_WHY_BYTES + 8];
    snprintf(seccomp, sizeof seccomp, "%s%s", sandbox->seccomp ? "on" : "off: ", sandbox->seccomp_why);
    LOG_INFO_EVENT(log, "sandbox", LOG_STR("landlock", landlock), LOG_STR("seccomp", seccomp));
}

const char *sandbox_offer(char *out, size_t size)
{
    int abi = landlock_abi();
    const char *seccomp = seccomp_available() ? "seccomp" : "no seccomp";
    if (abi >= LANDLOCK_ABI_LEAST)
        snprintf(out, size, "Landlock (ABI %d), %s", abi, seccomp);
    else
        snprintf(out, size, "%s; %s", landlock_absence(abi), seccomp);
    return out;
}

/* ---- a reload asks ---- */

static bool path_below(const char *path, const char *directory)
{
    size_t len = strlen(directory);
    return strncmp(path, directory, len) == 0 && (path[len] == '\0' || path[len] == '/' || directory[len - 1] == '/');
}

static bool grants_have(const struct sandbox *sandbox, const char *real, bool write)
{
    for (size_t i = 0; i < sandbox->num; i++)
        if (path_below(real, sandbox->grants[i].path) && (sandbox->grants[i].write || !write))
            return true;
    return false;
}

bool sandbox_covers(const struct sandbox *sandbox, const char *path, bool write)
{
    char parent[PATH_MAX], real[PATH_MAX];
    struct stat st;
    if (!sandbox->abi)
        return true;
    bool there = realpath(path, real) != NULL;
    if (there && !grants_have(sandbox, real, write))
        return false;
    if (there && stat(real, &st) == 0 && S_ISDIR(st.st_mode))
        return true;
    path_parent_or_here(path, parent);
    return realpath(parent, real) && grants_have(sandbox, real, write);
}

/* The path that a mistake is about, or NULL. */
static const char *mistake_path(const struct config_mistake *mistake)
{
    if (!mistake->value || slice_ends(slice_str(mistake->value), SLICE_LIT("..."))) /* cut */
        return NULL;
    if (slice_starts(slice_str(mistake->reason), SLICE_LIT("cannot be read")))
        return mistake->value;
    bool socket = slice_starts(slice_str(mistake->reason), SLICE_LIT("cannot be listened on")) &&
                  slice_starts(slice_str(mistake->value), SLICE_LIT("unix:"));
    return socket ? mistake->value + 5 : NULL;
}

void sandbox_explain(const struct sandbox *sandbox, struct config_mistakes *mistakes)
{
    for (size_t i = 0; i < mistakes->num; i++) {
        struct config_mistake *mistake = &mistakes->items[i];
        const char *path = mistake_path(mistake);
        if (!path || sandbox_covers(sandbox, path, path != mistake->value))
            continue;
        mem_free(mistake->reason);
        mistake->reason = mem_strdup("lies outside the directories that were granted at the start (PORTICO_SANDBOX): "
                                     "restart Portico, or move it into one of them");
    }
}
