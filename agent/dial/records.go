package dial

import (
	"context"
	"fmt"

	"github.com/consentry/consentry/sandbox"
)

// Records asks the system's resolver for TXT, MX or SRV records of name. Like
// Resolve it is called only after a yes.
func (d *Dialler) Records(ctx context.Context, kind, name string) (records sandbox.Records, err error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	name += "." // absolute: no search domains
	switch kind {
	case "TXT":
		records.TXT, err = d.resolver.LookupTXT(ctx, name)
		records.TXT = records.TXT[:min(len(records.TXT), sandbox.MaxRecords)]
		return records, err
	case "MX":
		servers, err := d.resolver.LookupMX(ctx, name)
		for _, s := range servers[:min(len(servers), sandbox.MaxRecords)] {
			records.Servers = append(records.Servers, sandbox.Server{Host: s.Host, Priority: s.Pref})
		}
		return records, err
	case "SRV":
		_, servers, err := d.resolver.LookupSRV(ctx, "", "", name)
		for _, s := range servers[:min(len(servers), sandbox.MaxRecords)] {
			records.Servers = append(records.Servers, sandbox.Server{Host: s.Target, Port: s.Port, Priority: s.Priority, Weight: s.Weight})
		}
		return records, err
	}
	return sandbox.Records{}, fmt.Errorf("%w: records of type %.10q", sandbox.ErrInvalid, kind)
}
