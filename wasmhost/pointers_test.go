package wasmhost

import (
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// Bad pointers to the functions of module consentry end with EFAULT or EINVAL,
// and nobody is asked.
func TestBridgePointers(t *testing.T) {
	path := buildC(t, `
#include <stdio.h>
#include <string.h>
#include "consentry.h"
#define CASE(call) printf("%u ", (unsigned)(call))
int main(void) {
	const char *bad = (const char *)-64, *why = "because", *data = "{\"fields\":[\"email\"],\"purpose\":\"x\"}";
	const char *get = "{\"url\":\"http://one.test/\"}";
	char buf[8]; uint32_t n;
	CASE(consentry_request_user_email(bad, 8, buf, 8, &n));
	CASE(consentry_request_user_email(why, 0x7fffffff, buf, 8, &n));
	CASE(consentry_request_user_email(why, 7, (char *)bad, 0xffffffff, &n));
	CASE(consentry_request_user_email(why, 7, buf, 8, (uint32_t *)0xfffffffe));
	CASE(consentry_request_user_email(why, 0, buf, 8, &n));
	CASE(consentry_request_user_email("\xff\xfe", 2, buf, 8, &n));
	CASE(consentry_request(bad, 8, data, strlen(data), &n));
	CASE(consentry_request("identity", 8, bad, 100, &n));
	CASE(consentry_request("identity", 8, data, strlen(data), (uint32_t *)0xfffffffe));
	CASE(consentry_request("identity", 8, "{}", 2, &n));
	CASE(consentry_request("identity", 8, "[1", 2, &n));
	CASE(consentry_http_fetch(bad, 100, &n));
	CASE(consentry_http_fetch(get, strlen(get), (uint32_t *)0xfffffffe));
	CASE(consentry_http_fetch("{\"url\":\"x\",\"more\":1}", 20, &n));
	CASE(consentry_http_status(7, &n));
	CASE(consentry_http_header(7, "a", 1, buf, 8, &n));
	CASE(consentry_http_headers(7, buf, 8, &n));
	CASE(consentry_read(7, buf, 8, &n));
	CASE(consentry_close(7));
	return 0;
}`)
	broker := &testBroker{email: gives("a@b.c", nil)}
	s := begin(t, path, sandbox.Spec{}, broker)
	exit := s.wait(10 * time.Second)
	const want = "21 28 21 21 28 28 21 21 21 28 28 21 21 28 8 8 8 8 8"
	if got := strings.TrimSpace(s.out.String()); got != want || exit.Code != 0 {
		t.Errorf("exit %+v, got\n%s, want\n%s", exit, got, want)
	}
	if len(broker.asked)+len(broker.flows) > 0 {
		t.Errorf("asked %+v %+v", broker.asked, broker.flows)
	}
}

// The general data call: the answer is read through a handle, and 64 handles
// can be open.
func TestRequestReadClose(t *testing.T) {
	path := buildC(t, `
#include <stdio.h>
#include <string.h>
#include "consentry.h"
int main(void) {
	const char *data = "{\"fields\":[\"email\"],\"purpose\":\"x\"}";
	char buf[5]; uint32_t h, n, first = 0, err, open = 0;
	if (consentry_request("identity", 8, data, strlen(data), &h)) return 1;
	while (!consentry_read(h, buf, sizeof buf, &n) && n) printf("%.*s", (int)n, buf);
	if (consentry_close(h) || consentry_close(h) != CONSENTRY_EBADF) return 2;
	while (!(err = consentry_request("identity", 8, data, strlen(data), &h))) open++;
	printf(" %u %u", open, err);
	return 0;
}`)
	s := begin(t, path, sandbox.Spec{}, &testBroker{email: gives("a@b.c", nil)})
	exit := s.wait(10 * time.Second)
	if want := `{"values":{"email":"a@b.c"}} 64 33`; s.out.String() != want || exit.Code != 0 {
		t.Errorf("exit %+v, output %q", exit, s.out)
	}
}
