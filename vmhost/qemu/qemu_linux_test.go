package qemu_test

import "testing"

func TestFirst(t *testing.T) {
	b := newBench(t)
	got := b.run(b.spec(`echo hello; id; uname -a; echo oops >&2; cat /proc/mounts; exit 7`))
	t.Logf("%+v", got)
	if got.exit.Code != 7 || got.err != "oops\n" {
		t.Errorf("%+v", got)
	}
}
