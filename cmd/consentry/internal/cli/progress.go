package cli

import (
	"fmt"
	"io"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/consentry/consentry/agent/api"
)

// progress shows a pull until stop.
type progress interface {
	update(api.Progress)
	stop()
}

// progressOn draws bars on a terminal, prints lines elsewhere, and nothing
// where the caller wants none.
func (c *cli) progressOn(silent bool) progress {
	switch {
	case silent:
		return noProgress{}
	case c.err.terminal:
		return &bars{w: c.Err, bars: map[string]*mpb.Bar{}}
	}
	return &lineProgress{w: c.Err, seen: map[string]bool{}}
}

type noProgress struct{}

func (noProgress) update(api.Progress) {}
func (noProgress) stop()               {}

// lineProgress prints one line for each thing that is begun and ended.
type lineProgress struct {
	w    io.Writer
	seen map[string]bool
}

func (l *lineProgress) update(p api.Progress) {
	what := plain(p.Phase)
	if p.Item != "" {
		what += " " + plain(p.Item)
	}
	switch ended := p.Total > 0 && p.Done >= p.Total; {
	case p.Phase == "" || p.Phase == "done" || l.seen[what+" ended"]:
	case ended:
		l.seen[what], l.seen[what+" ended"] = true, true
		fmt.Fprintf(l.w, "%s: %s\n", what, size(p.Total))
	case !l.seen[what]:
		l.seen[what] = true
		fmt.Fprintf(l.w, "%s …\n", what)
	}
}

func (l *lineProgress) stop() {}

// bars has a bar for each layer.
type bars struct {
	w    io.Writer
	p    *mpb.Progress
	bars map[string]*mpb.Bar
}

func (b *bars) update(p api.Progress) {
	if p.Phase == "" || p.Phase == "done" {
		return
	}
	if b.p == nil {
		b.p = mpb.New(mpb.WithOutput(b.w), mpb.WithWidth(60), mpb.WithAutoRefresh())
	}
	key := p.Phase + " " + p.Item
	bar := b.bars[key]
	if bar == nil {
		bar = b.add(p)
		b.bars[key] = bar
	}
	bar.SetTotal(max(p.Total, 0), false)
	bar.SetCurrent(p.Done)
	if p.Total > 0 && p.Done >= p.Total {
		bar.SetTotal(p.Total, true)
	}
}

// add begins a bar, or a spinner where no end is known.
func (b *bars) add(p api.Progress) *mpb.Bar {
	name := mpb.PrependDecorators(
		decor.Name(plain(p.Phase), decor.WC{W: 9, C: decor.DindentRight}),
		decor.Name(plain(p.Item), decor.WCSyncSpaceR))
	if p.Total <= 0 {
		return b.p.AddSpinner(0, name, mpb.AppendDecorators(decor.Elapsed(decor.ET_STYLE_MMSS)))
	}
	return b.p.AddBar(p.Total, name, mpb.AppendDecorators(decor.Any(func(st decor.Statistics) string {
		return size(st.Current) + " / " + size(st.Total)
	})))
}

// stop leaves the bars as they are and waits until they are drawn.
func (b *bars) stop() {
	if b.p == nil {
		return
	}
	for _, bar := range b.bars {
		bar.Abort(false)
	}
	b.p.Wait()
	b.p, b.bars = nil, map[string]*mpb.Bar{}
}
