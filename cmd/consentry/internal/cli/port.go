package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
	"github.com/consentry/consentry/internal/browse"
)

func (c *cli) portCommand() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "port RUN", GroupID: groupApps,
		Short: "Show and change the ports of a running app",
		Long: `Show the published ports of a running app, publish more, or take them back.
Ports are open on 127.0.0.1 and ::1 only.

What is carried is told apart by how a client begins: HTTP is guarded (Host,
Origin, a Content-Security-Policy made of the app's grants), TLS is refused,
anything else is carried as it is. /http takes HTTP only, /raw carries TCP
without a look and has no policy, /udp is UDP.`,
		Example: `  consentry port web
  consentry port add web 8080:80
  consentry port add web 5353:53/udp
  consentry port rm web 8080`,
		Args:              need(1, 1, "the run", "consentry port web"),
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.listPorts(cmd.Context(), args[0], json)
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	cmd.AddCommand(c.portListCommand(), c.portAddCommand(), c.portRemoveCommand())
	return cmd
}

func (c *cli) portListCommand() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use:               "ls RUN",
		Short:             "Show the published ports",
		Args:              need(1, 1, "the run", "consentry port ls web"),
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.listPorts(cmd.Context(), args[0], json)
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

func (c *cli) listPorts(ctx context.Context, ref string, json bool) error {
	return c.with(ctx, func(ctx context.Context, cl *client.Client) error {
		found, err := cl.Ports(ctx, ref)
		if err != nil {
			return err
		}
		if json {
			return printJSON(c.Out, list(found))
		}
		rows := [][]string{{"HERE", "APP", "KIND", "CSP", "OPEN", "URL"}}
		for _, p := range found {
			rows = append(rows, portRow(p))
		}
		return table(c.Out, rows)
	})
}

func portRow(p api.Port) []string {
	kind, csp := string(p.Kind), string(p.CSP)
	if kind == "" {
		kind = "auto"
	}
	switch {
	case p.URL == "":
		csp = "none"
	case csp == "":
		csp = "on"
	}
	return []string{
		strings.Join(p.Addresses, ", "), strconv.Itoa(int(p.App)), kind, csp, strconv.Itoa(p.Connections), orDash(p.URL),
	}
}

func (c *cli) portAddCommand() *cobra.Command {
	var json bool
	var csp string
	cmd := &cobra.Command{
		Use:               "add RUN [HOST:]APP[/http|raw|udp]",
		Short:             "Publish a port of a running app",
		Example:           "  consentry port add web 8080:80\n  consentry port add db 5432/raw",
		Args:              need(2, 2, "the run or the port", "consentry port add web 8080:80"),
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			mapping, err := parsePort(args[1])
			if err != nil {
				return err
			}
			one := []api.PortMapping{mapping}
			if csp != "" {
				if err := setCSP(one, []string{csp}); err != nil {
					return err
				}
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				port, err := cl.Publish(ctx, args[0], one[0])
				if err != nil {
					return err
				}
				if json {
					return printJSON(c.Out, port)
				}
				where := port.URL
				if where == "" {
					where = strings.Join(port.Addresses, ", ")
				}
				_, err = fmt.Fprintln(c.Out, plain(where))
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	cmd.Flags().StringVar(&csp, "csp", "", "Content-Security-Policy: `on|off|report`")
	c.completeFlag(cmd, "csp", "on", "off", "report")
	return cmd
}

func (c *cli) portRemoveCommand() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use:               "rm RUN HOST[/udp]",
		Short:             "Take a port back, and cut its connections",
		Example:           "  consentry port rm web 8080",
		Args:              need(2, 2, "the run or the port", "consentry port rm web 8080"),
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			text, kind, _ := strings.Cut(args[1], "/")
			host, err := strconv.ParseUint(text, 10, 16)
			if err != nil || kind != "" && kind != "udp" && kind != "tcp" {
				return badFlag("port", args[1], "not a port on this computer", "consentry port rm web 8080, or 5353/udp")
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				port, err := cl.Unpublish(ctx, args[0], uint16(host), kind == "udp")
				if err != nil {
					return err
				}
				if json {
					return printJSON(c.Out, port)
				}
				_, err = fmt.Fprintln(c.Out, plain(args[1]))
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

func (c *cli) openCommand() *cobra.Command {
	var json, show bool
	cmd := &cobra.Command{
		Use: "open RUN [APPPORT]", GroupID: groupApps,
		Short:             "Open the page of an app in your browser",
		Long:              "Open the page of a running app in your browser, at an origin of its own, so that\napps do not see each other's cookies.",
		Example:           "  consentry open web\n  consentry open --print web",
		Args:              need(1, 2, "the run", "consentry open web"),
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				found, err := cl.Ports(ctx, args[0])
				if err != nil {
					return err
				}
				page, err := pageOf(args, found)
				switch {
				case err != nil:
					return err
				case json:
					return printJSON(c.Out, map[string]string{"url": page})
				case show:
					_, err = fmt.Fprintln(c.Out, plain(page))
					return err
				}
				if err := browse.Open(ctx, page); err != nil {
					return hinted("open it by hand: "+page, fmt.Errorf("open the browser: %w", err))
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&show, "print", false, "print the address only")
	cmd.Flags().BoolVar(&json, "json", false, "print the address as JSON")
	return cmd
}

// pageOf is the address of the first page, or of that at a port of the app.
func pageOf(args []string, found []api.Port) (string, error) {
	for _, p := range found {
		if p.URL != "" && (len(args) < 2 || args[1] == strconv.Itoa(int(p.App))) {
			return p.URL, nil
		}
	}
	return "", hinted("publish one: consentry port add "+args[0]+" 8080", fmt.Errorf("%s has no such page: no port of it is published that a browser can open", args[0]))
}
