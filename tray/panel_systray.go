//go:build linux || windows || (darwin && cgo)

package tray

import (
	"sync"
	"time"

	"fyne.io/systray"
)

// icon is a Panel by systray. Its menu is made anew whenever it changes: an id
// that the desktop still shows is never that of something else.
type icon struct {
	dark    bool
	clicks  chan Action
	closing chan struct{}
	waiters sync.WaitGroup // one for each item that can be clicked
}

// withPanel runs serve with a panel until serve returns. It must be called by
// the main goroutine: on macOS and Windows its thread has to be the first.
func withPanel(dark bool, serve func(Panel) error) error {
	p := &icon{dark: dark, clicks: make(chan Action), closing: make(chan struct{})}
	p.name()
	var err error
	var served sync.WaitGroup
	systray.Run(func() {
		served.Go(func() {
			err = serve(p)
			systray.Quit()
		})
	}, nil)
	served.Wait()
	return err
}

func (p *icon) Show(mood Mood, tooltip string, menu []Item) {
	systray.ResetMenu()
	p.setIcon(mood)
	systray.SetTooltip(tooltip)
	parents := p.add(menu, nil)
	time.Sleep(levelPause)
	for i, it := range menu {
		p.add(it.Items, parents[i])
	}
}

// levelPause lets the desktop take the first level of a menu before there is a
// second: libdbusmenu-gtk (Xfce, Cinnamon) forgets children that come at once
// with their parents, "Children but no menu".
const levelPause = 300 * time.Millisecond

// add adds items to the menu, or below one of them, and returns them.
func (p *icon) add(items []Item, below *systray.MenuItem) []*systray.MenuItem {
	added := make([]*systray.MenuItem, len(items))
	for i, it := range items {
		if it.Title == "" {
			systray.AddSeparator()
			continue
		}
		one := p.item(it, below)
		if it.Off {
			one.Disable()
		}
		if it.Do.Verb != Nothing {
			p.waiters.Go(func() { p.wait(one.ClickedCh, it.Do) })
		}
		added[i] = one
	}
	return added
}

func (p *icon) item(it Item, below *systray.MenuItem) *systray.MenuItem {
	title := label(it.Title)
	switch {
	case it.Box:
		return systray.AddMenuItemCheckbox(title, "", it.Checked)
	case below != nil:
		return below.AddSubMenuItem(title, "")
	}
	return systray.AddMenuItem(title, "")
}

// wait passes clicks on until the item is removed.
func (p *icon) wait(clicked <-chan struct{}, do Action) {
	for range clicked {
		select {
		case p.clicks <- do:
		case <-p.closing:
		}
	}
}

func (p *icon) Clicks() <-chan Action { return p.clicks }

func (p *icon) Close() {
	close(p.closing)
	systray.ResetMenu()
	p.waiters.Wait()
}
