package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"mcpo/internal/oauthtest"
)

// TestReplicasKeepPeopleApart: ten people log in, each by another way through
// the replicas, and call at all of them at once. Nobody ever sees the data of
// another.
func TestReplicasKeepPeopleApart(t *testing.T) {
	onEachStorage(t, func(t *testing.T, s shared) {
		r := replicate(t, s, oauthtest.Options{})
		people := r.people(t, 10)
		order := make([][]int, 12) // of calls; each walks through people and replicas in its own
		for i := range order {
			order[i] = rand.Perm(len(people) * three)
		}
		all := func() {
			t.Helper()
			if err := together(len(order), func(i int) error {
				var problems []error
				for _, n := range order[i] {
					problems = append(problems, people[n/three].works(r.all[n%three].base))
				}
				return errors.Join(problems...)
			}); err != nil {
				t.Error(err)
			}
		}
		all()
		r.outside.Expire() // and while their tokens are renewed
		all()
		r.hadAtLab(t, "refresh", len(people))
	})
}

// people log in, as many as wanted.
func (r *replicas) people(t *testing.T, n int) (all []member) {
	t.Helper()
	for i := range n {
		m := r.member(t, fmt.Sprint("person-", i))
		m.logIn(t)
		all = append(all, m)
	}
	return all
}
