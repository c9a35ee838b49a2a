package app

import "time"

// leave serves on for --drain-delay once mcpo was told to stop, while /readyz asks
// load balancers to send requests elsewhere. Without it the listener is closed at
// once, and so are connections on which no request is being answered: one that was
// on its way there just then did not run, which its sender cannot know.
func (a *app) leave(served <-chan error) {
	if a.opts.DrainDelay <= 0 {
		return
	}
	a.handler.Drain()
	a.opts.Log.Info("mcpo was told to stop; /readyz says so, and the rest is served a little longer", "drain_delay", a.opts.DrainDelay.String())
	over := time.NewTimer(a.opts.DrainDelay)
	defer over.Stop()
	select {
	case <-over.C:
	case err := <-served:
		a.opts.Log.Error("serving ended before --drain-delay did", "error", err)
	}
}
