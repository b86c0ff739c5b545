package router

import (
	"errors"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/consentry/consentry/sandbox"
)

// TXT, MX and SRV records are somebody else's: to ask for them is to send a
// message to the name's owner. Such a question is held like a flow to the host,
// on UDP port 53, and answered by the Broker, where it can.

// lookupTypes are the types that can be asked upstream.
var lookupTypes = map[dnsmessage.Type]string{
	dnsmessage.TypeTXT: "TXT", dnsmessage.TypeMX: "MX", dnsmessage.TypeSRV: "SRV",
}

// maxDNSDatagram is the largest answer over UDP, in bytes; a larger one is cut,
// so that the app asks again over TCP.
const maxDNSDatagram = 1232

// question is one that only the Broker can answer.
type question struct {
	head   dnsmessage.Header
	asked  dnsmessage.Question
	lookup sandbox.Lookup
}

// upstream says whether a message is such a question.
func (r *Router) upstream(query []byte) (question, bool) {
	var parser dnsmessage.Parser
	if r.lookups == nil || len(query) > maxDNSQuery {
		return question{}, false
	}
	head, err := parser.Start(query)
	if err != nil || head.Response || head.OpCode != 0 {
		return question{}, false
	}
	all, err := parser.AllQuestions()
	if err != nil || len(all) != 1 || all[0].Class != dnsmessage.ClassINET || lookupTypes[all[0].Type] == "" {
		return question{}, false
	}
	lookup, ok := lookupOf(all[0])
	return question{head, all[0], lookup}, ok && !r.names.services.claims(lookup.Host)
}

// lookupOf takes a name apart: labels of services stand before the host, as in
// _dmarc.example.com and _sip._tcp.example.com, and the verdict is about the host.
func lookupOf(q dnsmessage.Question) (sandbox.Lookup, bool) {
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	rest := name
	for strings.HasPrefix(rest, "_") {
		_, after, found := strings.Cut(rest, ".")
		if !found {
			return sandbox.Lookup{}, false
		}
		rest = after
	}
	host, err := sandbox.CanonicalHost(rest)
	if _, isAddress := netip.ParseAddr(host); err != nil || isAddress == nil || underARPA(host) {
		return sandbox.Lookup{}, false
	}
	if _, _, local := localhost(host); local {
		return sandbox.Lookup{}, false
	}
	service := strings.TrimSuffix(name, rest)
	return sandbox.Lookup{Host: host, Service: strings.TrimSuffix(service, "."), Type: lookupTypes[q.Type]}, true
}

// ask holds a question until it is answered.
func (r *Router) ask(q question, limit int) []byte {
	f, why := r.flows.begin(r.ctx, "udp", target{host: q.lookup.Host, port: sandbox.DNSPort})
	if why != dropNone {
		r.count.drop(why)
		return q.reply(sandbox.Records{}, sandbox.ErrBusy, limit)
	}
	defer r.flows.end(f)
	records, err := r.lookups.Lookup(f.ctx, q.lookup)
	if err != nil && f.ctx.Err() == nil {
		r.count.drop(reasonOf(err))
	}
	return q.reply(records, err, limit)
}

// reply packs the answer; a no is REFUSED, what may come to be is SERVFAIL.
func (q question) reply(records sandbox.Records, err error, limit int) []byte {
	m := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: q.head.ID, Response: true, RecursionDesired: q.head.RecursionDesired, RecursionAvailable: true,
		},
		Questions: []dnsmessage.Question{q.asked},
	}
	switch {
	case errors.Is(err, sandbox.ErrDenied), errors.Is(err, sandbox.ErrInvalid):
		m.RCode = dnsmessage.RCodeRefused
	case err != nil:
		m.RCode = dnsmessage.RCodeServerFailure
	default:
		m.Answers = resources(q.asked, records)
	}
	packed, err := m.Pack()
	if err == nil && len(packed) > limit {
		m.Truncated, m.Answers = true, nil
		packed, err = m.Pack()
	}
	if err != nil {
		return nil
	}
	return packed
}

func resources(q dnsmessage.Question, records sandbox.Records) []dnsmessage.Resource {
	var all []dnsmessage.Resource
	add := func(body dnsmessage.ResourceBody) {
		if len(all) < sandbox.MaxRecords {
			all = append(all, dnsmessage.Resource{Header: answerHead(q), Body: body})
		}
	}
	for _, text := range records.TXT {
		add(&dnsmessage.TXTResource{TXT: pieces(text)})
	}
	for _, server := range records.Servers {
		name, err := dnsmessage.NewName(strings.TrimSuffix(server.Host, ".") + ".")
		switch {
		case err != nil:
		case q.Type == dnsmessage.TypeMX:
			add(&dnsmessage.MXResource{Pref: server.Priority, MX: name})
		case q.Type == dnsmessage.TypeSRV:
			add(&dnsmessage.SRVResource{Priority: server.Priority, Weight: server.Weight, Port: server.Port, Target: name})
		}
	}
	return all
}

// pieces cuts a text into strings of at most 255 bytes (RFC 1035, 3.3.14).
func pieces(text string) []string {
	const most = 255
	var all []string
	for len(text) > most {
		all, text = append(all, text[:most]), text[most:]
	}
	return append(all, text)
}

// lookuper is nil for a Broker that answers no such questions.
func lookuper(b sandbox.Broker) sandbox.Lookuper {
	l, _ := b.(sandbox.Lookuper)
	return l
}
