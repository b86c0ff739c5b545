//go:build unix

package vmhost_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/vmhost"
	"github.com/consentry/consentry/vmhost/drivertest"
)

// giving is a driver whose machines have folders, but none that holds keys.
type giving struct{ drivertest.Fake }

func (giving) CheckFolder(path string) error {
	if filepath.Base(path) == "keys" {
		return errors.New("it holds keys")
	}
	return nil
}

// message is one of 9P.
func message(kind byte, body ...byte) []byte {
	m := binary.LittleEndian.AppendUint32(nil, uint32(7+len(body)))
	return append(append(m, kind, 1, 0), body...)
}

// looking is a guest whose kernel looks for "letter" in its folder, and says what
// kind of answers it got.
func looking(answers chan<- byte) func(context.Context, io.ReadWriteCloser, vmhost.Config) error {
	return func(ctx context.Context, control io.ReadWriteCloser, _ vmhost.Config) error {
		peer, err := guestwire.Greet(ctx, control, honest().hello, func(ctx context.Context, c *guestwire.Call) error {
			switch c.Verb {
			case guestwire.VerbFolder:
				if err := c.Answer(nil); err != nil {
					return err
				}
				for _, m := range [][]byte{
					message(100, 0, 0, 2, 0, 8, 0, '9', 'P', '2', '0', '0', '0', '.', 'L'),
					message(104, 1, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0),
					message(110, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 6, 0, 'l', 'e', 't', 't', 'e', 'r'),
				} {
					if _, err := c.Stream().Write(m); err != nil {
						return err
					}
					head := make([]byte, 7)
					if _, err := io.ReadFull(c.Stream(), head); err != nil {
						return err
					}
					answers <- head[4]
					io.CopyN(io.Discard, c.Stream(), int64(binary.LittleEndian.Uint32(head))-7)
				}
				<-ctx.Done()
				return nil
			case guestwire.VerbWait:
				<-ctx.Done()
				return ctx.Err()
			}
			return c.Answer(sandbox.Posture{Walls: good})
		})
		if err != nil {
			return err
		}
		return peer.Serve(ctx)
	}
}

// yes is a broker that says what folders it is asked for, and gives them.
type yes struct {
	sandbox.Broker
	asked chan sandbox.FileRequest
	give  func() error
}

func (y yes) File(_ context.Context, req sandbox.FileRequest) error {
	y.asked <- req
	return y.give()
}

// TestFolderIsAskedFor: a touch in the guest waits until somebody is there who
// gives folders, is asked about, and goes on.
func TestFolderIsAskedFor(t *testing.T) {
	const walked, failed = 111, 7
	answers := make(chan byte, 10)
	h := hostOf(t, giving{drivertest.Fake{Guest: looking(answers)}})
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "letter"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var giver sandbox.FolderGiver
	broker := yes{asked: make(chan sandbox.FileRequest, 1), give: func() error {
		return giver.GiveFolder(t.Context(), "/share/docs", sandbox.Folder{Source: dir})
	}}
	spec := sandbox.Spec{ID: "a", Name: "app", Image: &sandbox.Image{}, Asks: []sandbox.Ask{{Name: "docs", Target: "/share/docs"}}, Stop: sandbox.StopRule{Grace: time.Millisecond}}
	i, err := h.Start(t.Context(), spec, broker)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Stop(context.Background())
	giver = i.(sandbox.FolderGiver)
	<-answers // version
	<-answers // attach
	select {
	case kind := <-answers:
		t.Fatalf("answer %d before the app's folders were offered", kind)
	case <-broker.asked:
		t.Fatal("it was asked about before")
	case <-time.After(50 * time.Millisecond):
	}
	if files, err := giver.Placeholders(t.Context()); len(files) != 0 || err != nil {
		t.Errorf("%v, %v", files, err)
	}
	if req := <-broker.asked; req != (sandbox.FileRequest{Share: "docs", Path: "letter"}) {
		t.Errorf("asked for %+v", req)
	}
	if kind := <-answers; kind != walked {
		t.Errorf("answer %d after a yes, want %d, and no %d", kind, walked, failed)
	}
	if err := giver.GiveFolder(t.Context(), "/elsewhere", sandbox.Folder{Source: dir}); !errors.Is(err, sandbox.ErrInvalid) {
		t.Errorf("a folder nobody asked for: %v", err)
	}
	taken, err := giver.TakeFolder(t.Context(), "/share/docs")
	if err != nil || !taken.Cut || taken.Paused {
		t.Errorf("%+v, %v", taken, err)
	}
	keys := filepath.Join(dir, "keys")
	if err := os.Mkdir(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := giver.GiveFolder(t.Context(), "/share/docs", sandbox.Folder{Source: keys}); err == nil {
		t.Error("keys were given")
	}
}

// TestFoldersThatAreNotGiven end the start, with a word why.
func TestFoldersThatAreNotGiven(t *testing.T) {
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys")
	if err := os.Mkdir(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	mount := func(source string) sandbox.Spec {
		return sandbox.Spec{Image: &sandbox.Image{}, Mounts: []sandbox.Mount{{Source: source, Target: "/share"}}}
	}
	many := sandbox.Spec{Image: &sandbox.Image{}, Mounts: make([]sandbox.Mount, guestwire.MaxFolders+1)}
	fake := drivertest.Fake{Guest: honest().guest}
	for name, c := range map[string]struct {
		driver vmhost.Driver
		spec   sandbox.Spec
		says   string
	}{
		"keys":              {giving{fake}, mount(keys), "holds keys"},
		"gone":              {giving{fake}, mount(filepath.Join(dir, "gone")), "gone"},
		"too many":          {giving{fake}, many, "at most"},
		"no such driver":    {fake, mount(dir), "gives no folders"},
		"none to ask there": {fake, sandbox.Spec{Image: &sandbox.Image{}, Asks: []sandbox.Ask{{Name: "docs"}}}, "gives no folders"},
	} {
		h := hostOf(t, c.driver)
		if _, err := h.Start(t.Context(), c.spec, nil); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
		if _, can := c.driver.(vmhost.FolderChecker); can != (h.CanAsk() == nil) {
			t.Errorf("%s: CanAsk says %v", name, h.CanAsk())
		}
	}
}
