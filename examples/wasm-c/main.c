/* Asks for the user's e-mail address and fetches the URL it was given.
 * Build: clang --target=wasm32-wasi -O2 -I ../../sdk/c -o wasm-c.wasm main.c */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consentry.h"

/* Exit codes: 0 all well, 2 the user said no, 75 try again later. */
static int exit_code(const char *call, uint32_t err) {
    fprintf(stderr, "%s: error %u\n", call, err);
    if (err == CONSENTRY_EACCES) return 2;
    if (err == CONSENTRY_EAGAIN) return 75;
    return 1;
}

static int greet(void) {
    const char *reason = "to greet you by your address";
    uint32_t len = 0, size = 8; /* short on purpose: the host tells the length */
    char *buf = malloc(size);
    uint32_t err = consentry_request_user_email(reason, strlen(reason), buf, size, &len);
    if (err == CONSENTRY_ENOBUFS) {
        buf = realloc(buf, size = len);
        err = consentry_request_user_email(reason, strlen(reason), buf, size, &len);
    }
    if (err != CONSENTRY_OK) return exit_code("request_user_email", err);
    printf("hello %.*s\n", (int)len, buf);
    free(buf);
    return 0;
}

static int fetch(const char *url) {
    char request[2048], buf[4096];
    uint32_t handle, status, n;
    /* A URL holds no quotation marks or backslashes that JSON would mind. */
    if (strpbrk(url, "\"\\")) return exit_code("url", CONSENTRY_EINVAL);
    int len = snprintf(request, sizeof request, "{\"url\":\"%s\",\"reason\":\"to show you the page you named\"}", url);
    if (len < 0 || (size_t)len >= sizeof request) return exit_code("url", CONSENTRY_EINVAL);
    uint32_t err = consentry_http_fetch(request, (uint32_t)len, &handle);
    if (err != CONSENTRY_OK) return exit_code("http_fetch", err);
    consentry_http_status(handle, &status);
    printf("status %u\n", status);
    while ((err = consentry_read(handle, buf, sizeof buf, &n)) == CONSENTRY_OK && n > 0)
        fwrite(buf, 1, n, stdout);
    consentry_close(handle);
    return err == CONSENTRY_OK ? 0 : exit_code("read", err);
}

int main(int argc, char **argv) {
    int code = greet();
    for (int i = 1; i < argc && code == 0; i++) code = fetch(argv[i]);
    return code;
}
