/* Calls preview 1 directly and prints "name errno" for each case. fd 3 is a
 * writable mount, fd 4 a read-only one, fd 5 another writable one. The host
 * made, in 3: file.txt "0123456789", dir/, dir/inner.txt, out -> ../outside,
 * abs -> an absolute path, in -> file.txt, dirlink -> dir, loop -> loop, fifo,
 * sock; in 4: ro.txt. */
#include <stdio.h>
#include <string.h>
#include <wasi/api.h>

#define S(p) (p), strlen(p)
#define CASE(name, call) printf("%s %u\n", name, (unsigned)(call))
#define VALUE(name, v) printf("%s =%llu\n", name, (unsigned long long)(v))

__wasi_errno_t raw_path_open(int32_t, int32_t, int32_t, int32_t, int32_t, int64_t, int64_t, int32_t, int32_t)
    __attribute__((import_module("wasi_snapshot_preview1"), import_name("path_open")));
int32_t raw_fd_read(int32_t, int32_t, int32_t, int32_t)
    __attribute__((import_module("wasi_snapshot_preview1"), import_name("fd_read")));
int32_t raw_args_get(int32_t, int32_t)
    __attribute__((import_module("wasi_snapshot_preview1"), import_name("args_get")));
int32_t raw_random_get(int32_t, int32_t)
    __attribute__((import_module("wasi_snapshot_preview1"), import_name("random_get")));
int32_t raw_poll(int32_t, int32_t, int32_t, int32_t)
    __attribute__((import_module("wasi_snapshot_preview1"), import_name("poll_oneoff")));
int32_t raw_proc_raise(int32_t)
    __attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_raise")));

#define R __WASI_RIGHTS_FD_READ
#define W __WASI_RIGHTS_FD_WRITE
#define ALL (R | W | __WASI_RIGHTS_FD_SEEK | __WASI_RIGHTS_FD_TELL | __WASI_RIGHTS_FD_FILESTAT_GET | \
             __WASI_RIGHTS_FD_FILESTAT_SET_SIZE | __WASI_RIGHTS_FD_FILESTAT_SET_TIMES | \
             __WASI_RIGHTS_FD_FDSTAT_SET_FLAGS | __WASI_RIGHTS_FD_ALLOCATE | __WASI_RIGHTS_FD_ADVISE)
#define DIRALL (~(uint64_t)W)
#define FOLLOW __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW

static __wasi_fd_t fd;
// What the first mount lets its files have: some runtimes refuse to be asked
// for more, ours leaves it out.
static uint64_t most = ~0ull;
static __wasi_errno_t open_(int dir, int look, const char *p, int o, uint64_t rights, int flags) {
    fd = 99;
    return __wasi_path_open(dir, look, p, o, rights & most, most, flags, &fd);
}
static __wasi_errno_t open_close(int dir, int look, const char *p, int o, uint64_t rights) {
    __wasi_errno_t e = open_(dir, look, p, o, rights, 0);
    if (e == 0) __wasi_fd_close(fd);
    return e;
}

