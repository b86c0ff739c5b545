package wasmhost

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// conformanceGo is what testdata/conformance_go has to print: what Go's library
// makes of preview 1.
const conformanceGo = `
go open 0
go open missing 44
go open out 63
go open absolute link 63
go open link 0
go open loop 32
go open below file 54
go open dir for writing 31
go create 0
go create exclusive 20
go create out 63
go ro open 0
go ro write 69
go ro create 69
go ro truncate 69
go ro remove 69
go ro mkdir 69
go mkdir 0
go mkdir existing 20
go mkdir out 63
go rmdir full 55
go rmdir file 54
go rmdir 0
go symlink 0
go symlink out 63
go symlink absolute 63
go readlink 0
go readlink target =file.txt
go link 0
go link existing 20
go rename 0
go rename missing 44
go rename out 63
go rename to ro 69
go unlink dir 31
go unlink 0
go file 0
go write 0
go seek 0
go read 0
go rest =789
go seek before start 28
go write at 0
go stat 0
go size =22
go truncate 0
go sync 0
go times 0
go time =1500000000
go size at last =4
go read past the end =true
go write when closed =true
go mkdir all 0
go readdir 0
go entries =301
go walk 0
go walked =303
go readdir out 63
go remove all 0
go gone 44
go working directory 0
go slept =true
`

// conformanceRust is what testdata/conformance.rs has to print.
const conformanceRust = `
rust open 0
rust open missing 44
rust open dotdot 63
rust open dir dotdot 0
rust open out 63
rust open absolute link 63
rust open link 0
rust open loop 32
rust open below file 54
rust open dir for writing 31
rust create 0
rust create exclusive 20
rust create out 63
rust ro open 0
rust ro write 69
rust ro append 69
rust ro create 69
rust ro remove 69
rust ro mkdir 69
rust mkdir 0
rust mkdir existing 20
rust mkdir out 63
rust rmdir full 55
rust rmdir file 54
rust rmdir 0
rust readlink =file.txt
rust readlink file 28
rust link 0
rust link existing 20
rust link out 63
rust rename 0
rust rename missing 44
rust rename out 63
rust rename to ro 69
rust unlink dir 31
rust unlink 0
rust metadata out 63
rust link itself =true
rust write 0
rust seek 0
rust read 0
rust rest =789
rust seek before start 28
rust set length 0
rust size =20
rust sync 0
rust sync data 0
rust modified just now =true
rust copy 0
rust copied =0123456789
rust read dir as text 31
rust mkdir all 0
rust entries =301
rust readdir out 63
rust remove all 0
rust gone 44
rust files 0
rust trees 0
rust slept =true
`

// The libraries of two more languages get the answers that they expect, and
// nothing outside of the mounts changes.
func TestConformanceOfLanguages(t *testing.T) {
	for _, language := range []struct {
		name  string
		build func(testing.TB) string
		want  string
	}{
		{"go", func(t testing.TB) string { return buildGo(t, "./testdata/conformance_go") }, conformanceGo},
		{"rust", func(t testing.TB) string { return buildRust(t, "testdata/conformance.rs") }, conformanceRust},
	} {
		t.Run(language.name, func(t *testing.T) {
			base, mounts := conformanceTree(t)
			before := snapshot(t, filepath.Join(base, "outside")) + snapshot(t, filepath.Join(base, "ro"))
			s := begin(t, language.build(t), sandbox.Spec{Mounts: mounts}, &testBroker{})
			s.stdin.Close()
			if exit := s.wait(60 * time.Second); exit.Code != 7 {
				t.Errorf("exit %+v, want 7; errors %q", exit, s.err)
			}
			compareLines(t, s.out.String(), language.want)
			if after := snapshot(t, filepath.Join(base, "outside")) + snapshot(t, filepath.Join(base, "ro")); after != before {
				t.Errorf("outside or the read-only mount has changed:\n%s\nwas\n%s", after, before)
			}
		})
	}
}
