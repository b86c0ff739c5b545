/* consentry.h: the host functions of module "consentry", for C and C++ built
 * with --target=wasm32-wasi. sdk/README.md describes them.
 *
 * Every function returns 0 or an error number of WASI preview 1. A call may
 * wait while the user decides. CONSENTRY_EAGAIN means that there was no answer
 * yet: call again later. */
#ifndef CONSENTRY_H
#define CONSENTRY_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CONSENTRY_OK 0u
#define CONSENTRY_EACCES 2u        /* the user said no */
#define CONSENTRY_EAGAIN 6u        /* no answer yet, or too many questions */
#define CONSENTRY_EBADF 8u         /* no such handle */
#define CONSENTRY_EFAULT 21u       /* a pointer lies outside the memory */
#define CONSENTRY_EFBIG 22u        /* more than the host carries */
#define CONSENTRY_EHOSTUNREACH 23u /* allowed, but the host does not answer */
#define CONSENTRY_EINVAL 28u
#define CONSENTRY_EIO 29u
#define CONSENTRY_ELOOP 32u        /* too many redirects */
#define CONSENTRY_EMFILE 33u       /* too many open handles */
#define CONSENTRY_ENOBUFS 42u      /* buffer too short; the length needed was written */
#define CONSENTRY_ENOENT 44u       /* no such header or file */
#define CONSENTRY_ENOTSUP 58u      /* unknown kind of data */

#define CONSENTRY_IMPORT(name) __attribute__((import_module("consentry"), import_name(name)))

/* The user's e-mail address, without a NUL. The reason has 1 to 500 bytes. */
CONSENTRY_IMPORT("request_user_email")
uint32_t consentry_request_user_email(const char *reason, uint32_t reason_len,
                                      char *buf, uint32_t buf_len, uint32_t *len_out);

/* Data of one kind, a secret or an action. json: an item of docs/data.md with
 * its purpose, such as {"fields":["email","name?"],"purpose":"…"}. The handle
 * reads {"values":{…},"records":[…],"withheld":[…]}. */
CONSENTRY_IMPORT("request")
uint32_t consentry_request(const char *kind, uint32_t kind_len,
                           const char *json, uint32_t json_len, uint32_t *handle_out);

/* A file that the user picked: the value of the field "content" of kind
 * "files". It is read with consentry_read. */
CONSENTRY_IMPORT("file_open")
uint32_t consentry_file_open(const char *file, uint32_t file_len, uint32_t *handle_out);

/* What there is to ask for: the handle reads {"kinds":[…]}. */
CONSENTRY_IMPORT("kinds")
uint32_t consentry_kinds(uint32_t *handle_out);

/* What this run was given: the handle reads {"grants":[…]}. */
CONSENTRY_IMPORT("grants")
uint32_t consentry_grants(uint32_t *handle_out);

/* Ends a grant: the member "grant" of an answer. */
CONSENTRY_IMPORT("give_back")
uint32_t consentry_give_back(const char *grant, uint32_t grant_len);

/* HTTP. json: {"method","url","headers":{},"body" or "bodyBase64","reason"}. */
CONSENTRY_IMPORT("http_fetch")
uint32_t consentry_http_fetch(const char *json, uint32_t json_len, uint32_t *handle_out);

CONSENTRY_IMPORT("http_status")
uint32_t consentry_http_status(uint32_t handle, uint32_t *status_out);

CONSENTRY_IMPORT("http_header")
uint32_t consentry_http_header(uint32_t handle, const char *name, uint32_t name_len,
                               char *buf, uint32_t buf_len, uint32_t *len_out);

CONSENTRY_IMPORT("http_headers")
uint32_t consentry_http_headers(uint32_t handle, char *buf, uint32_t buf_len, uint32_t *len_out);

/* Read from a handle of request, file_open or http_fetch; *n_out is 0 at the end. */
CONSENTRY_IMPORT("read")
uint32_t consentry_read(uint32_t handle, char *buf, uint32_t buf_len, uint32_t *n_out);

CONSENTRY_IMPORT("close")
uint32_t consentry_close(uint32_t handle);

#ifdef __cplusplus
}
#endif
#endif
