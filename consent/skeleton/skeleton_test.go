package skeleton

import (
	"testing"

	"golang.org/x/text/unicode/norm"
)

func TestNamesThatLookAlike(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"paypal", "paypal", true},
		{"paypal", "p\u0430yp\u0430l", true},                            // Cyrillic a
		{"paypal", "\u0440\u0430\u0443\u0440\u0430\u04c0", true},        // all Cyrillic
		{"paypal", "paypa1", true},                                      // digit one
		{"paypal", "PAYPAL", true},                                      // case
		{"paypal", "paypaI", true},                                      // capital i
		{"modern", "modem", true},                                       // rn
		{"docker.io/library/nginx", "docker.io/Iibrary/nginx", true},    // in a path
		{"google", "g\u043e\u03bfgle", true},                            // Cyrillic and Greek o
		{"caf\u00e9", "cafe\u0301", true},                               // composed or not
		{"paypal", "paypel", false},                                     // another word
		{"nginx", "nginx2", false},                                      // longer
		{"\u4e2d\u6587", "\u4e2d\u56fd", false},                         // Han
		{"docker.io/library/nginx", "docker.io/library/nginy", false},   // one letter
		{"docker.io/library/nginx", "registry.io/library/nginx", false}, // another host
	} {
		if got := Alike(c.a, c.b); got != c.want {
			t.Errorf("%q and %q: %v (%q, %q)", c.a, c.b, got, Of(c.a), Of(c.b))
		}
	}
}

func TestTheTable(t *testing.T) {
	m, err := parse(table)
	if err != nil {
		t.Fatal(err)
	}
	if len(m) < 2000 || len(m) > 10_000 {
		t.Errorf("%d entries", len(m))
	}
	for r, as := range m {
		if as == "" || norm.NFC.String(as) == string(r) {
			t.Errorf("%U is like %q", r, as)
		}
		for _, part := range norm.NFD.String(as) { // what is the end of the comparison stays as it is
			if further, there := m[part]; there && further != string(part) {
				t.Errorf("%U is like %q, of which %U is like %q", r, as, part, further)
			}
		}
	}
}

func TestParseRefusesWhatIsNoTable(t *testing.T) {
	for _, text := range []string{"xyz 0061\n", "110000000 0061\n", "0061 -1\n"} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q is a table", text)
		}
	}
}

func FuzzOf(f *testing.F) {
	for _, name := range []string{"paypal", "\u0440\u0430\u0443", "rn", "\xff", "a\u0301\u0301"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		once := Of(name)
		if again := Of(once); again != once {
			t.Fatalf("%q: the skeleton %q has the skeleton %q", name, once, again)
		}
		if !Alike(name, name) {
			t.Fatalf("%q is not like itself", name)
		}
	})
}
