package main

import (
	"errors"
	"time"
)

// What mcpo does, as its code has it.
const (
	// recheck is how long a grant is used from memory before the store is asked.
	recheck = 5 * time.Second
	// relist is the time between two looks at the tools of a connection that was
	// called since the last one.
	relist = time.Minute
	// connectionsEach is how many database connections a replica has at most: a
	// pool, and one that listens.
	connectionsEach = 9
	// maxCallers is how many connections a replica has to one server at most, unless
	// --max-callers says otherwise.
	maxCallers = 10_000
	// A refresh reads the grant once and writes four times: the lock, the mark, the
	// new tokens, the lock again. The other replicas are told of two of them, and
	// read the grant again if they have it.
	refreshReads  = 1
	refreshWrites = 4
	refreshTold   = 2
	// A login, from the link to the grant.
	loginReads  = 8
	loginWrites = 10
	// rowsEach is what stays of a person in the database: the grant, and the lock.
	rowsEach = 2
)

// town is who uses mcpo, and how.
type town struct {
	people       int
	callsPerDay  float64
	busiest      float64 // part of a day's calls in the busiest hour
	loginsPerDay float64
	life, idle   time.Duration
	replicas     int
	sticky       bool
	dies         bool // one replica, in the middle
	costs        costs
}

// costs are what bench has measured.
type costs struct {
	call, opening, refresh time.Duration // of a processor
	callerKiB, baseMiB     float64
	read, write            time.Duration // on a database connection
	grantKB                float64
}

// usual is a town that one may begin with.
func usual() town {
	return town{people: 100_000, callsPerDay: 20, busiest: 0.2, loginsPerDay: 0.05, life: time.Hour, idle: 30 * time.Minute, replicas: 3,
		costs: costs{call: 100 * time.Microsecond, opening: 800 * time.Microsecond, refresh: 2 * time.Millisecond, callerKiB: 25, baseMiB: 30,
			read: 200 * time.Microsecond, write: time.Millisecond, grantKB: 4}}
}

func (t town) check() error {
	if t.people < 1 || t.callsPerDay <= 0 || t.busiest <= 0 || t.busiest > 1 || t.life <= 0 || t.idle <= 0 || t.replicas < 1 {
		return errors.New("-people, -calls, -busiest, -life, -idle and -replicas must be more than nothing, and -busiest 1 at most")
	}
	if t.dies && t.replicas < 2 {
		return errors.New("-dies needs two replicas at least")
	}
	return nil
}

// rate is how many calls a person makes in a second of the busiest hour.
func (t town) rate() float64 { return t.callsPerDay * t.busiest / 3600 }

// logins are those of everybody, in a second of the busiest hour.
func (t town) logins() float64 { return float64(t.people) * t.loginsPerDay * t.busiest / 3600 }

// due is the age at which an access token is renewed with the next request: a
// minute before its end, or a tenth of its life if that is shorter.
func (t town) due() time.Duration { return t.life - min(time.Minute, t.life/10) }

// rates are what happens in a second; open is how many connections there are, and
// replicas how many share all that.
type rates struct {
	calls, opened, relists, refreshes, reads, writes, open, replicas float64
}

func (t town) databaseBusy(r rates) float64 {
	return r.reads*t.costs.read.Seconds() + r.writes*t.costs.write.Seconds()
}

// memory is that of a replica, in MiB.
func (t town) memory(r rates) float64 {
	return t.costs.baseMiB + r.open/r.replicas*t.costs.callerKiB/1024
}

// cores is how many processors a replica keeps busy. Reading a tool list again is
// about a call.
func (t town) cores(r rates) float64 {
	busy := (r.calls+r.relists)*t.costs.call.Seconds() + r.opened*t.costs.opening.Seconds() + r.refreshes*t.costs.refresh.Seconds()
	return busy / r.replicas
}

// rows are those in the database when everybody has logged in.
func (t town) rows() float64 { return rowsEach * float64(t.people) }
