// Command confusables writes consent/skeleton/confusables.txt: which character
// looks like which, by Unicode Technical Standard 39.
//
// The data are those of Unicode 13.0 as github.com/mtibben/confusables ships
// them. Characters that names cannot have after cleaning (those that NFKC folds,
// or that have no shape) are left out.
//
//	go -C tools/confusables run . > consent/skeleton/confusables.txt
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"unicode"

	"github.com/mtibben/confusables"
	"golang.org/x/text/unicode/norm"
)

const header = `# Characters that look like others: code point, then what it is compared as.
# Made by tools/confusables from confusables.txt of UTS #39, Unicode 13.0.0.
# Copyright 2020 Unicode, Inc.; see https://www.unicode.org/terms_of_use.html
`

func main() {
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprint(out, header)
	for r := rune(0); r <= unicode.MaxRune; r++ {
		self := string(r)
		if !unicode.IsGraphic(r) || norm.NFKC.String(self) != self || norm.NFD.String(self) != self {
			continue
		}
		if as := settled(self); as != self {
			fmt.Fprintf(out, "%04X %s\n", r, hex(as))
		}
	}
	if err := out.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, "confusables:", err)
		os.Exit(1)
	}
}

// settled is the skeleton of the skeleton, until it stays: a few entries of the
// data decompose into characters that have an entry of their own.
func settled(text string) string {
	for {
		next := confusables.Skeleton(text)
		if next == text {
			return text
		}
		text = next
	}
}

func hex(text string) string {
	var words []string
	for _, r := range text {
		words = append(words, fmt.Sprintf("%04X", r))
	}
	return strings.Join(words, " ")
}
