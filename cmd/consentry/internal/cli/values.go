package cli

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/consentry/consentry/agent/api"
)

// parseVolume reads NAME:/path[:ro] as a volume and DIR:/path[:rw|ro] as a
// share, which is read-only unless it says rw.
func parseVolume(text, cwd string) (*api.VolumeMount, *api.Share, error) {
	fail := func(wrong string) (*api.VolumeMount, *api.Share, error) {
		return nil, nil, badFlag("-v", text, wrong, "-v data:/var/lib/app for a volume, -v ./photos:/photos:rw for a folder of yours")
	}
	drive := filepath.VolumeName(text)
	parts := strings.Split(text[len(drive):], ":")
	parts[0] = drive + parts[0]
	if len(parts) < 2 || len(parts) > 3 {
		return fail("want NAME:/path or DIR:/path, and :ro or :rw after it")
	}
	mode := ""
	if len(parts) == 3 {
		mode = parts[2]
	}
	if mode != "" && mode != "ro" && mode != "rw" {
		return fail(fmt.Sprintf("%q is no mode; there are ro and rw", mode))
	}
	if !strings.HasPrefix(parts[1], "/") {
		return fail(fmt.Sprintf("%q is not an absolute path inside the app", parts[1]))
	}
	switch {
	case parts[0] == "":
		return fail("the name or the folder is missing")
	case looksLikePath(parts[0]):
		return nil, &api.Share{Source: absolute(cwd, parts[0]), Target: parts[1], Write: mode == "rw"}, nil
	}
	return &api.VolumeMount{Name: parts[0], Target: parts[1], ReadOnly: mode == "ro"}, nil, nil
}

// parseShare reads DIR[:/target][:rw|ro|ask|ask-rw].
func parseShare(text, cwd string) (api.Share, error) {
	fail := func(wrong string) (api.Share, error) {
		return api.Share{}, badFlag("--share", text, wrong, "--share ~/photos:rw, or --share ./in:/data")
	}
	drive := filepath.VolumeName(text)
	parts := strings.Split(text[len(drive):], ":")
	dir := drive + parts[0]
	if dir == "" {
		return fail("the folder is missing")
	}
	share := api.Share{Source: absolute(cwd, dir)}
	for i, part := range parts[1:] {
		switch {
		case strings.HasPrefix(part, "/") && i == 0:
			share.Target = part
		case i == len(parts)-2 && slices.Contains(shareModes, part):
			share.Ask = strings.HasPrefix(part, "ask")
			share.Write = strings.HasSuffix(part, "rw")
		default:
			return fail(fmt.Sprintf("%q is neither a path inside the app nor one of %s", part, strings.Join(shareModes, ", ")))
		}
	}
	return share, nil
}

// shareModes: given read-only, given, offered to be read, offered.
var shareModes = []string{"ro", "rw", "ask", "ask-rw"}

func looksLikePath(text string) bool {
	return text == "." || text == ".." || strings.HasPrefix(text, "./") || strings.HasPrefix(text, "../") ||
		filepath.IsAbs(text) || strings.HasPrefix(text, "/")
}

func absolute(cwd, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(cwd, path)
}

// parseMemory reads bytes with an optional unit, in powers of 1024 as docker does.
func parseMemory(text string) (int64, error) {
	wrong := badFlag("--memory", text, "not a size", "--memory 512m, or --memory 2g")
	lower := strings.ToLower(strings.TrimSpace(text))
	number := strings.TrimRight(lower, "bikmgt")
	shift, known := map[string]int{"": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40}[strings.TrimSuffix(strings.TrimSuffix(lower[len(number):], "b"), "i")]
	value, err := strconv.ParseFloat(number, 64)
	if err != nil || !known {
		return 0, wrong
	}
	bytes := value * math.Pow(2, float64(shift))
	if !(bytes >= 1 && bytes < math.MaxInt64) {
		return 0, badFlag("--memory", text, "out of range", "--memory 512m")
	}
	return int64(bytes), nil
}

