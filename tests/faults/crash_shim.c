/* Counts what a process does to the files below one folder; ends the process at the k-th of it, or stops at each.
 *
 * It stands between the process and the kernel (seccomp), not between the program and the C library: safetensors renames
 * by a system call of its own, which no preloaded library sees. The k-th call is not carried out; of a write, in the other
 * mode, the first half of the bytes is. A process that stops before each call, and in the middle of each write, waits for a
 * byte on the journal: whoever watches sees the disk as a kill would leave it. Flushes are counted and left out: a process
 * that ends loses nothing that it wrote. The journal gets a line a call: name, path, second path. Writes through a mapping of
 * memory are no calls, and not seen.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

/* One sign an argument. f: open file, s: the same to flush, p and q: paths, a and b: the folders they begin in, o: flags,
 * of which only those count that create or cut, n: how much to write, d: from where, v: from which parts, @: to where in the
 * file, -: whatever. */
#define ROW(name, arguments) {SYS_##name, #name, arguments},
static const struct { long number; const char *name, *arguments; } rows[] = {
    ROW(write, "fdn") ROW(pwrite64, "fdn@") ROW(writev, "fvn") ROW(sendfile, "f--n") ROW(copy_file_range, "--f-n") ROW(splice, "--f-n") ROW(fsync, "s") ROW(fdatasync, "s")
    ROW(ftruncate, "f") ROW(truncate, "p") ROW(fallocate, "f") ROW(openat, "apo") ROW(renameat, "apbq")
    ROW(renameat2, "apbq") ROW(linkat, "apbq") ROW(symlinkat, "-ap") ROW(unlinkat, "ap") ROW(mkdirat, "ap")
    ROW(fchmod, "f") ROW(fchmodat, "ap")
#ifdef SYS_open /* an older machine's calls beside those that name a folder */
    ROW(open, "po") ROW(creat, "p") ROW(rename, "pq") ROW(link, "pq") ROW(symlink, "-p") ROW(unlink, "p")
    ROW(mkdir, "p") ROW(rmdir, "p") ROW(chmod, "p")
#endif
};
enum { ROWS = sizeof rows / sizeof *rows };
static char folder[PATH_MAX];
static long count, last;
static int halves, stops, journal = -1;

#if defined(__x86_64__)
#define MACHINE AUDIT_ARCH_X86_64
#define REGISTER(c, i) (c)->uc_mcontext.gregs[(const int[]){REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9, REG_RAX}[i]]
__asm__("crash_pass: mov %rdi,%rax; mov %rsi,%rdi; mov %rdx,%rsi; mov %rcx,%rdx; mov %r8,%r10; mov %r9,%r8;"
        "mov 8(%rsp),%r9; syscall; crash_passed: ret");
#elif defined(__aarch64__)
#define MACHINE AUDIT_ARCH_AARCH64
#define REGISTER(c, i) (c)->uc_mcontext.regs[(i) == 6 ? 0 : (i)]
__asm__("crash_pass: mov x8,x0; mov x0,x1; mov x1,x2; mov x2,x3; mov x3,x4; mov x4,x5; mov x5,x6; svc 0; crash_passed: ret");
#endif
extern long crash_pass(long, long, long, long, long, long, long) __attribute__((visibility("hidden")));
extern char crash_passed[] __attribute__((visibility("hidden")));

