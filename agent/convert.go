package agent

import (
	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/consent"
)

func (a *Agent) promptToAPI(p consent.Prompt) api.Prompt {
	out := api.Prompt{
		ID: p.ID, Nonce: p.Nonce, Asked: p.Asked, App: p.AppName, Digest: p.Digest, Run: p.Request.Run,
		Kind: string(p.Request.Kind), Target: p.Request.Target, Title: p.Title, Reason: p.Reason,
		Consequence: p.Consequence, Blast: p.Blast, Live: p.Live, Count: p.Count,
		Also: p.Also, LooksLike: p.LooksLike, NotBefore: p.NotBefore, Queued: p.Queued, Behind: p.Behind,
	}
	out.Notice.Title, out.Notice.Body = p.Notice()
	for _, c := range p.Choices {
		out.Choices = append(out.Choices, api.Choice{
			Label: c.Label, Verdict: verdictText(c.Verdict), Lifetime: string(c.Lifetime), For: c.For, Target: c.Target,
			Everything: c.Everything, Shape: c.Shape,
		})
	}
	a.offer(&out)
	return out
}

func ruleToAPI(r consent.Rule) api.Grant {
	return api.Grant{
		ID: r.ID, App: r.AppName, AppID: string(r.App), Run: r.Run, Kind: string(r.Kind), Target: r.Target,
		Verdict: verdictText(r.Verdict), Lifetime: string(r.Lifetime), Expires: r.Expires,
		Since: r.Since, Lapses: r.Lapses, Used: r.Used, Uses: r.Uses, By: r.By, Shape: r.Shape,
	}
}

func rulesToAPI(rules []consent.Rule) []api.Grant {
	out := []api.Grant{}
	for _, r := range rules {
		out = append(out, ruleToAPI(r))
	}
	return out
}

func lineToAPI(l consent.Line) api.LedgerLine {
	return api.LedgerLine{
		Seq: l.Seq, Time: l.Time, Event: l.Event, App: l.App, AppID: string(l.AppID), Run: l.Run,
		Kind: l.Kind, Target: l.Target, Verdict: l.Verdict, Source: l.Source, Rule: l.Rule, Request: l.Request, By: l.By,
		Reason: l.Reason, In: l.In, Out: l.Out, Hash: l.Hash,
	}
}
