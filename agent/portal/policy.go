package portal

import (
	"net/http"
	"strings"
)

const (
	policyHeader = "Content-Security-Policy"
	reportHeader = "Content-Security-Policy-Report-Only"
)

// The policy limits where a page may load from and send to. What the app's own
// scripts may do inside the page is the app's affair: inline code, eval and
// blobs stay allowed, and so no page breaks that talks to its own app only.
const (
	ownCode = "'self' data: blob: 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval'"
	ownData = "'self' data: blob:"
)

// policyOf is the policy for an answer at host, one of the port's names.
func policyOf(p Port, host string) string {
	sources := ""
	if len(p.Sources) > 0 {
		sources = " " + strings.Join(p.Sources, " ")
	}
	connect := ownData + " ws://" + host // older browsers: 'self' is no WebSocket
	return strings.Join([]string{
		"default-src " + ownData + sources, // fonts, media, manifests, workers and what is yet to come
		"script-src " + ownCode + sources,
		"style-src " + ownCode + sources,
		"worker-src " + ownData, // of the app only: a worker has the policy of where it came from
		"connect-src " + connect + sources,
		"img-src " + ownData + sources,
		"frame-src " + ownData + sources,
		"object-src " + ownData,
		"form-action 'self'" + sources,
		"base-uri 'self'",
		"frame-ancestors 'self'",
		"webrtc 'block'", // not known to every browser
	}, "; ")
}

// reporting headers make a browser send reports of its own to where the app
// says, past every policy.
var reportingHeaders = []string{reportHeader, connectionReportHeader, "Report-To", "Reporting-Endpoints", "NEL", "Expect-CT"}

// guardAnswer puts the policy on an answer of the app. host is what the request
// was for, document says whether the answer can become a page or a worker.
func guardAnswer(p Port, h http.Header, host string, document bool) {
	if p.Policy == Off {
		return
	}
	if p.Policy == Report {
		h.Add(reportHeader, policyOf(p, host))
		return
	}
	for _, name := range reportingHeaders {
		h.Del(name)
	}
	for i, theirs := range h[policyHeader] {
		h[policyHeader][i] = withoutReports(theirs)
	}
	h.Add(policyHeader, policyOf(p, host))    // all policies of an answer count together
	h.Set(connectionHeader, connectionsOf(p)) // of several lists only the first would count
	h.Set("X-DNS-Prefetch-Control", "off")
	if document {
		// A stored page would keep the policy of an earlier day.
		h.Set("Cache-Control", "no-store")
	}
}

// withoutReports takes the report directives out of the app's own policy.
func withoutReports(policy string) string {
	lists := strings.Split(policy, ",") // several policies in one header
	for i, list := range lists {
		kept := []string{}
		for directive := range strings.SplitSeq(list, ";") {
			name, _, _ := strings.Cut(strings.TrimSpace(directive), " ")
			if name = strings.ToLower(name); !strings.HasPrefix(name, "report-") {
				kept = append(kept, directive)
			}
		}
		lists[i] = strings.Join(kept, ";")
	}
	return strings.Join(lists, ",")
}

// isDocument goes by what the browser wants it for, and by what the app says it
// is where the browser does not tell.
func isDocument(request, answer http.Header) bool {
	switch request.Get("Sec-Fetch-Dest") {
	case "document", "iframe", "frame", "fencedframe", "embed", "object", "worker", "sharedworker":
		return true
	}
	kind := strings.ToLower(answer.Get("Content-Type"))
	return kind == "" || strings.Contains(kind, "html") || strings.Contains(kind, "xml")
}
