/* What a hostile module tries, rows 48 to 50 of the threat table: a line of
 * JSON for each attempt, as the probe program for images prints. fd 3 is a
 * folder to write, in which the host put "out", a link to a folder outside with
 * a file "secret", and "abs", an absolute link to that file. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <wasi/api.h>
#include "consentry.h"

#define S(p) (p), strlen(p)
#define BAD ((void *)0xfffffff0u)
#define LONG 0xffffffffu

static const char *probe;
static void said(const char *try, unsigned errno_) {
    printf("{\"probe\":\"%s\",\"try\":\"%s\",\"result\":\"%u\"}\n", probe, try, errno_);
    fflush(stdout);
}

static unsigned opened(int look, const char *path, int flags, uint64_t rights) {
    __wasi_fd_t fd;
    unsigned e = __wasi_path_open(3, look, path, flags, rights, 0, 0, &fd);
    if (e == 0) __wasi_fd_close(fd);
    return e;
}

static void links(void) {
    const int follow = __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW;
    const uint64_t read = __WASI_RIGHTS_FD_READ, write = __WASI_RIGHTS_FD_WRITE;
    __wasi_filestat_t st;
    said("make link out", __wasi_path_symlink("../outside", 3, "mine"));
    said("make absolute link", __wasi_path_symlink("/etc/passwd", 3, "mine2"));
    said("make link out by a folder", __wasi_path_symlink("../../outside", 3, "dir/mine"));
    said("read through link", opened(follow, "out/secret", 0, read));
    said("read through absolute link", opened(follow, "abs", 0, read));
    said("create through link", opened(follow, "out/new", __WASI_OFLAGS_CREAT, read | write));
    said("truncate through link", opened(follow, "out/secret", __WASI_OFLAGS_TRUNC, write));
    said("dots", opened(follow, "../outside/secret", 0, read));
    said("dots behind a folder", opened(follow, "dir/../../outside/secret", 0, read));
    said("absolute", opened(follow, "/etc/passwd", 0, read));
    said("stat through link", __wasi_path_filestat_get(3, follow, "out/secret", &st));
    said("unlink through link", __wasi_path_unlink_file(3, "out/secret"));
    said("rename onto outside", __wasi_path_rename(3, "file", 3, "out/file"));
    said("rename from outside", __wasi_path_rename(3, "out/secret", 3, "file2"));
    said("link from outside", __wasi_path_link(3, follow, "out/secret", 3, "hard"));
    said("mkdir outside", __wasi_path_create_directory(3, "out/made"));
}

__attribute__((noinline)) static int deep(volatile int n) { volatile char b[64]; b[0] = n; return deep(n + 1) + b[0]; }

#define RAW(name, params) uint32_t raw_##name params __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))
RAW(args_get, (void *, void *));
RAW(args_sizes_get, (void *, void *));
RAW(environ_get, (void *, void *));
RAW(environ_sizes_get, (void *, void *));
RAW(clock_res_get, (int, void *));
RAW(clock_time_get, (int, uint64_t, void *));
RAW(fd_fdstat_get, (int, void *));
RAW(fd_filestat_get, (int, void *));
RAW(fd_pread, (int, void *, uint32_t, uint64_t, void *));
RAW(fd_prestat_get, (int, void *));
RAW(fd_prestat_dir_name, (int, void *, uint32_t));
RAW(fd_pwrite, (int, void *, uint32_t, uint64_t, void *));
RAW(fd_read, (int, void *, uint32_t, void *));
RAW(fd_readdir, (int, void *, uint32_t, uint64_t, void *));
RAW(fd_write, (int, void *, uint32_t, void *));
RAW(path_create_directory, (int, void *, uint32_t));
RAW(path_filestat_get, (int, int, void *, uint32_t, void *));
RAW(path_link, (int, int, void *, uint32_t, int, void *, uint32_t));
RAW(path_open, (int, int, void *, uint32_t, int, uint64_t, uint64_t, int, void *));
RAW(path_readlink, (int, void *, uint32_t, void *, uint32_t, void *));
RAW(path_remove_directory, (int, void *, uint32_t));
RAW(path_rename, (int, void *, uint32_t, int, void *, uint32_t));
RAW(path_symlink, (void *, uint32_t, int, void *, uint32_t));
RAW(path_unlink_file, (int, void *, uint32_t));
RAW(poll_oneoff, (void *, void *, uint32_t, void *));
RAW(random_get, (void *, uint32_t));

static void pointers(void) {
    char buf[64];
    uint32_t n;
    said("args_get", raw_args_get(BAD, BAD));
    said("args_sizes_get", raw_args_sizes_get(BAD, BAD));
    said("environ_get", raw_environ_get(BAD, (void *)(LONG - 1)));
    said("environ_sizes_get", raw_environ_sizes_get(BAD, BAD));
    said("clock_res_get", raw_clock_res_get(0, BAD));
    said("clock_time_get", raw_clock_time_get(0, 0, BAD));
    said("fd_fdstat_get", raw_fd_fdstat_get(1, BAD));
    said("fd_filestat_get", raw_fd_filestat_get(3, BAD));
    said("fd_prestat_get", raw_fd_prestat_get(3, BAD));
    said("fd_prestat_dir_name", raw_fd_prestat_dir_name(3, BAD, 64));
    said("fd_read", raw_fd_read(0, BAD, 1, &n));
    said("fd_read of too many", raw_fd_read(0, buf, LONG, &n));
    said("fd_write", raw_fd_write(1, BAD, 1, &n));
    said("fd_readdir", raw_fd_readdir(3, BAD, 4096, 0, &n));
    said("path_create_directory", raw_path_create_directory(3, BAD, 100));
    said("path_filestat_get", raw_path_filestat_get(3, 0, "file", 4, BAD));
    said("path_link", raw_path_link(3, 0, BAD, 100, 3, "x", 1));
    said("path_open", raw_path_open(3, 0, BAD, 100, 0, 2, 2, 0, &n));
    said("path_open for nobody", raw_path_open(3, 0, "file", 4, 0, 2, 2, 0, BAD));
    said("path_readlink", raw_path_readlink(3, "out", 3, BAD, 64, &n));
    said("path_remove_directory", raw_path_remove_directory(3, BAD, 100));
    said("path_rename", raw_path_rename(3, "file", 4, 3, BAD, 100));
    said("path_symlink", raw_path_symlink(BAD, 100, 3, "x", 1));
    said("path_unlink_file", raw_path_unlink_file(3, BAD, 100));
    said("poll_oneoff", raw_poll_oneoff(BAD, BAD, 4, &n));
    said("random_get", raw_random_get(BAD, 4096));
    said("random_get of all", raw_random_get(buf, LONG));
    said("email reason", consentry_request_user_email(BAD, 20, buf, sizeof buf, &n));
    said("email buffer", consentry_request_user_email("why", 3, BAD, LONG, &n));
    said("email length", consentry_request_user_email("why", 3, buf, sizeof buf, BAD));
    said("request", consentry_request(BAD, 8, BAD, 8, &n));
    said("http_fetch", consentry_http_fetch(BAD, 100, &n));
    said("http_fetch for nobody", consentry_http_fetch(S("{\"url\":\"http://one.test/\"}"), BAD));
}

int main(int argc, char **argv) {
    probe = argv[1];
    if (!strcmp(probe, "links")) links();
    if (!strcmp(probe, "pointers")) pointers();
    if (!strcmp(probe, "recursion")) return deep(1);
    if (!strcmp(probe, "loop")) for (;;) __asm__ volatile("");
    if (!strcmp(probe, "growth")) {
        uint32_t pages = __builtin_wasm_memory_size(0);
        while (__builtin_wasm_memory_grow(0, 16) != (size_t)-1) pages += 16;
        said("pages beyond 64 MiB", pages > 1024);
    }
    return 0;
}
