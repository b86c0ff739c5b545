// Measures a module's questions for data: TIMES calls that the run retains, and
// as many that go through the agent. Prints nanoseconds for one of each.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "consentry.h"

static const char retained[] = "{\"fields\":[\"email\"],\"purpose\":\"to measure\",\"retain\":\"run\"}";
static const char asked[] = "{\"fields\":[\"email\"],\"purpose\":\"to measure\"}";

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static double each(const char *json, int times) {
    double began = now();
    for (int i = 0; i < times; i++) {
        char text[256];
        uint32_t handle, n = 0;
        if (consentry_request("identity", 8, json, strlen(json), &handle) || consentry_read(handle, text, sizeof text, &n) || !n || consentry_close(handle)) exit(1);
    }
    return (now() - began) / times;
}

static double email(int times) {
    double began = now();
    for (int i = 0; i < times; i++) {
        char text[256];
        uint32_t n;
        if (consentry_request_user_email("to measure", 10, text, sizeof text, &n)) exit(1);
    }
    return (now() - began) / times;
}

int main(int argc, char **argv) {
    int times = argc > 1 ? atoi(argv[1]) : 10000;
    email(100), each(retained, 100), each(asked, 100);
    printf("{\"email\":%.0f,\"retained\":%.0f,\"asked\":%.0f}\n", email(times), each(retained, times), each(asked, times));
    return 0;
}
