/* seccomp: system calls that a proxy never makes are refused (EPERM) for the whole process.
 *
 * A list of what is denied, not of what is allowed: an update of the C library that uses a new call must not stop the
 * service. It takes from an intruder: other programs, other processes, the kernel's modules and keys, mounts and
 * namespaces, the clock, io_uring, and sockets other than of IP, unix and netlink (which names are resolved with). The
 * kernel keeps the answer for calls that are always allowed (5.11), so that these cost nothing. */
#ifndef CORE_SECCOMP_H
#define CORE_SECCOMP_H

#include "base/err.h"

/* Whether the kernel can; false in a kernel without it, on another architecture than x86-64 and aarch64, and where a
 * container forbids it. */
bool seccomp_available(void);

/* All threads, now and later; there is no way back. */
MUST_CHECK struct err seccomp_deny(void);

#endif
