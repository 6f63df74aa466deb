/* sandbox: what this process gives up at its start, as far as the kernel can enforce it: files beyond those that the
 * configuration needs (Landlock), and system calls that a proxy never makes (seccomp). Best effort: where the kernel has
 * none of it, Portico serves all the same, and says so.
 *
 * Directories are granted, never files: a file that is replaced by a rename, or a volume whose `..data` link is swapped,
 * stays within reach. What a reload names beyond the granted directories cannot be read any more; sandbox_covers tells.
 * Owns its list of directories. Made before any other thread, on the thread that makes them all: they inherit it. */
#ifndef CORE_SANDBOX_H
#define CORE_SANDBOX_H

#include "base/log.h"
#include "config/config.h"

struct sandbox;

/* The grants of a configuration. STORAGE and EXPORT_DIR are made where they are not there. Applies nothing. Never fails: what cannot be
 * had shows in the report. runtime_directory: RUNTIME_DIRECTORY, or NULL. */
struct sandbox *sandbox_new(const struct config *config, const char *runtime_directory);
void sandbox_free(struct sandbox *sandbox);

/* Applies it, for ever; nothing where SANDBOX is off. */
void sandbox_apply(struct sandbox *sandbox);
/* Event `sandbox`: what holds, and why the rest does not. */
void sandbox_log(const struct sandbox *sandbox, struct log_ring *log);

/* Whether a file or directory can still be reached: true as well where Landlock does not hold. Both the directory that
 * the path names and the one that its links lead to count. `write`: to make files in. */
bool sandbox_covers(const struct sandbox *sandbox, const char *path, bool write);

/* A mistake of a reload that is one only because its path lies beyond gets that as its reason. */
void sandbox_explain(const struct sandbox *sandbox, struct config_mistakes *mistakes);

/* For the tests of the policy. */
struct sandbox_grant {
    const char *path; /* real: without links */
    bool write;
};

size_t sandbox_num_grants(const struct sandbox *sandbox);
struct sandbox_grant sandbox_grant_at(const struct sandbox *sandbox, size_t i);

/* What the kernel offers, for `portico check`: "Landlock (ABI 4) and seccomp". Returns out. */
const char *sandbox_offer(char *out, size_t size);

#endif