static void paths(void) {
    __wasi_filestat_t st;
    char buf[64];
    __wasi_size_t n;
    CASE("open", open_close(3, 0, "file.txt", 0, R));
    CASE("open missing", open_close(3, 0, "missing", 0, R));
    CASE("open empty path", open_close(3, 0, "", 0, R));
    CASE("open absolute", open_close(3, 0, "/etc/passwd", 0, R));
    CASE("open dotdot", open_close(3, 0, "../outside/secret", 0, R));
    CASE("open dir/../..", open_close(3, 0, "dir/../../outside/secret", 0, R));
    CASE("open link out", open_close(3, FOLLOW, "out/secret", 0, R));
    CASE("open link out itself", open_close(3, FOLLOW, "out", 0, R));
    CASE("open link absolute", open_close(3, FOLLOW, "abs", 0, R));
    CASE("create through link out", open_close(3, FOLLOW, "out/new", __WASI_OFLAGS_CREAT, R | W));
    CASE("open link in", open_close(3, FOLLOW, "in", 0, R));
    CASE("open link nofollow", open_close(3, 0, "in", 0, R));
    CASE("open loop", open_close(3, FOLLOW, "loop", 0, R));
    CASE("open fifo", open_close(3, 0, "fifo", 0, R));
    CASE("open socket", open_close(3, 0, "sock", 0, R));
    CASE("open file as dir", open_close(3, 0, "file.txt", __WASI_OFLAGS_DIRECTORY, R));
    CASE("open file with slash", open_close(3, 0, "file.txt/", 0, R));
    CASE("open below file", open_close(3, 0, "file.txt/x", 0, R));
    CASE("open dir for writing", open_close(3, 0, "dir", 0, R | W));
    CASE("open dir", open_close(3, 0, "dir", __WASI_OFLAGS_DIRECTORY, DIRALL));
    CASE("create exclusive existing", open_close(3, 0, "file.txt", __WASI_OFLAGS_CREAT | __WASI_OFLAGS_EXCL, R | W));
    CASE("create and directory", open_close(3, 0, "x", __WASI_OFLAGS_CREAT | __WASI_OFLAGS_DIRECTORY, R));
    CASE("open on bad fd", open_close(77, 0, "file.txt", 0, R));
    CASE("open on a stream", open_close(1, 0, "file.txt", 0, R));
    CASE("ro open", open_close(4, 0, "ro.txt", 0, R));
    CASE("ro open for writing", open_close(4, 0, "ro.txt", 0, R | W));
    CASE("ro create", open_close(4, 0, "new", __WASI_OFLAGS_CREAT, R | W));
    CASE("ro truncate", open_close(4, 0, "ro.txt", __WASI_OFLAGS_TRUNC, R));
    CASE("ro mkdir", __wasi_path_create_directory(4, "d"));
    CASE("ro unlink", __wasi_path_unlink_file(4, "ro.txt"));
    CASE("ro rename away", __wasi_path_rename(4, "ro.txt", 3, "stolen"));
    CASE("ro rename onto", __wasi_path_rename(3, "file.txt", 4, "ro.txt"));
    CASE("ro link away", __wasi_path_link(4, 0, "ro.txt", 3, "stolen"));
    CASE("ro symlink", __wasi_path_symlink("ro.txt", 4, "l"));
    CASE("ro times", __wasi_path_filestat_set_times(4, 0, "ro.txt", 1, 1, __WASI_FSTFLAGS_MTIM));
    CASE("mkdir", __wasi_path_create_directory(3, "made"));
    CASE("mkdir existing", __wasi_path_create_directory(3, "made"));
    CASE("mkdir through link out", __wasi_path_create_directory(3, "out/made"));
    CASE("rmdir file", __wasi_path_remove_directory(3, "file.txt"));
    CASE("rmdir full", __wasi_path_remove_directory(3, "dir"));
    CASE("rmdir dot", __wasi_path_remove_directory(3, "dir/."));
    CASE("rmdir through link out", __wasi_path_remove_directory(3, "out/empty"));
    CASE("rmdir", __wasi_path_remove_directory(3, "made"));
    CASE("unlink dir", __wasi_path_unlink_file(3, "dir"));
    CASE("unlink missing", __wasi_path_unlink_file(3, "missing"));
    CASE("unlink through link out", __wasi_path_unlink_file(3, "out/secret"));
    CASE("stat", __wasi_path_filestat_get(3, 0, "file.txt", &st));
    VALUE("stat size", st.size);
    VALUE("stat type", st.filetype);
    CASE("stat link", __wasi_path_filestat_get(3, 0, "out", &st));
    VALUE("stat link type", st.filetype);
    CASE("stat link out followed", __wasi_path_filestat_get(3, FOLLOW, "out", &st));
    CASE("readlink", __wasi_path_readlink(3, "in", (uint8_t *)buf, sizeof buf, &n));
    VALUE("readlink length", n);
    CASE("readlink short", __wasi_path_readlink(3, "in", (uint8_t *)buf, 3, &n));
    VALUE("readlink short length", n);
    CASE("readlink file", __wasi_path_readlink(3, "file.txt", (uint8_t *)buf, sizeof buf, &n));
    CASE("symlink inside", __wasi_path_symlink("file.txt", 3, "l1"));
    CASE("symlink up inside", __wasi_path_symlink("../file.txt", 3, "dir/l2"));
    CASE("symlink absolute", __wasi_path_symlink("/etc/passwd", 3, "l3"));
    CASE("symlink out", __wasi_path_symlink("../outside", 3, "l4"));
    CASE("symlink out from dir", __wasi_path_symlink("../../outside", 3, "dir/l5"));
    CASE("symlink by way of dirlink", __wasi_path_symlink("x/../..", 3, "dirlink/l6"));
    CASE("symlink existing", __wasi_path_symlink("x", 3, "l1"));
    CASE("symlink empty", __wasi_path_symlink("", 3, "l7"));
    CASE("link", __wasi_path_link(3, 0, "file.txt", 3, "hard"));
    CASE("link existing", __wasi_path_link(3, 0, "file.txt", 3, "hard"));
    CASE("link out", __wasi_path_link(3, 0, "../outside/secret", 3, "h2"));
    CASE("link from link out", __wasi_path_link(3, 0, "out/secret", 3, "h3"));
    CASE("link between mounts", __wasi_path_link(3, 0, "file.txt", 5, "across"));
    CASE("rename", __wasi_path_rename(3, "hard", 3, "hard2"));
    CASE("rename missing", __wasi_path_rename(3, "missing", 3, "x"));
    CASE("rename out", __wasi_path_rename(3, "hard2", 3, "../outside/stolen"));
    CASE("rename through link out", __wasi_path_rename(3, "hard2", 3, "out/stolen"));
    CASE("rename from link out", __wasi_path_rename(3, "out/secret", 3, "stolen"));
    CASE("rename between, dots", __wasi_path_rename(3, "hard2", 5, ".."));
    CASE("rename between, link out", __wasi_path_rename(3, "out/secret", 5, "stolen"));
    CASE("rename between", __wasi_path_rename(3, "hard2", 5, "moved"));
    CASE("times of link out", __wasi_path_filestat_set_times(3, 0, "out", 7000000000, 7000000000, __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_MTIM));
    CASE("times followed out", __wasi_path_filestat_set_times(3, FOLLOW, "out/secret", 7, 7, __WASI_FSTFLAGS_MTIM));
    CASE("times both", __wasi_path_filestat_set_times(3, 0, "file.txt", 1, 1, __WASI_FSTFLAGS_MTIM | __WASI_FSTFLAGS_MTIM_NOW));
    CASE("times", __wasi_path_filestat_set_times(3, 0, "file.txt", 1000000007, 2000000009, __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_MTIM));
    __wasi_path_filestat_get(3, 0, "file.txt", &st);
    VALUE("times mtim", st.mtim);
    VALUE("times atim", st.atim);
    if (open_(3, 0, "dir", __WASI_OFLAGS_DIRECTORY, DIRALL, 0) == 0) {
        __wasi_fd_t sub = fd;
        CASE("sub open", open_close(sub, 0, "inner.txt", 0, R));
        CASE("sub dotdot", open_close(sub, 0, "../file.txt", 0, R));
        CASE("sub symlink up", __wasi_path_symlink("../file.txt", sub, "l8"));
        CASE("sub symlink out", __wasi_path_symlink("../../outside", sub, "l9"));
        CASE("sub rights taken", __wasi_fd_fdstat_set_rights(sub, __WASI_RIGHTS_FD_READDIR, 0));
        CASE("sub no right to open", open_close(sub, 0, "inner.txt", 0, R));
        CASE("sub rights back", __wasi_fd_fdstat_set_rights(sub, __WASI_RIGHTS_PATH_OPEN, 0));
        __wasi_fd_close(sub);
    }
}