// parseBandwidth reads bytes a second, with units as parseMemory does.
func parseBandwidth(text string) (int64, error) {
	rate, err := parseMemory(strings.TrimSuffix(text, "/s"))
	if err != nil {
		return 0, badFlag("--bandwidth", text, "not a number of bytes a second", "--bandwidth 512k, or --bandwidth 10m")
	}
	return rate, nil
}

// environment collects -e and --env-file; a name without a value is taken from
// our own environment, and left out where it has none.
func environment(files, words []string, lookup func(string) (string, bool)) ([]string, error) {
	var env []string
	for _, name := range files {
		lines, err := envFile(name, lookup)
		if err != nil {
			return nil, err
		}
		env = append(env, lines...)
	}
	for _, word := range words {
		pair, ok, err := envPair(word, lookup)
		if err != nil {
			return nil, badFlag("-e", word, err.Error(), "-e KEY=value, or -e KEY to pass yours on")
		}
		if ok {
			env = append(env, pair)
		}
	}
	return env, nil
}

func envPair(word string, lookup func(string) (string, bool)) (string, bool, error) {
	name, _, has := strings.Cut(word, "=")
	if name == "" || strings.ContainsAny(name, " \t\x00") {
		return "", false, fmt.Errorf("%q is not a name", name)
	}
	if has {
		return word, true, nil
	}
	value, ok := lookup(name)
	return name + "=" + value, ok, nil
}

func envFile(name string, lookup func(string) (string, bool)) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, hinted("give a file with lines KEY=value", fmt.Errorf("--env-file: %w", err))
	}
	defer f.Close() //nolint:errcheck // only read
	var env []string
	scan := bufio.NewScanner(f)
	for n := 1; scan.Scan(); n++ {
		line := strings.TrimLeft(scan.Text(), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		pair, ok, err := envPair(line, lookup)
		if err != nil {
			return nil, hinted("lines are KEY=value, KEY, or # comment", fmt.Errorf("--env-file %s, line %d: %w", name, n, err))
		}
		if ok {
			env = append(env, pair)
		}
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("--env-file %s: %w", name, err)
	}
	return env, nil
}

// fileEndings mark a source as a file even where it does not exist.
var fileEndings = []string{".wasm", ".tar", ".tar.gz", ".tgz", ".tar.zst"}

// daemonWord marks an image of a docker or podman daemon.
const daemonWord = "docker-daemon:"

// source makes a path absolute and leaves a registry reference as it is. A
// bare word is a path only if a file, or an OCI layout, of that name is here.
func source(text, cwd string) (string, error) {
	if strings.HasPrefix(text, daemonWord) {
		return text, nil
	}
	path := absolute(cwd, text)
	info, err := os.Stat(path)
	named := looksLikePath(text)
	for _, ending := range fileEndings {
		named = named || strings.HasSuffix(strings.ToLower(text), ending)
	}
	switch {
	case named && err != nil:
		return "", hinted("give a registry reference, an OCI layout, a .tar archive or a .wasm file", fmt.Errorf("%s: %w", text, cause(err)))
	case named, err == nil && info.Mode().IsRegular():
		return path, nil
	}
	if err == nil && info.IsDir() {
		if _, err := os.Stat(filepath.Join(path, "oci-layout")); err == nil {
			return path, nil
		}
	}
	return text, nil
}

// cause strips the name of the call and the path from an error of os.
func cause(err error) error {
	if perr, ok := err.(*os.PathError); ok { //nolint:errorlint // exactly what os.Stat returns
		return perr.Err
	}
	return err
}

// signalNumbers are those of Linux: the guest is always Linux.
var signalNumbers = map[string]int{
	"HUP": 1, "INT": 2, "QUIT": 3, "ABRT": 6, "KILL": 9, "USR1": 10, "USR2": 12,
	"PIPE": 13, "ALRM": 14, "TERM": 15, "CONT": 18, "STOP": 19, "TSTP": 20, "WINCH": 28,
}

func parseSignal(text string) (int, error) {
	if n, err := strconv.Atoi(text); err == nil && n >= 1 && n <= 64 {
		return n, nil
	}
	if n, ok := signalNumbers[strings.TrimPrefix(strings.ToUpper(text), "SIG")]; ok {
		return n, nil
	}
	return 0, badFlag("--signal", text, "no such signal", "--signal HUP, or --signal 1")
}
