package consent

import (
	"fmt"
	"strings"
	"time"
)

// Prompt is a request that waits for an answer, everything in it fit to be
// shown. Title, Consequence and Blast are our words; AppName and Reason are the
// app's: the name has a line of its own, the reason is shown as a quotation.
// None of them stands in a title or on a button.
type Prompt struct {
	ID          string
	Nonce       string // an answer must carry it
	Asked       time.Time
	NotBefore   time.Time // answers from buttons count from then on; zero: it was never shown
	Request     Request   // cleaned, target canonical
	Also        []string  // more targets of the same site, which an answer is about as well
	AppName     string    // clean
	Digest      string    // first twelve hex digits
	LooksLike   string    // a warning: the name is, or looks like, that of another app; may be ""
	Title       string    // no word of the app's in it but the target
	Reason      string    // the app's words, may be ""
	Consequence string    // what a yes can lead to
	Blast       string    // what else a yes makes possible
	Live        bool      // an app waits for it now
	Queued      bool      // and another question of this app is shown before
	Behind      int       // how many questions of this app wait to be shown after this one
	Count       int       // requests that it stands for
	Choices     []Choice
}

// Choice is one answer that a prompt offers. None is the default.
type Choice struct {
	Label    string
	Verdict  Verdict
	Lifetime Lifetime
	For      time.Duration // with Timed
	Target   string        // "": the request's own
	// Everything: the answer is about all that no rule allows, see Engine.StopAsking.
	Everything bool
	Shape      string // data: what is made of a yes; the engine itself offers none
}

// describe fills in what is shown, from a request that is already clean.
func (p *Prompt) describe() {
	r := p.Request
	p.AppName = r.App.Name
	p.Digest = r.App.ShortDigest()
	p.Reason = r.Reason
	p.Title = title(r, p.Also)
	p.Consequence, p.Blast = effects(r, len(p.Also) > 0)
	p.Choices = choices
}

var choices = []Choice{
	{Label: "Allow once", Verdict: Allow, Lifetime: Once},
	{Label: "Allow until the app exits", Verdict: Allow, Lifetime: Run},
	{Label: "Allow for 1 hour", Verdict: Allow, Lifetime: Timed, For: time.Hour},
	{Label: "Allow always", Verdict: Allow, Lifetime: Always},
	{Label: "Deny once", Verdict: Deny, Lifetime: Once},
	{Label: "Deny always", Verdict: Deny, Lifetime: Always},
	{Label: "Deny everything, ask no more", Verdict: Deny, Lifetime: Always, Everything: true},
}

// title says in fixed words and the targets what is asked for.
func title(r Request, also []string) string {
	var shown []string
	for _, target := range append([]string{r.Target}, also...) {
		shown = append(shown, showTarget(target))
	}
	targets := inWords(shown)
	switch r.Kind {
	case NetConnect:
		return netTitle(r.Target, also)
	case NetListen:
		return "Serve port " + targets + " on this computer"
	case FileRead:
		return "Read " + targets
	case FileWrite:
		return "Change " + targets
	case URLOpen:
		return "Open " + targets + " in your browser"
	case Notify:
		return "Show you notifications"
	case SecretUse:
		return "Use your secret " + targets
	case WallWaive:
		return "Run without the wall " + targets
	}
	if title, known := dataTitles[string(r.Kind)]; known {
		return title + ": " + strings.ReplaceAll(targets, ",", ", ")
	}
	name := strings.TrimPrefix(string(r.Kind), DataPrefix)
	return "Know your " + name + ": " + strings.ReplaceAll(targets, ",", ", ")
}

// dataTitles are the kinds of which "Know your" would say less than they are.
var dataTitles = map[string]string{
	DataPrefix + "contacts":  "Know the people in your address book",
	DataPrefix + "calendar":  "Know what is in your calendar",
	DataPrefix + "files":     "Read files that you pick",
	DataPrefix + "clipboard": "Read what you copied last",
}

// netTitle names the host once and every port that is asked for; a yes is about
// all of them, so none may be missing.
func netTitle(target string, also []string) string {
	host, ping := "", false
	var ports []string
	for _, text := range append([]string{target}, also...) {
		w, err := takeNet(text)
		if err != nil {
			return "Connect to " + showTarget(strings.Join(append([]string{target}, also...), " "))
		}
		host = w.host.String()
		if w.proto == icmp {
			ping = true
			continue
		}
		ports = append(ports, fmt.Sprintf("%d (%s)", w.port, strings.ToUpper(w.proto.String())))
	}
	if len(ports) == 0 {
		return "Ping " + host
	}
	word, end := "port", ""
	if len(ports) > 1 {
		word = "ports"
	}
	if ping {
		end = "; and ping it"
	}
	return fmt.Sprintf("Connect to %s, %s %s%s", host, word, inWords(ports), end)
}

// inWords is "a", "a and b", "a, b and c".
func inWords(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	last := len(list) - 1
	return strings.Join(list[:last], ", ") + " and " + list[last]
}

const leaks = "Everything the app knows or was given could be sent there."

// effects are the consequence and the blast radius, in fixed words; several
// says that more than one target of the site is asked for.
func effects(r Request, several bool) (consequence, blast string) {
	switch r.Kind {
	case NetConnect:
		return netEffects(r.Target, several)
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
	case WallWaive:
		return "The app runs with one wall less around it.",
			"What that wall alone would have stopped is not stopped."
	case SecretUse:
		return "The app can act with this secret wherever it is accepted.",
			"What was done with it stays done after the grant is taken back."
	}
	const sends = "It can send it to every place it may connect to."
	if consequence, known := dataConsequences[string(r.Kind)]; known {
		return consequence, sends
	}
	return "The app will know it, and cannot be made to forget it.", sends
}

var dataConsequences = map[string]string{
	DataPrefix + "contacts":  "The app will know this of everybody in it, who were not asked, unless you choose some: consentry allow ID --only NAME.",
	DataPrefix + "calendar":  "The app will know when you are where, for the time it asks about, unless you choose less: consentry allow ID --from DATE --to DATE.",
	DataPrefix + "files":     "You give nothing but the files that you name: consentry allow ID --only PATH.",
	DataPrefix + "clipboard": "People copy passwords. As long as the yes lasts the app can look at any time.",
}

func netEffects(target string, several bool) (consequence, blast string) {
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
	if several {
		return leaks, "Everything else on " + w.host.String() + " that these ports serve."
	}
	return leaks, "Everything else on " + w.host.String() + " that this port serves."
}