static void files(void) {
    char buf[16] = "ABCDEFGHIJ";
    __wasi_ciovec_t out = {(uint8_t *)buf, 4};
    __wasi_iovec_t in = {(uint8_t *)buf, 4};
    __wasi_size_t n;
    __wasi_filesize_t pos;
    __wasi_filestat_t st;
    __wasi_fdstat_t fs;
    CASE("create", open_(3, 0, "new.txt", __WASI_OFLAGS_CREAT | __WASI_OFLAGS_EXCL, ALL, 0));
    CASE("write", __wasi_fd_write(fd, &out, 1, &n));
    VALUE("write n", n);
    CASE("tell", __wasi_fd_tell(fd, &pos));
    VALUE("tell pos", pos);
    CASE("seek", __wasi_fd_seek(fd, -2, __WASI_WHENCE_CUR, &pos));
    VALUE("seek pos", pos);
    CASE("seek before start", __wasi_fd_seek(fd, -10, __WASI_WHENCE_SET, &pos));
    CASE("seek whence", __wasi_fd_seek(fd, 0, 9, &pos));
    CASE("pwrite", __wasi_fd_pwrite(fd, &out, 1, 8, &n));
    CASE("pwrite negative", __wasi_fd_pwrite(fd, &out, 1, -1, &n));
    CASE("pread", __wasi_fd_pread(fd, &in, 1, 8, &n));
    VALUE("pread n", n);
    CASE("read", __wasi_fd_read(fd, &in, 1, &n));
    VALUE("read n", n);
    CASE("set size", __wasi_fd_filestat_set_size(fd, 3));
    CASE("fd stat", __wasi_fd_filestat_get(fd, &st));
    VALUE("fd stat size", st.size);
    CASE("allocate", __wasi_fd_allocate(fd, 0, 20));
    __wasi_fd_filestat_get(fd, &st);
    VALUE("allocate size", st.size);
    CASE("allocate nothing", __wasi_fd_allocate(fd, 0, 0));
    CASE("advise", __wasi_fd_advise(fd, 0, 0, __WASI_ADVICE_WILLNEED));
    CASE("advise unknown", __wasi_fd_advise(fd, 0, 0, 77));
    CASE("flags append", __wasi_fd_fdstat_set_flags(fd, __WASI_FDFLAGS_APPEND));
    __wasi_fd_seek(fd, 0, __WASI_WHENCE_SET, &pos);
    CASE("append", __wasi_fd_write(fd, &out, 1, &n));
    __wasi_fd_filestat_get(fd, &st);
    VALUE("append size", st.size);
    CASE("flags sync", __wasi_fd_fdstat_set_flags(fd, __WASI_FDFLAGS_SYNC));
    CASE("fdstat", __wasi_fd_fdstat_get(fd, &fs));
    VALUE("fdstat type", fs.fs_filetype);
    CASE("sync", __wasi_fd_sync(fd));
    CASE("datasync", __wasi_fd_datasync(fd));
    CASE("fd times", __wasi_fd_filestat_set_times(fd, 5000000005, 6000000006, __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_MTIM));
    __wasi_fd_filestat_get(fd, &st);
    VALUE("fd times mtim", st.mtim);
    CASE("readdir of file", __wasi_fd_readdir(fd, (uint8_t *)buf, sizeof buf, 0, &n));
    CASE("prestat of file", __wasi_fd_prestat_get(fd, (__wasi_prestat_t *)buf));
    CASE("accept", __wasi_sock_accept(fd, 0, &n));
    CASE("shutdown", __wasi_sock_shutdown(fd, 1));
    __wasi_fd_t other = fd;
    open_(3, 0, "file.txt", 0, R, 0);
    CASE("write without right", __wasi_fd_write(fd, &out, 1, &n));
    CASE("seek without right", __wasi_fd_seek(fd, 0, __WASI_WHENCE_SET, &pos));
    CASE("renumber", __wasi_fd_renumber(fd, other));
    CASE("renumbered is gone", __wasi_fd_close(fd));
    CASE("renumber from bad", __wasi_fd_renumber(99, other));
    CASE("close", __wasi_fd_close(other));
    CASE("close twice", __wasi_fd_close(other));
    CASE("read dir", __wasi_fd_read(3, &in, 1, &n));
    CASE("write to stdin", __wasi_fd_write(0, &out, 1, &n));
    CASE("read from stdout", __wasi_fd_read(1, &in, 1, &n));
    CASE("seek stdout", __wasi_fd_seek(1, 0, __WASI_WHENCE_CUR, &pos));
    CASE("pread stdin", __wasi_fd_pread(0, &in, 1, 0, &n));
    CASE("stat stdout", __wasi_fd_filestat_get(1, &st));
    VALUE("stat stdout ino", st.ino);
    CASE("write closed", __wasi_fd_write(99, &out, 1, &n));
}

