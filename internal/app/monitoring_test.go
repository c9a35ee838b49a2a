package app

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// monitoring is the folder of what reads the metrics.
const monitoring = "../../packaging"

// dashboard is as much of a Grafana dashboard as is held true here.
type dashboard struct {
	UID        string
	Title      string
	Templating struct{ List []variable }
	Panels     []panel
}

type variable struct {
	Name, Type string
	Datasource datasource
	Definition string
}

type datasource struct{ Type, UID string }

type panel struct {
	ID          int
	Type, Title string
	Datasource  datasource
	GridPos     struct{ H, W, X, Y int }
	Targets     []target
}

type target struct {
	Expr       string
	Datasource datasource
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(monitoring, "grafana", "mcpo.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDashboard holds that each panel asks the data source that is chosen, has a
// place of its own, and uses variables that there are.
func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	known := map[string]bool{"__rate_interval": true}
	for _, v := range d.Templating.List {
		known[v.Name] = true
	}
	if !known["datasource"] || d.Templating.List[0].Type != "datasource" {
		t.Error("the data source cannot be chosen")
	}
	ids, rows, places := map[int]bool{}, []string{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d, %q, has the id of another or no title", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other, taken := places[at]; taken || at[0] >= 24 {
					t.Fatalf("%q lies over %q, or beyond the edge", p.Title, other)
				}
				places[at] = p.Title
			}
		}
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		if len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
			t.Errorf("%q asks nothing, or not the data source that is chosen", p.Title)
		}
		for _, q := range p.Targets {
			if q.Datasource.UID != "${datasource}" {
				t.Errorf("%q asks %q", p.Title, q.Datasource.UID)
			}
			for _, used := range regexp.MustCompile(`\$(\w+)`).FindAllStringSubmatch(q.Expr, -1) {
				if !known[used[1]] {
					t.Errorf("%q uses $%s, which there is not", p.Title, used[1])
				}
			}
		}
	}
	want := []string{"Calls", "Latency", "mcpo's own time", "Connections", "Logins and refreshes", "Store", "Process"}
	if !slices.Equal(rows, want) {
		t.Errorf("the rows are %q", rows)
	}
}

// TestMonitoringNamesMetricsThatThereAre: each metric that dashboard and alerts
// ask for is in a scrape, and none of mcpo's own is forgotten by both.
func TestMonitoringNamesMetricsThatThereAre(t *testing.T) {
	got, _ := samples(t, newBusy(t).at)
	there := map[string]bool{"mcpo_grants": true} // it is counted a little later
	for sample := range got {
		name, _, _ := strings.Cut(sample, "{")
		there[name] = true
		there[family(name)] = true // as the native histogram is named
	}
	var asked strings.Builder
	d := readDashboard(t)
	for _, v := range d.Templating.List {
		asked.WriteString(v.Definition + "\n")
	}
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			asked.WriteString(q.Expr + "\n")
		}
	}
	rules, err := os.ReadFile(filepath.Join(monitoring, "prometheus", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	asked.Write(rules)
	named := metricNames(asked.String())
	for _, name := range named {
		if !there[name] {
			t.Errorf("%s is asked for, and no scrape has it", name)
		}
	}
	used := map[string]bool{}
	for _, name := range named {
		used[family(name)] = true
	}
	for name := range there {
		if strings.HasPrefix(name, "mcpo_") && !used[family(name)] {
			t.Errorf("nobody looks at %s", name)
		}
	}
}

// family is the name of what a sample belongs to.
func family(name string) string {
	for _, end := range []string{"_bucket", "_sum", "_count"} {
		name = strings.TrimSuffix(name, end)
	}
	return name
}

// metricNames are the names of metrics in a text.
func metricNames(text string) []string {
	all := map[string]bool{}
	for _, name := range regexp.MustCompile(`\b(?:mcpo|go|process)_[a-z0-9_]+\b`).FindAllString(text, -1) {
		all[name] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// TestAlertsSayWhatToDo holds that each has a severity, a summary and a
// description.
func TestAlertsSayWhatToDo(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(monitoring, "prometheus", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile(filepath.Join(monitoring, "prometheus", "alerts_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	alerts := strings.Split(string(text), "- alert: ")[1:]
	if len(alerts) < 10 {
		t.Fatalf("there are %d alerts", len(alerts))
	}
	for _, alert := range alerts {
		name, _, _ := strings.Cut(alert, "\n")
		for _, part := range []string{"\n        expr: ", "\n          severity: ", "\n          summary: ", "\n          description: "} {
			if !strings.Contains(alert, part) {
				t.Errorf("%s has no %s", name, strings.TrimSpace(part))
			}
		}
		if !strings.Contains(string(tests), `alertname="`+name+`"`) {
			t.Errorf("%s has no test in alerts_test.yaml", name)
		}
	}
}

// promtool gives the program, from PATH or from where .ci/run puts it, and skips
// the test where there is none.
func promtool(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("promtool"); err == nil {
		return path
	}
	folder := os.Getenv("MCPO_TOOLS")
	if folder == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			base = os.TempDir()
		}
		folder = filepath.Join(base, "mcpo-ci")
	}
	path := filepath.Join(folder, "promtool")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if os.Getenv("MCPO_TEST_FULL") == "1" {
		t.Fatal("MCPO_TEST_FULL=1 asks for every test, but there is no promtool (.ci/run installs it)")
	}
	t.Skip("needs promtool, of Debian's package prometheus; .ci/run installs it and runs this test (it sets MCPO_TEST_FULL=1)")
	return ""
}

// TestPromtool has Prometheus's own tool check the alerts, and a real scrape.
func TestPromtool(t *testing.T) {
	tool := promtool(t)
	_, text := samples(t, newBusy(t).at)
	for name, c := range map[string]struct{ args, in string }{
		"rules":   {"check rules alerts.yaml", ""},
		"tests":   {"test rules alerts_test.yaml", ""},
		"metrics": {"check metrics", text},
	} {
		cmd := exec.CommandContext(t.Context(), tool, strings.Fields(c.args)...)
		cmd.Dir, cmd.Stdin = filepath.Join(monitoring, "prometheus"), strings.NewReader(c.in)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
