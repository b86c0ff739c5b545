package latticetest

import (
	"fmt"
	"slices"
	"strings"
)

// pkg is one package of the module on one system.
type pkg struct {
	path    string // import path
	imports []string
}

// violations lists, sorted and without duplicates, where packages of module
// break the rules.
func violations(module string, packages []pkg) []string {
	c := check{module: module, imports: map[string][]string{}}
	for _, p := range packages {
		if folder, ours := c.folder(p.path); ours {
			c.imports[folder] = append(c.imports[folder], p.imports...)
		}
	}
	for from := range c.imports {
		c.direct(from)
		c.banned(from)
	}
	slices.Sort(c.found)
	return slices.Compact(c.found)
}

type check struct {
	module  string
	imports map[string][]string // by folder
	found   []string
}

func (c *check) report(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

// folder is an import path without the module; ours says that it is of the module.
func (c *check) folder(path string) (folder string, ours bool) {
	if path == c.module {
		return ".", true
	}
	return strings.CutPrefix(path, c.module+"/")
}

// within says whether folder is top or below it.
func within(folder, top string) bool {
	return folder == top || strings.HasPrefix(folder, top+"/")
}

func withinAny(folder string, tops []string) bool {
	return slices.ContainsFunc(tops, func(top string) bool { return within(folder, top) })
}

func ruleOf(folder string) (rule, bool) {
	var best rule
	for _, r := range rules {
		if within(folder, r.folder) && len(r.folder) > len(best.folder) {
			best = r
		}
	}
	return best, best.folder != ""
}

// direct checks what one package names itself.
func (c *check) direct(from string) {
	r, known := ruleOf(from)
	if !known {
		c.report("%s is in no rule: give its folder a place in internal/latticetest/rules.go", from)
		return
	}
	for _, path := range c.imports[from] {
		to, ours := c.folder(path)
		if !ours {
			c.standard(from, path)
			continue
		}
		target, _ := ruleOf(to)
		switch {
		case withinAny(to, testOnly) && !withinAny(from, testOnly):
			c.report("%s imports %s, which is for tests only", from, to)
		case target.folder == r.folder, slices.Contains(r.may, "*"), slices.Contains(r.may, target.folder):
		default:
			c.report("%s may not import %s", from, to)
		}
	}
}

func (c *check) standard(from, path string) {
	for _, b := range directBans {
		if within(from, b.folder) && path == b.path {
			c.report("%s may not import %s", from, path)
		}
	}
}

// banned checks what a package reaches by any detour.
func (c *check) banned(from string) {
	for _, b := range bans {
		if !within(from, b.from) {
			continue
		}
		for to, way := range c.reach(from) {
			if within(to, b.to) && !within(to, b.from) && !withinAny(to, b.except) {
				c.report("%s may never reach %s: %s", from, to, way)
			}
		}
	}
}

// reach returns every folder that from imports at any depth, with the way there.
func (c *check) reach(from string) map[string]string {
	ways := map[string]string{from: from}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, path := range c.imports[queue[0]] {
			to, ours := c.folder(path)
			if _, seen := ways[to]; ours && !seen {
				ways[to] = ways[queue[0]] + " > " + to
				queue = append(queue, to)
			}
		}
	}
	delete(ways, from)
	return ways
}