static void pointers(void) {
    const int32_t bad = -16, end = __builtin_wasm_memory_size(0) * 65536 - 2;
    __wasi_iovec_t huge = {(uint8_t *)16, 0xffffffffu}, odd;
    __wasi_size_t n;
    CASE("bad path pointer", raw_path_open(3, 0, bad, 8, 0, R, 0, 0, 64));
    CASE("bad path length", raw_path_open(3, 0, 16, 0x7fffffff, 0, R, 0, 0, 64));
    CASE("bad result pointer", raw_path_open(3, 0, (int32_t) "file.txt", 8, 0, R, 0, 0, end));
    CASE("bad iovec pointer", raw_fd_read(0, bad, 1, (int32_t)&n));
    CASE("bad iovec count", raw_fd_read(0, 16, 0x7fffffff, (int32_t)&n));
    CASE("bad iovec length", raw_fd_read(0, (int32_t)&huge, 1, (int32_t)&n));
    CASE("bad args pointer", raw_args_get(bad, bad));
    CASE("bad random", raw_random_get(16, -1));
    CASE("bad poll", raw_poll(bad, 16, 1, 16));
    CASE("poll too many", raw_poll(16, 16, 0x05555556, 16));
    CASE("random unaligned", raw_random_get((int32_t)&odd + 1, 3));
    CASE("raise", raw_proc_raise(15));
}

