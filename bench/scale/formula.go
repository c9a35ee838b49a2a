package main

import "math"

// formula calculates the averages. A person's calls come at random, by a Poisson
// process, which a balancer that does not know people divides into one for each
// replica. So a person's connection to a replica is there if a call came within
// the last idle; a refresh comes with the first call after the token is due; and
// the store is read with the first call after recheck is over.
func (t town) formula() rates {
	people, all := float64(t.people), t.rate()
	pairs, each := people, all // pairs of a person and a replica, and their calls
	if !t.sticky {
		pairs, each = people*float64(t.replicas), all/float64(t.replicas)
	}
	isOpen := 1 - math.Exp(-each*t.idle.Seconds())
	r := rates{calls: people * all, open: pairs * isOpen, opened: pairs * each * (1 - isOpen), replicas: float64(t.replicas)}
	touched := 1 - math.Exp(-each*relist.Seconds())
	r.relists = pairs * touched / relist.Seconds()
	// A look at the tools that is still to come renews a token that is due, too, so
	// that nobody waits for the next call then.
	pending := 1 - math.Exp(-all*relist.Seconds()/2)
	r.refreshes = people / (t.due().Seconds() + (1-pending)/all)
	read := 1 / (recheck.Seconds() + 1/each) // by calls, for each pair
	fresh := read * recheck.Seconds()
	r.reads = pairs*read + r.relists*(1-fresh/touched) + refreshReads*r.refreshes + loginReads*t.logins()
	if !t.sticky && t.replicas > 1 {
		r.reads += r.refreshes * refreshTold * float64(t.replicas-1) * elsewhere(all, each, t.idle.Seconds())
	}
	r.writes = refreshWrites*r.refreshes + loginWrites*t.logins()
	return r
}

// elsewhere is how likely a person who causes a refresh has a connection at a
// certain other replica. A refresh comes after a time without calls, which is as
// random as the calls: the last call there was before that.
func elsewhere(all, each, idle float64) float64 {
	others := all - each
	return 1 - math.Exp(-all*idle) - all/others*math.Exp(-each*idle)*(1-math.Exp(-others*idle))
}
