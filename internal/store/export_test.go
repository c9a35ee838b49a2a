package store

import "time"

// Patient has operations wait for d, as on machines that do much else.
func (o PostgresOptions) Patient(d time.Duration) PostgresOptions { o.patience = d; return o }

// Lease has a lock outlive the last sign of life of its holder by d.
func (o PostgresOptions) Lease(d time.Duration) PostgresOptions { o.lease = d; return o }