static void clocks(void) {
    __wasi_timestamp_t t, u;
    __wasi_subscription_t sub[2];
    __wasi_event_t ev[2];
    __wasi_size_t n;
    CASE("clock", __wasi_clock_time_get(__WASI_CLOCKID_REALTIME, 1, &t));
    VALUE("clock is real", t > 1700000000000000000ull);
    CASE("clock unknown", __wasi_clock_time_get(9, 1, &t));
    CASE("resolution", __wasi_clock_res_get(__WASI_CLOCKID_MONOTONIC, &t));
    CASE("resolution unknown", __wasi_clock_res_get(9, &t));
    CASE("poll nothing", __wasi_poll_oneoff(sub, ev, 0, &n));
    memset(sub, 0, sizeof sub);
    sub[0].userdata = 11;
    sub[0].u.tag = __WASI_EVENTTYPE_CLOCK;
    sub[0].u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
    sub[0].u.u.clock.timeout = 20000000;
    __wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &t);
    CASE("poll clock", __wasi_poll_oneoff(sub, ev, 1, &n));
    __wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &u);
    VALUE("poll clock waited", u - t >= 20000000);
    VALUE("poll clock userdata", ev[0].userdata);
    sub[0].u.u.clock.flags = __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME;
    sub[0].u.u.clock.timeout = t;
    CASE("poll clock passed", __wasi_poll_oneoff(sub, ev, 1, &n));
    sub[1].userdata = 12;
    sub[1].u.tag = __WASI_EVENTTYPE_FD_READ;
    sub[1].u.u.fd_read.file_descriptor = 99;
    CASE("poll bad fd", __wasi_poll_oneoff(sub + 1, ev, 1, &n));
    VALUE("poll bad fd event", ev[0].error);
    sub[1].u.u.fd_read.file_descriptor = 0;
    CASE("poll stdin", __wasi_poll_oneoff(sub + 1, ev, 1, &n));
    VALUE("poll stdin event", ev[0].error);
    VALUE("poll stdin userdata", ev[0].userdata);
    sub[0].u.tag = 9;
    CASE("poll unknown", __wasi_poll_oneoff(sub, ev, 1, &n));
}

static void listing(void) {
    char buf[4096], small[30];
    __wasi_size_t n, total = 0, rounds = 0;
    __wasi_dircookie_t cookie = 0;
    __wasi_prestat_t pre;
    CASE("readdir", __wasi_fd_readdir(5, (uint8_t *)buf, sizeof buf, 0, &n));
    VALUE("readdir bytes", n);
    for (;;) { /* one entry at a time, through its cookie */
        if (__wasi_fd_readdir(5, (uint8_t *)small, sizeof small, cookie, &n) || n < sizeof(__wasi_dirent_t)) break;
        cookie = ((__wasi_dirent_t *)small)->d_next;
        if (++rounds > 50) break;
    }
    VALUE("readdir entries", rounds);
    CASE("readdir far cookie", __wasi_fd_readdir(5, (uint8_t *)buf, sizeof buf, 1ull << 63, &n));
    VALUE("readdir far bytes", n);
    CASE("prestat", __wasi_fd_prestat_get(3, &pre));
    VALUE("prestat length", pre.u.dir.pr_name_len);
    CASE("prestat name short", __wasi_fd_prestat_dir_name(3, (uint8_t *)buf, 2));
    (void)total;
}

int main(void) {
    __wasi_fdstat_t st;
    if (__wasi_fd_fdstat_get(3, &st) == 0 && st.fs_rights_inheriting) most = st.fs_rights_inheriting;
    setvbuf(stdout, 0, _IOLBF, 0);
    paths();
    files();
    pointers();
    clocks();
    listing();
    return 7;
}
