package oci

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/consentry/consentry/oci/unpack"
	"github.com/consentry/consentry/sandbox"
)

// defaultPath is what docker sets when an image has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// maxPortRange bounds EXPOSE 1-65535 to what anyone means.
const maxPortRange = 1024

// Overrides are what the user says about a run, over what the image says.
type Overrides struct {
	Args       []string // in place of the image's Cmd
	Env        []string // "K=V" sets, "K" alone unsets
	Entrypoint []string
	// EntrypointSet tells an empty Entrypoint (none) from no override. As with
	// docker it also drops the image's Cmd.
	EntrypointSet bool
	User          string // "name", "uid", "name:group", "uid:gid"
	WorkDir       string
}

// Process is what to run: the image's config, overridden as docker does, with
// names of users and groups looked up in the image's own files.
func (img *Image) Process(o Overrides) (sandbox.Process, error) {
	args, err := img.command(o)
	if err != nil {
		return sandbox.Process{}, err
	}
	who, err := img.user(cmp.Or(o.User, img.Config.User))
	if err != nil {
		return sandbox.Process{}, fmt.Errorf("image %s: %w", img.Ref, err)
	}
	env, err := environment(img.Config.Env, o.Env, who.home)
	if err != nil {
		return sandbox.Process{}, err
	}
	dir := path.Clean("/" + cmp.Or(o.WorkDir, img.Config.WorkingDir))
	if strings.IndexByte(dir, 0) >= 0 {
		return sandbox.Process{}, errors.New("working directory: NUL in its name")
	}
	return sandbox.Process{Args: args, Env: env, Dir: dir, User: who.User}, nil
}

func (img *Image) command(o Overrides) ([]string, error) {
	entrypoint, cmd := img.Config.Entrypoint, img.Config.Cmd
	if o.EntrypointSet {
		entrypoint, cmd = o.Entrypoint, nil
	}
	if len(o.Args) > 0 {
		cmd = o.Args
	}
	args := slices.Concat(entrypoint, cmd)
	if len(args) == 0 || args[0] == "" {
		return nil, fmt.Errorf("image %s says no command to run; name one after the image, as in \"consentry run IMAGE sh\"", img.Ref)
	}
	for _, arg := range args {
		if strings.IndexByte(arg, 0) >= 0 {
			return nil, fmt.Errorf("argument %.100q: NUL in it", arg)
		}
	}
	return args, nil
}

// environment is complete and in a fixed order: the image's, then what it
// lacks, then the user's.
func environment(image, user []string, home string) ([]string, error) {
	var order []string
	values := map[string]string{}
	set := func(key, value string) {
		if _, is := values[key]; !is {
			order = append(order, key)
		}
		values[key] = value
	}
	for _, kv := range image {
		if key, value, _ := strings.Cut(kv, "="); key != "" {
			set(key, value)
		}
	}
	if values["PATH"] == "" {
		set("PATH", defaultPath)
	}
	if values["HOME"] == "" {
		set("HOME", home)
	}
	for _, kv := range user {
		key, value, is := strings.Cut(kv, "=")
		switch {
		case key == "":
			return nil, fmt.Errorf("environment %.100q: want NAME=VALUE", kv)
		case is:
			set(key, value)
		default:
			delete(values, key)
		}
	}
	var env []string
	for _, key := range order {
		value, is := values[key]
		if strings.IndexByte(key+value, 0) >= 0 {
			return nil, fmt.Errorf("environment %.100q: NUL in it", key)
		}
		if is {
			env = append(env, key+"="+value)
			delete(values, key) // a key that was unset and set again stands twice in order
		}
	}
	return env, nil
}

// user looks the user up in the image's passwd and group.
func (img *Image) user(spec string) (_ account, err error) {
	view, err := unpack.OpenView(img.Layers)
	if err != nil {
		return account{}, err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	passwd, err := readAccounts(view, "etc/passwd")
	if err != nil {
		return account{}, err
	}
	group, err := readAccounts(view, "etc/group")
	if err != nil {
		return account{}, err
	}
	return findUser(spec, passwd, group)
}

// StopSignal is what the image wants to be ended with, 0 when it does not say
// or says nothing that Linux knows.
func (img *Image) StopSignal() sandbox.Signal { return parseSignal(img.Config.StopSignal) }

// ExposedPorts are the ports of a protocol ("tcp" or "udp") that the image says
// it serves, in order.
func (img *Image) ExposedPorts(protocol string) []uint16 {
	found := map[uint16]bool{}
	for spec := range img.Config.ExposedPorts {
		ports, proto, _ := strings.Cut(spec, "/")
		if !strings.EqualFold(cmp.Or(proto, "tcp"), protocol) {
			continue
		}
		first, last, isRange := strings.Cut(ports, "-")
		from, err := strconv.ParseUint(first, 10, 16)
		to := from
		if isRange && err == nil {
			to, err = strconv.ParseUint(last, 10, 16)
		}
		if err != nil || from == 0 || to < from || to-from >= maxPortRange {
			continue
		}
		for port := from; port <= to; port++ {
			found[uint16(port)] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// Volumes are the directories the image wants to keep, absolute, clean, sorted.
func (img *Image) Volumes() []string {
	found := map[string]bool{}
	for dir := range img.Config.Volumes {
		if dir = path.Clean("/" + dir); dir != "/" && strings.IndexByte(dir, 0) < 0 {
			found[dir] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}
