package wsl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/consentry/consentry/internal/atomicfile"
	"github.com/consentry/consentry/sandbox"
)

// Rule is one of `netsh interface portproxy`: who connects to Port of this
// computer's own loopback address is connected to To. Windows keeps rules for
// ever, so each is written down before it is made.
type Rule struct {
	Port uint16         `json:"port"`
	To   netip.AddrPort `json:"to"` // the distro's eth0
}

// listenAddress is the only one: a rule for another would let the network in.
const listenAddress = "127.0.0.1"

func (r Rule) check() error {
	if r.Port == 0 || !r.To.Addr().Is4() || r.To.Port() == 0 {
		return fmt.Errorf("%w: port %d to %s: want a port and an IPv4 address with one", sandbox.ErrInvalid, r.Port, r.To)
	}
	return nil
}

func (r Rule) add() []string {
	return append(r.arguments("add"), "connectaddress="+r.To.Addr().String(), "connectport="+strconv.Itoa(int(r.To.Port())))
}

func (r Rule) remove() []string { return r.arguments("delete") }

func (r Rule) arguments(verb string) []string {
	return []string{"interface", "portproxy", verb, "v4tov4", "listenaddress=" + listenAddress, "listenport=" + strconv.Itoa(int(r.Port))}
}

var show = []string{"interface", "portproxy", "show", "v4tov4"}

// existing is a rule that Windows has, of whomever.
type existing struct {
	address string
	rule    Rule
}

// parseRules reads what show prints: headings in the user's language, then
// lines of address, port, address, port. What is no such line is passed over.
func parseRules(out string) []existing {
	var all []existing
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		const columns = 4
		if len(f) != columns {
			continue
		}
		port, err := strconv.ParseUint(f[1], 10, 16)
		to, toErr := netip.ParseAddrPort(f[2] + ":" + f[3])
		if err == nil && toErr == nil {
			all = append(all, existing{f[0], Rule{uint16(port), to}})
		}
	}
	return all
}

// PortProxyConfig is what a PortProxy needs.
type PortProxyConfig struct {
	Netsh string // the program; "netsh.exe"
	State string // file with the rules that are ours; the agent's own
	// Elevate runs netsh as administrator, after the user's yes to Windows
	// (UAC). nil where this process is one already.
	Elevate func(ctx context.Context, program string, args []string) error
}

// PortProxy makes rules and sees to it that none outlives us: rules of an agent
// that was killed are removed by the next.
type PortProxy struct {
	config PortProxyConfig

	mu   sync.Mutex
	ours []Rule // as State has them
}

// OpenPortProxy removes the rules that an agent before this one left.
func OpenPortProxy(ctx context.Context, config PortProxyConfig) (*PortProxy, error) {
	p := &PortProxy{config: config}
	raw, err := os.ReadFile(config.State)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return p, nil
	case err != nil:
		return nil, err
	}
	if err := json.Unmarshal(raw, &p.ours); err != nil {
		return nil, fmt.Errorf("rules of portproxy in %s: %w: look at them with netsh %s, delete ours and then the file", config.State, err, strings.Join(show, " "))
	}
	return p, p.Close(ctx)
}

// Add makes a rule. It refuses a port that has a rule of somebody else's.
func (p *PortProxy) Add(ctx context.Context, r Rule) error {
	if err := r.check(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	there, err := p.existing(ctx)
	if err != nil {
		return err
	}
	for _, e := range there {
		if e.rule.Port == r.Port && e.address == listenAddress {
			return fmt.Errorf("%w: port %d is passed on to %s by a rule that is not of consentry (netsh %s): publish another port, or delete it", sandbox.ErrInvalid, r.Port, e.rule.To, strings.Join(show, " "))
		}
	}
	if err := p.note(append(slices.Clone(p.ours), r)); err != nil {
		return err
	}
	if err := p.change(ctx, r.add()); err != nil {
		return errors.Join(err, p.note(without(p.ours, r)))
	}
	return p.verify(ctx, r, true)
}

// Remove takes a rule of ours away.
func (p *PortProxy) Remove(ctx context.Context, r Rule) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.ours, r) {
		return nil
	}
	return p.drop(ctx, r)
}

// Close takes all rules of ours away.
func (p *PortProxy) Close(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs error
	for _, r := range slices.Clone(p.ours) {
		errs = errors.Join(errs, p.drop(ctx, r))
	}
	return errs
}

// drop removes exactly r: a rule of its port that leads elsewhere is somebody
// else's by now. It stays written down until it is gone.
func (p *PortProxy) drop(ctx context.Context, r Rule) error {
	there, err := p.existing(ctx)
	if err != nil {
		return err
	}
	if slices.Contains(there, existing{listenAddress, r}) {
		if err := errors.Join(p.change(ctx, r.remove()), p.verify(ctx, r, false)); err != nil {
			return err
		}
	}
	return p.note(without(p.ours, r))
}

func without(rules []Rule, r Rule) []Rule {
	return slices.DeleteFunc(slices.Clone(rules), func(other Rule) bool { return other == r })
}

// note writes down which rules are ours.
func (p *PortProxy) note(rules []Rule) error {
	raw, err := json.Marshal(rules)
	if err == nil {
		err = atomicfile.Write(p.config.State, raw, 0o600)
	}
	if err == nil {
		p.ours = rules
	}
	return err
}

func (p *PortProxy) existing(ctx context.Context) ([]existing, error) {
	out, err := p.netsh(ctx, show)
	return parseRules(out), err
}

// change runs netsh, as administrator where that is another.
func (p *PortProxy) change(ctx context.Context, args []string) error {
	if p.config.Elevate != nil {
		if err := p.config.Elevate(ctx, p.config.Netsh, args); err != nil {
			return fmt.Errorf("netsh %s: %w", strings.Join(args, " "), err)
		}
		return nil
	}
	_, err := p.netsh(ctx, args)
	return err
}

// verify believes what Windows shows, not what netsh returned.
func (p *PortProxy) verify(ctx context.Context, r Rule, wanted bool) error {
	there, err := p.existing(ctx)
	if err != nil {
		return err
	}
	if slices.Contains(there, existing{listenAddress, r}) != wanted {
		return fmt.Errorf("%w: netsh did not change the rule of port %d: allow it to, as administrator", sandbox.ErrUnavailable, r.Port)
	}
	return nil
}

func (p *PortProxy) netsh(ctx context.Context, args []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.config.Netsh, args...)
	withoutWindow(cmd)
	var out bounded
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("netsh %s: %w: %s", strings.Join(args, " "), err, tail(strings.TrimSpace(text(out.Bytes()))))
	}
	return text(out.Bytes()), nil
}
