package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

// accountsCommand is where contacts and events come from.
func (c *cli) accountsCommand() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "accounts", GroupID: groupConsent, Aliases: []string{"account"},
		Short: "Say where your contacts and your calendar are",
		Long: `Apps may ask for your contacts and your calendar. These are read from files of
yours (vCard, iCalendar), or from a server (CardDAV, CalDAV). A password is read
from the terminal, or from a line of the standard input, and kept in the keychain.`,
		Example: `  consentry accounts add people contacts ~/contacts.vcf
  consentry accounts add work calendar https://dav.example.com/ --user ada
  consentry accounts rm work`,
		Args: need(0, 0, "", "consentry accounts"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				accounts, err := cl.Accounts(ctx)
				if err != nil {
					return err
				}
				return c.printAccounts(accounts, json)
			})
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	cmd.AddCommand(c.accountAdd(), c.accountRemove())
	return cmd
}

func (c *cli) printAccounts(accounts []api.Account, json bool) error {
	if json {
		return printJSON(c.Out, list(accounts))
	}
	rows := [][]string{{"NAME", "KIND", "FROM", "USER"}}
	for _, a := range accounts {
		rows = append(rows, []string{a.Name, a.Kind, a.Path + a.URL, orDash(a.User)})
	}
	return table(c.Out, rows)
}

func (c *cli) accountAdd() *cobra.Command {
	var account api.NewAccount
	cmd := &cobra.Command{
		Use: "add NAME contacts|calendar PATH|URL", Short: "Add an account, or replace it",
		Example: "  consentry accounts add people contacts ~/contacts.vcf",
		Args:    need(3, 3, "a name, contacts or calendar, and a path or a URL", "consentry accounts add people contacts ~/contacts.vcf"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			account.Name, account.Kind = args[0], args[1]
			if strings.Contains(args[2], "://") {
				account.URL = args[2]
			} else if account.Path, err = filepath.Abs(args[2]); err != nil {
				return err
			}
			if account.User != "" {
				if account.Password, err = c.readSecret("Password of " + account.User + ": "); err != nil {
					return err
				}
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				added, err := cl.AddAccount(ctx, account)
				if err != nil {
					return err
				}
				what := "contact"
				if account.Kind == "calendar" {
					what = "event of the next month"
				}
				_, err = fmt.Fprintf(c.Out, "%s: %d × %s\n", account.Name, added.Records, what)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&account.User, "user", "", "the `USER` of the server; a password is asked for")
	return cmd
}

func (c *cli) accountRemove() *cobra.Command {
	return &cobra.Command{
		Use: "rm NAME", Short: "Forget an account and its password",
		Args: need(1, 1, "the name of an account", "consentry accounts rm work"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				return cl.RemoveAccount(ctx, args[0])
			})
		},
	}
}

// secretCommand is what apps may use without seeing it.
func (c *cli) secretCommand() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "secret", GroupID: groupConsent, Aliases: []string{"secrets"},
		Short: "Keep secrets that apps may use after you are asked",
		Long: `A secret has a name by which an app asks for it, and a value in the keychain.
With --for the value is put into requests of modules to that place, and the app
does not see it. Without, an app that was allowed to use it is given the value.`,
		Example: "  consentry secret set github-token --for https://api.github.com\n  consentry secret rm github-token",
		Args:    need(0, 0, "", "consentry secret"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				secrets, err := cl.Secrets(ctx)
				if err != nil {
					return err
				}
				if json {
					return printJSON(c.Out, list(secrets))
				}
				rows := [][]string{{"NAME", "FOR"}}
				for _, s := range secrets {
					rows = append(rows, []string{s.Name, orElse(strings.Join(s.Origins, ", "), "whoever is allowed to use it")})
				}
				return table(c.Out, rows)
			})
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	cmd.AddCommand(c.secretSet(), &cobra.Command{
		Use: "rm NAME", Short: "Forget a secret and its value",
		Args: need(1, 1, "the name of a secret", "consentry secret rm github-token"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				return cl.RemoveSecret(ctx, args[0])
			})
		},
	})
	return cmd
}

func (c *cli) secretSet() *cobra.Command {
	var secret api.NewSecret
	cmd := &cobra.Command{
		Use: "set NAME", Short: "Keep a secret: its value is read from the terminal, or a line of the standard input",
		Example: "  consentry secret set github-token --for https://api.github.com",
		Args:    need(1, 1, "the name of a secret", "consentry secret set github-token"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			secret.Name = args[0]
			if secret.Value, err = c.readSecret("Value of " + secret.Name + ": "); err != nil {
				return err
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				return cl.SetSecret(ctx, secret)
			})
		},
	}
	cmd.Flags().StringArrayVar(&secret.Origins, "for", nil, "an `ORIGIN`, such as https://api.github.com, that it is sent to and the app does not see it; again for more")
	return cmd
}

// maxTyped bounds a secret that is typed, in bytes.
const maxTyped = 4096

// readSecret asks without an echo where there is a terminal, and reads the first
// line where there is none.
func (c *cli) readSecret(question string) (string, error) {
	var raw []byte
	var err error
	if term.IsTerminal(int(c.In.Fd())) {
		fmt.Fprint(c.Err, question)
		raw, err = term.ReadPassword(int(c.In.Fd()))
		fmt.Fprintln(c.Err)
	} else {
		raw, err = io.ReadAll(io.LimitReader(c.In, maxTyped))
	}
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" {
		return "", hinted("type it, or put it in: echo VALUE | consentry …", errors.New("there is no password or value"))
	}
	return line, nil
}
