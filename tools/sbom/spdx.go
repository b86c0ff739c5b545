package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

// subject is the package that is described.
type subject struct{ name, version, created string }

type program struct {
	name, sha256 string
	info         *buildinfo.BuildInfo
}

// The parts of an SPDX document that we fill.
type document struct {
	SPDXVersion   string         `json:"spdxVersion"`
	DataLicense   string         `json:"dataLicense"`
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Namespace     string         `json:"documentNamespace"`
	Creation      creation       `json:"creationInfo"`
	Packages      []spdxPackage  `json:"packages"`
	Files         []spdxFile     `json:"files"`
	Relationships []relationship `json:"relationships"`
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	Name             string        `json:"name"`
	ID               string        `json:"SPDXID"`
	Version          string        `json:"versionInfo"`
	DownloadLocation string        `json:"downloadLocation"`
	FilesAnalyzed    bool          `json:"filesAnalyzed"`
	LicenseConcluded string        `json:"licenseConcluded"`
	LicenseDeclared  string        `json:"licenseDeclared"`
	Copyright        string        `json:"copyrightText"`
	Checksums        []checksum    `json:"checksums,omitempty"`
	ExternalRefs     []externalRef `json:"externalRefs,omitempty"`
}

type spdxFile struct {
	Name             string     `json:"fileName"`
	ID               string     `json:"SPDXID"`
	Checksums        []checksum `json:"checksums"`
	LicenseConcluded string     `json:"licenseConcluded"`
	Copyright        string     `json:"copyrightText"`
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type externalRef struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type relationship struct {
	From string `json:"spdxElementId"`
	Type string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

const (
	noAssertion = "NOASSERTION"
	self        = "SPDXRef-Package"
)

// documentOf: nothing is said of licences that the programs do not say.
func documentOf(s subject, programs []program) document {
	hash := sha256.New()
	d := document{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: s.name + "-" + s.version,
		Creation: creation{Created: s.created, Creators: []string{"Organization: Consentry", "Tool: consentry-sbom"}},
		Packages: []spdxPackage{{
			Name: s.name, ID: self, Version: s.version, DownloadLocation: noAssertion,
			LicenseConcluded: noAssertion, LicenseDeclared: "Apache-2.0", Copyright: noAssertion,
		}},
		Relationships: []relationship{{"SPDXRef-DOCUMENT", "DESCRIBES", self}},
	}
	known := map[string]bool{}
	for _, p := range programs {
		hash.Write([]byte(p.sha256))
		file := "SPDXRef-File-" + identifier(p.name)
		d.Files = append(d.Files, spdxFile{"./" + p.name, file, []checksum{{"SHA256", p.sha256}}, noAssertion, noAssertion})
		d.Relationships = append(d.Relationships, relationship{self, "CONTAINS", file})
		for _, m := range append([]*debug.Module{{Path: "stdlib", Version: strings.TrimPrefix(p.info.GoVersion, "go")}}, p.info.Deps...) {
			if m.Replace != nil {
				m = m.Replace
			}
			pkg := packageOf(m)
			if !known[pkg.ID] {
				known[pkg.ID] = true
				d.Packages = append(d.Packages, pkg)
			}
			d.Relationships = append(d.Relationships, relationship{file, "DEPENDS_ON", pkg.ID})
		}
	}
	modules := d.Packages[1:]
	slices.SortFunc(modules, func(x, y spdxPackage) int { return strings.Compare(x.ID, y.ID) })
	d.Namespace = fmt.Sprintf("https://github.com/consentry/consentry/sbom/%s-%s-%x", s.name, s.version, hash.Sum(nil)[:8])
	return d
}

func packageOf(m *debug.Module) spdxPackage {
	p := spdxPackage{
		Name: m.Path, ID: "SPDXRef-Module-" + identifier(m.Path+"-"+m.Version), Version: m.Version,
		DownloadLocation: noAssertion, LicenseConcluded: noAssertion, LicenseDeclared: noAssertion, Copyright: noAssertion,
		ExternalRefs: []externalRef{{"PACKAGE-MANAGER", "purl", purl(m)}},
	}
	// A hash of the form h1 is SHA-256 over a list of the module's files
	// (golang.org/x/mod/sumdb/dirhash).
	if raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:")); err == nil && len(raw) == sha256.Size {
		p.Checksums = []checksum{{"SHA256", hex.EncodeToString(raw)}}
	}
	return p
}

// purl names a module as https://github.com/package-url/purl-spec has it.
func purl(m *debug.Module) string {
	escape := strings.NewReplacer("+", "%2B", "~", "%7E")
	return "pkg:golang/" + strings.ToLower(m.Path) + "@" + escape.Replace(m.Version)
}

var notInIdentifiers = regexp.MustCompile(`[^A-Za-z0-9.-]`)

func identifier(text string) string { return notInIdentifiers.ReplaceAllString(text, "-") }

func sha256Of(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // only read
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
