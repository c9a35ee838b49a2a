package store

import "time"

// SetLease changes how long a lock outlives the last sign of life of its holder.
// It is called before the first lock.
func (p *Postgres) SetLease(d time.Duration) { p.lease = d }
