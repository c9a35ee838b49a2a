package main

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestFormulaAndSimulationAgree compares them in towns of many kinds: either may
// be wrong, but hardly both in the same way.
func TestFormulaAndSimulationAgree(t *testing.T) {
	for name, change := range map[string]func(*town){
		"usual":             func(*town) {},
		"one replica":       func(t *town) { t.replicas = 1 },
		"six replicas":      func(t *town) { t.replicas = 6 },
		"sticky":            func(t *town) { t.sticky = true },
		"short tokens":      func(t *town) { t.life = 5 * time.Minute },
		"short connections": func(t *town) { t.idle = 2 * time.Minute },
		"many calls":        func(t *town) { t.callsPerDay, t.people, t.idle = 400, 2000, 8*time.Minute },
		"few calls":         func(t *town) { t.callsPerDay = 2 },
		"many logins":       func(t *town) { t.loginsPerDay = 5 },
	} {
		t.Run(name, func(t *testing.T) {
			here := usual()
			here.people = 20_000
			change(&here)
			formula := here.formula()
			simulated, busiest := here.simulate(rand.New(rand.NewPCG(1, 2)))
			for _, figure := range []struct {
				name string
				of   func(rates) float64
			}{
				{"calls", func(r rates) float64 { return r.calls }}, {"opened", func(r rates) float64 { return r.opened }},
				{"relists", func(r rates) float64 { return r.relists }}, {"refreshes", func(r rates) float64 { return r.refreshes }},
				{"reads", func(r rates) float64 { return r.reads }}, {"writes", func(r rates) float64 { return r.writes }},
				{"open", func(r rates) float64 { return r.open }}, {"memory", here.memory}, {"cores", here.cores}, {"database", here.databaseBusy},
			} {
				f, s := figure.of(formula), figure.of(simulated)
				if math.Abs(f-s) > 0.05*s || s <= 0 {
					t.Errorf("%s: the formula says %.3f, the simulation %.3f", figure.name, f, s)
				}
				if most := figure.of(busiest); most < s {
					t.Errorf("%s: the busiest second has %.3f, the average %.3f", figure.name, most, s)
				}
			}
		})
	}
}

// TestReplicaDies holds that its people are seen to go elsewhere.
func TestReplicaDies(t *testing.T) {
	here := usual()
	here.people, here.sticky = 20_000, true
	before, _ := here.simulate(rand.New(rand.NewPCG(1, 2)))
	here.dies = true
	after, _ := here.simulate(rand.New(rand.NewPCG(1, 2)))
	if after.opened < 1.05*before.opened || math.Abs(after.calls-before.calls) > 0.02*before.calls {
		t.Errorf("with a replica that dies %+v, without %+v", after, before)
	}
}

func TestTable(t *testing.T) {
	here := usual()
	here.people = 100
	var out bytes.Buffer
	simulated, busiest := here.simulate(rand.New(rand.NewPCG(1, 2)))
	here.table(&out, here.formula(), simulated, busiest)
	if text := out.String(); !strings.Contains(text, "| refreshes/s |") || !strings.Contains(text, "27 connections") || strings.Contains(text, "%!") {
		t.Errorf("the table is\n%s", text)
	}
	for name, change := range map[string]func(*town){
		"nobody":               func(t *town) { t.people = 0 },
		"more than the day":    func(t *town) { t.busiest = 1.1 },
		"the only one is gone": func(t *town) { t.replicas, t.dies = 1, true },
	} {
		bad := usual()
		change(&bad)
		if bad.check() == nil {
			t.Errorf("%s: is fine", name)
		}
	}
}
