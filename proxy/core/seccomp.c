#include "core/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
enum { ARCHITECTURE_KNOWN = 1, FOREIGN_CALLS = 0x40000000 /* x32 */ };
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
enum { ARCHITECTURE_KNOWN = 1, FOREIGN_CALLS = 0x7fffffff };
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
enum { ARCHITECTURE_KNOWN = 0, FOREIGN_CALLS = 0x7fffffff };
#define ARCHITECTURE 0
#endif

/* LeakSanitizer attaches to its own threads when the process ends. */
#if defined(__SANITIZE_ADDRESS__)
#define LEAKS_ARE_LOOKED_FOR
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAKS_ARE_LOOKED_FOR
#endif
#endif

/* Numbers above 400 are the same everywhere, and newer than some headers. */
enum {
    CALL_IO_URING_SETUP = 425,
    CALL_OPEN_TREE = 428,
    CALL_MOVE_MOUNT = 429,
    CALL_FSOPEN = 430,
    CALL_FSCONFIG = 431,
    CALL_FSMOUNT = 432,
    CALL_FSPICK = 433,
    CALL_CLONE3 = 435,
    CALL_PIDFD_GETFD = 438,
    CALL_PROCESS_MADVISE = 440,
    CALL_MOUNT_SETATTR = 442
};

static const unsigned denied[] = {
    /* other programs; a hook's is run by a process that was made before (net/runner) */
    SYS_execve,
    SYS_execveat,
/* other processes */
#if !defined(LEAKS_ARE_LOOKED_FOR)
    SYS_ptrace,
#endif
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    CALL_PIDFD_GETFD,
    CALL_PROCESS_MADVISE,
    /* what is mounted, and where the root is */
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    CALL_OPEN_TREE,
    CALL_MOVE_MOUNT,
    CALL_FSOPEN,
    CALL_FSCONFIG,
    CALL_FSMOUNT,
    CALL_FSPICK,
    CALL_MOUNT_SETATTR,
    SYS_swapon,
    SYS_swapoff,
    SYS_quotactl,
    SYS_acct,
    /* round the permissions of directories */
    SYS_open_by_handle_at,
    /* namespaces */
    SYS_unshare,
    SYS_setns,
    /* the kernel itself */
    SYS_reboot,
    SYS_kexec_load,
#if defined(SYS_kexec_file_load)
    SYS_kexec_file_load,
#endif
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    CALL_IO_URING_SETUP,
    SYS_syslog,
    /* its keys */
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    /* the machine's time and name */
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_sethostname,
    SYS_setdomainname,
    /* what only old programs want */
    SYS_personality,
#if defined(__x86_64__)
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
    SYS_uselib,
    SYS_ustat,
    SYS_sysfs,
#endif
};

enum { NUM_DENIED = sizeof denied / sizeof denied[0], PROGRAM_MAX = NUM_DENIED + 32 };

#define NEW_NAMESPACES \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

_Static_assert(PROGRAM_MAX < 250, "a jump of the filter reaches 255 instructions");

struct program {
    struct sock_filter code[PROGRAM_MAX];
    unsigned short len;
};

static void emit(struct program *program, uint16_t code, uint32_t operand, uint8_t when_true, uint8_t when_false)
{
    program->code[program->len++] = (struct sock_filter){.code = code, .k = operand, .jt = when_true, .jf = when_false};
}

static void emit_load(struct program *program, size_t offset)
{
    emit(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void emit_answer(struct program *program, uint32_t answer)
{
    emit(program, BPF_RET | BPF_K, answer, 0, 0);
}

#define DENY (SECCOMP_RET_ERRNO | EPERM)

static void emit_architecture(struct program *program)
{
    emit_load(program, offsetof(struct seccomp_data, arch));
    emit(program, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
    emit_answer(program, DENY);
    emit_load(program, offsetof(struct seccomp_data, nr));
    emit(program, BPF_JMP | BPF_JGE | BPF_K, FOREIGN_CALLS, 0, 1);
    emit_answer(program, DENY);
}

static void emit_denied(struct program *program)
{
    for (size_t i = 0; i < NUM_DENIED; i++) /* to the answer behind the list */
        emit(program, BPF_JMP | BPF_JEQ | BPF_K, denied[i], (uint8_t)(NUM_DENIED - i), 0);
    emit(program, BPF_JMP | BPF_JA, 1, 0, 0);
    emit_answer(program, DENY);
}

/* clone without namespaces; clone3 hides its flags in memory: without it the C library takes clone. */
static void emit_clone(struct program *program)
{
    emit(program, BPF_JMP | BPF_JEQ | BPF_K, CALL_CLONE3, 0, 1);
    emit_answer(program, SECCOMP_RET_ERRNO | ENOSYS);
    emit(program, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4);
    emit_load(program,
              offsetof(struct seccomp_data, args[0])); /* the lower half: both architectures are little-endian */
    emit(program, BPF_JMP | BPF_JSET | BPF_K, NEW_NAMESPACES, 0, 1);
    emit_answer(program, DENY);
    emit_answer(program, SECCOMP_RET_ALLOW);
}

static void emit_socket(struct program *program)
{
    static const uint32_t families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK};
    emit(program, BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 6);
    emit_load(program, offsetof(struct seccomp_data, args[0]));
    for (uint8_t i = 0; i < 4; i++)
        emit(program, BPF_JMP | BPF_JEQ | BPF_K, families[i], (uint8_t)(4 - i), 0);
    emit_answer(program, DENY);
}

static void program_make(struct program *program)
{
    program->len = 0;
    emit_architecture(program);
    emit_denied(program);
    emit_clone(program);
    emit_socket(program);
    emit_answer(program, SECCOMP_RET_ALLOW);
}

bool seccomp_available(void)
{
    uint32_t action = SECCOMP_RET_ERRNO;
    return ARCHITECTURE_KNOWN && syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

/* Without SPEC_ALLOW, kernels before 5.16 slow every load and store of the process down (SSBD), which is meant for programs
 * that run other people's code. */
static long filter_install(const struct sock_fprog *filter)
{
    long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                          SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW, filter);
    if (result < 0 && errno == EINVAL)
        result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, filter);
    return result;
}

struct err seccomp_deny(void)
{
    struct program program;
    if (!ARCHITECTURE_KNOWN)
        return err_make(ERR_STATE, 0, "filter system calls of this architecture");
    program_make(&program);
    struct sock_fprog filter = {.len = program.len, .filter = program.code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_errno("give up new privileges");
    long result = filter_install(&filter);
    if (result < 0)
        return err_errno("filter system calls");
    return result ? err_make(ERR_STATE, 0, "filter the system calls of every thread") : ERR_OK;
}
