package main

import (
	"math/rand/v2"
	"slices"
	"time"
)

// hour is how long is simulated, after everything has come into its usual state.
const hour = time.Hour

// counts are what happened, by the second.
type counts struct {
	calls, opened, relists, refreshes, reads, writes [hour / time.Second]int32
	change                                           [hour/time.Second + 1]int32 // of the open connections
}

// at gives the second of a moment, and whether it is in the hour.
func at(moment time.Duration) (int, bool) {
	return int(moment / time.Second), moment >= 0 && moment < hour
}

func add(list *[hour / time.Second]int32, moment time.Duration, n int32) {
	if second, ok := at(moment); ok {
		list[second] += n
	}
}

// connected notes that a connection was open for a while.
func (c *counts) connected(from, to time.Duration) {
	if to <= 0 || from >= hour {
		return
	}
	first, _ := at(max(from, 0))
	c.change[first]++
	if last, ok := at(to); ok {
		c.change[last]--
	}
}

// place is what a replica knows of a person.
type place struct {
	open   bool
	opened time.Duration // the connection
	used   time.Duration // the last call
	listed time.Duration // the last look whether to read the tools again
	read   time.Duration // the grant, from the store
}

// person is one on the way through the hour.
type person struct {
	t        town
	counts   *counts
	places   []place
	obtained time.Duration // the access token
	home     int           // the replica of a balancer that knows people
}

const longAgo = -1000 * time.Hour

// simulate takes everybody through the hour. They know nothing of each other, so
// one comes after the other. The first rates are averages over the hour, the
// second those of the seconds in which most of each happened.
func (t town) simulate(random *rand.Rand) (average, busiest rates) {
	c := &counts{}
	warm := 3 * max(t.life, t.idle)
	gap := func() time.Duration { return time.Duration(random.ExpFloat64() / t.rate() * float64(time.Second)) }
	p := &person{t: t, counts: c, places: make([]place, t.replicas)}
	for range t.people {
		p.arrive(random, warm)
		for now := -warm + gap(); now < hour; now += gap() {
			if t.dies && now >= hour/2 {
				p.loseLast()
			}
			p.call(now, p.goesTo(now, random))
		}
		if t.dies {
			p.loseLast()
		}
		for i := range p.places {
			p.leave(&p.places[i], hour)
		}
	}
	c.logins(t, random)
	average, busiest = c.rates()
	average.replicas, busiest.replicas = float64(t.replicas), float64(t.replicas)
	if t.dies { // for half of the hour there is one less, and then it is busiest
		average.replicas -= 0.5
		busiest.replicas--
	}
	return average, busiest
}

// loseLast takes the last replica away in the middle of the hour.
func (p *person) loseLast() {
	here := &p.places[len(p.places)-1]
	p.leave(here, hour/2)
	if here.open {
		p.counts.connected(here.opened, hour/2)
		here.open = false
	}
}

// arrive makes a new person, whose token may have any age.
func (p *person) arrive(random *rand.Rand, before time.Duration) {
	for i := range p.places {
		p.places[i] = place{read: longAgo}
	}
	p.obtained = -before - time.Duration(random.Int64N(int64(p.t.life)))
	p.home = random.IntN(p.t.replicas)
}

// goesTo is the replica that the balancer chooses.
func (p *person) goesTo(now time.Duration, random *rand.Rand) int {
	replicas := p.t.replicas
	if p.t.dies && now >= hour/2 {
		replicas-- // the last one
	}
	if !p.t.sticky {
		return random.IntN(replicas)
	}
	return p.home % replicas
}

// call is a call to a replica.
func (p *person) call(now time.Duration, replica int) {
	add(&p.counts.calls, now, 1)
	here := &p.places[replica]
	p.leave(here, now)
	if !here.open {
		here.open, here.opened, here.listed, here.read = true, now, now, longAgo
		add(&p.counts.opened, now, 1)
	}
	p.token(now, here)
	here.used = now
}

// leave lets pass at a replica what happens until now without a call: looks at the
// tools, and the end of the connection.
func (p *person) leave(here *place, now time.Duration) {
	if !here.open {
		return
	}
	if next := here.listed + (here.used-here.listed)/relist*relist + relist; next <= min(now, here.used+p.t.idle) {
		here.listed = next // the first look after the last call
		add(&p.counts.relists, next, 1)
		p.token(next, here)
	}
	if end := here.used + p.t.idle; end <= now {
		p.counts.connected(here.opened, end)
		here.open = false
	} else if now == hour {
		p.counts.connected(here.opened, hour)
	}
}

// token is what each request needs: the grant, as new as that, and renewed if it
// is due.
func (p *person) token(now time.Duration, here *place) {
	if now-here.read >= recheck {
		here.read = now
		add(&p.counts.reads, now, 1)
	}
	if now-p.obtained < p.t.due() {
		return
	}
	p.obtained = now
	add(&p.counts.refreshes, now, 1)
	add(&p.counts.reads, now, refreshReads)
	add(&p.counts.writes, now, refreshWrites)
	for i := range p.places {
		other := &p.places[i]
		if other != here && other.open && now < other.used+p.t.idle {
			other.read = now
			add(&p.counts.reads, now, refreshTold)
		}
	}
}

// logins come at random, and cost the store something.
func (c *counts) logins(t town, random *rand.Rand) {
	if t.logins() <= 0 {
		return
	}
	for now := time.Duration(0); ; {
		now += time.Duration(random.ExpFloat64() / t.logins() * float64(time.Second))
		if now >= hour {
			return
		}
		add(&c.reads, now, loginReads)
		add(&c.writes, now, loginWrites)
	}
}

// rates are averages, and what the busiest second had of each.
func (c *counts) rates() (average, busiest rates) {
	sum := func(list *[hour / time.Second]int32) (mean, most float64) {
		total := 0
		for _, n := range list {
			total += int(n)
		}
		return float64(total) / hour.Seconds(), float64(slices.Max(list[:]))
	}
	average.calls, busiest.calls = sum(&c.calls)
	average.opened, busiest.opened = sum(&c.opened)
	average.relists, busiest.relists = sum(&c.relists)
	average.refreshes, busiest.refreshes = sum(&c.refreshes)
	average.reads, busiest.reads = sum(&c.reads)
	average.writes, busiest.writes = sum(&c.writes)
	var open [hour / time.Second]int32
	now := int32(0)
	for second := range open {
		now += c.change[second]
		open[second] = now
	}
	average.open, busiest.open = sum(&open)
	return average, busiest
}
