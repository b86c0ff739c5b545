package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/consentry/consentry/oci/unpack"
	"github.com/consentry/consentry/sandbox"
)

const (
	maxAccounts = 4 << 20 // bytes of passwd or group
	// idSpan is how many ids an app has (sandbox.Image.IDBase).
	idSpan    = 1 << 16
	maxGroups = 64 // supplementary ones of a user
)

// account is a user with where it lives.
type account struct {
	sandbox.User
	home string
}

// readAccounts splits a file of the image like passwd into lines and fields.
// An image without the file has no accounts.
func readAccounts(view *unpack.View, name string) ([][]string, error) {
	raw, err := view.ReadFile(name, maxAccounts)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var lines [][]string
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if fields := strings.Split(line, ":"); len(fields) >= 3 && !strings.HasPrefix(line, "#") {
			lines = append(lines, fields)
		}
	}
	return lines, nil
}

// findUser reads "", "name", "uid", "name:group", "uid:gid" and mixtures, as
// docker does: a number need not be in passwd, a name must be; supplementary
// groups count when no group is named.
func findUser(spec string, passwd, group [][]string) (account, error) {
	name, groupName, hasGroup := strings.Cut(spec, ":")
	if name == "" {
		name = "0"
	}
	who, login, err := findLogin(name, passwd)
	if err != nil {
		return account{}, err
	}
	if hasGroup && groupName != "" {
		if who.GID, err = findGroup(groupName, group); err != nil {
			return account{}, err
		}
		return who, nil
	}
	who.Groups = groupsOf(login, who.GID, group)
	return who, nil
}

func findLogin(name string, passwd [][]string) (who account, login string, err error) {
	number, isNumber := parseID(name)
	for _, line := range passwd {
		uid, good := parseID(line[2])
		if !good || line[0] != name && !(isNumber && uid == number) {
			continue
		}
		who = account{User: sandbox.User{UID: uid}, home: "/"}
		if len(line) > 3 {
			who.GID, _ = parseID(line[3])
		}
		if len(line) > 5 && strings.HasPrefix(line[5], "/") {
			who.home = line[5]
		}
		return who, line[0], nil
	}
	if !isNumber {
		return account{}, "", fmt.Errorf("no user %.100q in the image's /etc/passwd, and no id below %d either; choose one with --user", name, idSpan)
	}
	who = account{User: sandbox.User{UID: number}, home: "/"}
	if number == 0 {
		who.home = "/root"
	}
	return who, "", nil
}

func findGroup(name string, group [][]string) (uint32, error) {
	number, isNumber := parseID(name)
	for _, line := range group {
		gid, good := parseID(line[2])
		if good && line[0] == name {
			return gid, nil
		}
	}
	if !isNumber {
		return 0, fmt.Errorf("no group %.100q in the image's /etc/group, and no id below %d either; choose one with --user USER:GROUP", name, idSpan)
	}
	return number, nil
}

// groupsOf lists the groups that name login as a member, but for its own.
func groupsOf(login string, own uint32, group [][]string) []uint32 {
	var found []uint32
	if login == "" {
		return nil
	}
	for _, line := range group {
		gid, good := parseID(line[2])
		if !good || gid == own || len(line) < 4 || len(found) == maxGroups {
			continue
		}
		if slices.Contains(strings.Split(line[3], ","), login) && !slices.Contains(found, gid) {
			found = append(found, gid)
		}
	}
	return found
}

// parseID reads an id that an app can have.
func parseID(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n < idSpan
}