static int below(char *full, long at, const char *path) /* of an open file, path is NULL */
{
    char link[64];
    ssize_t n = 0;
    if (!path || path[0] != '/') {
        snprintf(link, sizeof link, (int)at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", (int)at);
        if ((n = readlink(link, full, PATH_MAX)) < 0) n = 0;
    }
    snprintf(full + n, PATH_MAX, "%s%s", n && path ? "/" : "", path ? path : "");
    size_t length = strlen(folder);
    return length && !strncmp(full, folder, length) && (full[length] == '/' || !full[length]);
}

static void tell(const char *name, const char *how, const char *one, const char *two)
{
    static __thread char line[4 * PATH_MAX];
    int n = snprintf(line, sizeof line, "%s%s\t%s\t%s\n", name, how, one, two);
    if (journal >= 0) crash_pass(SYS_write, journal, (long)line, n, 0, 0, 0);
    if (journal >= 0 && stops) crash_pass(SYS_read, journal, (long)line, 1, 0, 0, 0);
}

static void on_call(int signal, siginfo_t *info, void *context)
{
    static __thread char one[2 * PATH_MAX], two[2 * PATH_MAX];
    long a[6], at = AT_FDCWD, to = AT_FDCWD, which = 0, done = 0, half = 0;
    const char *path = NULL, *second = NULL, *sign;
    int opened = 0, writes = -1, flushes = 0, counts = 1, kept = errno;
    (void)signal;
    for (int i = 0; i < 6; i++) a[i] = REGISTER((ucontext_t *)context, i);
    while (rows[which].number != info->si_syscall) which++;
    for (int i = 0; (sign = &rows[which].arguments[i]) && *sign; i++) {
        if (*sign == 'f' || *sign == 's') at = a[i], opened = 1, flushes = *sign == 's';
        if (*sign == 'a') at = a[i];
        if (*sign == 'b') to = a[i];
        if (*sign == 'p') path = (const char *)a[i];
        if (*sign == 'q') second = (const char *)a[i];
        if (*sign == 'n') writes = i;
        if (*sign == 'o') counts = (a[i] & (O_CREAT | O_TRUNC)) != 0;
    }
    two[0] = 0;
    int ours = counts && (opened || path) && below(one, at, opened ? NULL : path);
    ours |= counts && second && below(two, to, second);
    if (ours) {
        long number = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
        tell(rows[which].name, "", one, two);
        if (number == last && !(writes >= 0 && halves)) _exit(9);
        if (writes >= 0 && a[writes] > 1 && (number == last || stops)) {
            long whole = a[writes];
            a[writes] = half = whole / 2;
            done = crash_pass(rows[which].number, a[0], a[1], a[2], a[3], a[4], a[5]);
            if (number == last) _exit(9);
            tell(rows[which].name, " half", one, two);
            a[writes] = whole - half;
            for (int i = 0; i < 6 && rows[which].arguments[i]; i++) {
                if (strchr("d@", rows[which].arguments[i])) a[i] += done;
                if (rows[which].arguments[i] == 'v') a[i] += half * (long)sizeof(struct iovec);
            }
        }
        if (number == last) _exit(9);
    }
    long answer = ours && flushes ? 0 : done;
    if (done >= 0 && !(ours && flushes)) {
        answer = crash_pass(rows[which].number, a[0], a[1], a[2], a[3], a[4], a[5]);
        if (half && answer >= 0) answer += done;
    }
    REGISTER((ucontext_t *)context, 6) = answer;
    errno = kept;
}

/* Begin to count; 0, or why this machine cannot. Once for a process, before it has threads; then only to count anew. */
int crash_arm(const char *watched, long at, int half, int stop, int log)
{
    static int stands;
    count = 0, last = at, halves = half, stops = stop, journal = log;
    snprintf(folder, sizeof folder, "%s", watched);
    if (stands) return 0;
    struct sock_filter filter[ROWS + 8];
    int n = 0;
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer));
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(uintptr_t)crash_passed, ROWS + 3, 0);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 0, ROWS + 1);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < ROWS; i++)
        filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)rows[i].number, ROWS - i, 0);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    struct sigaction action = {.sa_sigaction = on_call, .sa_flags = SA_SIGINFO | SA_NODEFER};
    struct sock_fprog program = {(unsigned short)n, filter};
    if (sigaction(SIGSYS, &action, NULL) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return errno;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0)) return errno;
    stands = 1;
    return 0;
}
