// ask KIND JSON: asks for data, prints the answer or the error's number, and the
// content of a file if the answer has one. With a third argument it then waits
// for a line on its input and asks again.
#include <stdio.h>
#include <string.h>

#include "consentry.h"

static uint32_t show(uint32_t handle, char *out, size_t size) {
    size_t used = 0;
    for (;;) {
        uint32_t n = 0, err = consentry_read(handle, out + used, size - used - 1, &n);
        if (err || n == 0) {
            out[used] = 0;
            consentry_close(handle);
            return err;
        }
        used += n;
    }
}

static void ask(const char *kind, const char *json) {
    static char text[1 << 20];
    uint32_t handle = 0, err = consentry_request(kind, strlen(kind), json, strlen(json), &handle);
    if (!err) err = show(handle, text, sizeof text);
    if (err) {
        printf("errno %u\n", err);
        fflush(stdout);
        return;
    }
    printf("%s\n", text);
    char *file = strstr(text, "\"content\":\"");
    if (file) {
        file += strlen("\"content\":\"");
        err = consentry_file_open(file, strcspn(file, "\""), &handle);
        if (!err) err = show(handle, text, sizeof text);
        printf("file: %s, errno %u\n", err ? "" : text, err);
    }
    fflush(stdout);
}

int main(int argc, char **argv) {
    char line[16];
    ask(argv[1], argv[2]);
    if (argc > 3 && fgets(line, sizeof line, stdin)) ask(argv[1], argv[2]);
    return 0;
}
