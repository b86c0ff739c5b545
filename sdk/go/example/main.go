// Command example greets the user by name and counts the people they know. It
// runs in an image (go build) and as a module (GOOS=wasip1 GOARCH=wasm).
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/consentry/consentry/sdk/go/consentry"
)

// Exit codes: 0 all well, 1 no, 75 try again later (EX_TEMPFAIL).
func main() {
	err := ask()
	switch {
	case err == nil:
	case errors.Is(err, consentry.ErrAgain):
		fmt.Fprintln(os.Stderr, "later:", err)
		os.Exit(75)
	default:
		fmt.Fprintln(os.Stderr, "no:", err)
		os.Exit(1)
	}
}

func ask() error {
	answer, err := consentry.Request(consentry.Question{
		Purpose: "to greet you and to count your friends",
		Items: []consentry.Item{
			{Type: "identity", Fields: []string{"name", "email?"}},
			{Type: "contacts", Fields: []string{"name"}, Max: 100},
		},
	})
	if err != nil {
		return err
	}
	me, people := answer.Items[0], answer.Items[1]
	name, known := me.Values["name"].(string)
	if !known {
		name = "stranger"
	}
	fmt.Println("hello", name, "withheld", strings.Join(me.Withheld, ","))
	fmt.Println(people.Status, len(people.Records))
	before, err := consentry.Grants()
	if err != nil {
		return err
	}
	var kinds []string
	for _, g := range before {
		kinds = append(kinds, g.Kind)
	}
	slices.Sort(kinds)
	fmt.Println("grants", strings.Join(kinds, " "))
	for _, item := range answer.Items {
		if item.Grant == "" {
			continue
		}
		if err := consentry.GiveBack(item.Grant); err != nil {
			return err
		}
	}
	after, err := consentry.Grants()
	if err != nil {
		return err
	}
	all, err := consentry.Kinds()
	fmt.Println("after", len(after), "kinds", len(all))
	return err
}
