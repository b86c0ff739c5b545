package consent

import (
	"fmt"
	"strings"
	"time"
)

// Prompt is a request that waits for an answer, everything in it fit to be
// shown. Title, Consequence and Blast are our words; Reason is the app's and
// must be shown as a quotation.
type Prompt struct {
	ID          string
	Nonce       string // an answer must carry it
	Asked       time.Time
	Request     Request // cleaned, target canonical
	AppName     string  // clean
	Digest      string  // first twelve hex digits
	Title       string
	Reason      string // the app's words, may be ""
	Consequence string // what a yes can lead to
	Blast       string // what else a yes makes possible
	Live        bool   // an app waits for it now
	Count       int    // requests that it stands for
	Choices     []Choice
}

// Choice is one answer that a prompt offers. None is the default.
type Choice struct {
	Label    string
	Verdict  Verdict
	Lifetime Lifetime
	For      time.Duration // with Timed
	Target   string        // "": the request's own
}

// describe fills in what is shown, from a request that is already clean.
func (p *Prompt) describe() {
	r := p.Request
	p.AppName = r.App.Name
	p.Digest = r.App.ShortDigest()
	p.Reason = r.Reason
	p.Title = r.App.Name + " wants to " + wish(r)
	p.Consequence, p.Blast = effects(r)
	p.Choices = choices
}

var choices = []Choice{
	{Label: "Allow once", Verdict: Allow, Lifetime: Once},
	{Label: "Allow until the app exits", Verdict: Allow, Lifetime: Run},
	{Label: "Allow for 1 hour", Verdict: Allow, Lifetime: Timed, For: time.Hour},
	{Label: "Allow always", Verdict: Allow, Lifetime: Always},
	{Label: "Deny once", Verdict: Deny, Lifetime: Once},
	{Label: "Deny always", Verdict: Deny, Lifetime: Always},
}

// wish ends the sentence "NAME wants to …" in fixed words and the target.
func wish(r Request) string {
	target := showTarget(r.Target)
	switch r.Kind {
	case NetConnect:
		w, err := takeNet(r.Target)
		if err != nil {
			return "connect to " + target
		}
		return fmt.Sprintf("connect to %s, port %d (%s)", w.host, w.port, strings.ToUpper(w.proto.String()))
	case NetListen:
		return "serve port " + target + " on this computer"
	case FileRead:
		return "read " + target
	case FileWrite:
		return "change " + target
	case URLOpen:
		return "open " + target + " in your browser"
	case Notify:
		return "show you notifications"
	case SecretUse:
		return "use your secret " + target
	}
	name := strings.TrimPrefix(string(r.Kind), DataPrefix)
	return "know your " + name + ": " + strings.ReplaceAll(target, ",", ", ")
}

const leaks = "Everything the app knows or was given could be sent there."

// effects are the consequence and the blast radius, in fixed words.
func effects(r Request) (consequence, blast string) {
	switch r.Kind {
	case NetConnect:
		return netEffects(r.Target)
	case NetListen:
		return "Programs on this computer and pages in your browser can talk to the app on this port.",
			"The port is open on this computer only, not to your network."
	case FileRead:
		return "The app can read it and all that lies below it.",
			"What it has read it can send to every place it may connect to."
	case FileWrite:
		return "The app can change, replace and delete it and all that lies below it.",
			"Other programs may later trust or run what it has written."
	case URLOpen:
		return "The address itself can carry what the app knows, and your browser opens it with your logins.",
			"The page can lead on to others."
	case Notify:
		return "The app can show you its own words outside its window.",
			"Text in a notification may pretend to come from someone else."
	case SecretUse:
		return "The app can act with this secret wherever it is accepted.",
			"What was done with it stays done after the grant is taken back."
	}
	return "The app will know it, and cannot be made to forget it.",
		"It can send it to every place it may connect to."
}

func netEffects(target string) (consequence, blast string) {
	w, err := takeNet(target)
	if err != nil {
		return leaks, ""
	}
	switch w.host.place() {
	case onThisComputer:
		return "This is your own computer: programs here may take the app for one they can trust.",
			"Whatever listens on this port can be reached, with all it can do."
	case inLocalNetwork:
		return "This is in your local network: a router, a printer, a disk or another computer.",
			"Such devices often trust everyone in the network."
	case linkLocal:
		return "This is a link-local address: a device right beside this computer, or a service of its host.",
			"Such devices often trust everyone on the link."
	case behindCarrier:
		return "This is an address inside your provider's or a private overlay network.",
			"Devices there may trust everyone in the network."
	case unnamed:
		return leaks, "This is an address without a name: whose it is cannot be seen and may change."
	}
	return leaks, "And everything else on " + w.host.String() + " that this port serves."
}
