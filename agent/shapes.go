package agent

import (
	"slices"
	"strings"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/userdata"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/data"
)

// shapeOf checks what the user makes of an answer and gives it its one form.
func shapeOf(kind consent.Kind, verdict consent.Verdict, text string) (string, error) {
	if !kind.IsData() || verdict != consent.Allow {
		if text != "" {
			return "", invalid("what is given can be chosen in a yes about data only")
		}
		return "", nil
	}
	shape, err := data.ParseShape(strings.TrimPrefix(string(kind), consent.DataPrefix), text)
	if err != nil {
		return "", invalid("%v", err)
	}
	if string(kind) == consent.DataPrefix+data.Files {
		for i, path := range shape.Only {
			if shape.Only[i], err = userdata.Pick(path); err != nil {
				return "", invalid("%v", err)
			}
		}
	}
	return shape.Text(), nil
}

func (a *Agent) shapeOfAnswer(request string, verdict consent.Verdict, text string) (string, error) {
	for _, p := range a.engine.Pending() {
		if p.ID == request {
			return shapeOf(p.Request.Kind, verdict, text)
		}
	}
	return "", consent.ErrNoSuchRequest
}

// offer adds the answers to a prompt that only who has the data can offer, and
// takes out those that would give nothing.
func (a *Agent) offer(p *api.Prompt) {
	switch p.Kind {
	case consent.DataPrefix + data.Files:
		p.Choices = slices.DeleteFunc(p.Choices, func(c api.Choice) bool { return c.Verdict == "allow" })
		return
	case consent.DataPrefix + data.Identity:
		if addresses := a.data.Profile.Emails(); slices.Contains(strings.Split(p.Target, ","), "email") && len(addresses) > 1 {
			for _, address := range addresses[1:min(len(addresses), maxOffered)] {
				shape := data.Shape{Say: map[string]string{"email": address}}
				p.Choices = append(p.Choices, api.Choice{Label: "Allow always, with " + address, Verdict: "allow", Lifetime: "always", Shape: shape.Text()})
			}
		}
	}
	if p.Kind == string(consent.SecretUse) {
		a.tellOfSecret(p)
	}
	if strings.HasPrefix(p.Kind, consent.DataPrefix) {
		shape := data.Shape{MadeUp: strings.Split(p.Target, ",")}
		p.Choices = append(p.Choices, api.Choice{Label: "Allow always, with made-up values", Verdict: "allow", Lifetime: "always", Shape: shape.Text()})
	}
}

// tellOfSecret says whether the app will have the secret, or only its use.
func (a *Agent) tellOfSecret(p *api.Prompt) {
	origins, known := a.data.Secrets.Places(p.Target)
	switch {
	case !known:
	case len(origins) > 0:
		p.Consequence = "It is put into requests of the app to " + strings.Join(origins, ", ") + ". The app never has it."
	default:
		p.Consequence = "The app will have the secret itself: you keep it for no place."
		p.Blast = "It can send it to every place it may connect to."
	}
}

// withoutPicks leaves out a yes to files that names none: the app asks when it
// wants some, and the user picks them then.
func withoutPicks(rules []consent.Rule) []consent.Rule {
	return slices.DeleteFunc(rules, func(r consent.Rule) bool {
		return r.Kind == consent.DataPrefix+data.Files && r.Verdict == consent.Allow && r.Shape == ""
	})
}

// maxOffered bounds the addresses of the user that a prompt offers.
const maxOffered = 5
