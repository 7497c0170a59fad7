package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inkwell/test/harness"
)

// prometheusConf scrapes a collector on the port that Scribe clients use, and a forwarder.
const prometheusConf = `global:
  scrape_interval: 500ms
  evaluation_interval: 500ms
rule_files: [%[1]s]
scrape_configs:
  - job_name: inkwell
    static_configs:
      - targets: [%[2]q, %[3]q]
`

// prometheus is a running Prometheus of Debian.
type prometheus struct{ url string }

// get asks its API and puts the data of the answer into to.
func (p prometheus) get(t *testing.T, path string, to any) (problem string) {
	t.Helper()
	answer, err := http.Get(p.url + path)
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	var all struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(answer.Body).Decode(&all); err != nil {
		return err.Error()
	}
	if all.Status != "success" {
		return all.Error
	}
	if err := json.Unmarshal(all.Data, to); err != nil {
		t.Fatal(err)
	}
	return ""
}

// results is how many series a query gives.
func (p prometheus) results(t *testing.T, query string) (n int, problem string) {
	t.Helper()
	var data struct{ Result []json.RawMessage }
	problem = p.get(t, "/api/v1/query?query="+url.QueryEscape(query), &data)
	return len(data.Result), problem
}

// awaitResults waits until a query gives so many series.
func (p prometheus) awaitResults(t *testing.T, query string, want int) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		n, problem := p.results(t, query)
		if n >= want && problem == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %d series (%s), want %d", query, n, problem, want)
		}
	}
}

// firing lists the rules that are not evaluated, or are not inactive.
func (p prometheus) firing(t *testing.T) (list []string) {
	t.Helper()
	var groups struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError, State string }
		}
	}
	if problem := p.get(t, "/api/v1/rules", &groups); problem != "" {
		return []string{problem}
	}
	for _, r := range groups.Groups[0].Rules {
		rightly := false
		if r.Name == "InkwellDiskFilling" || r.Name == "InkwellUnwell" {
			// The disk is that of the machine, which can be as full as the rule says.
			full, _ := p.results(t, "inkwell_disk_free_bytes / inkwell_disk_size_bytes < 0.1")
			rightly = full > 0
		}
		if r.Health != "ok" || r.State != "inactive" && !rightly {
			list = append(list, fmt.Sprintf("%s: health %s %s, state %s", r.Name, r.Health, r.LastError, r.State))
		}
	}
	return list
}

// TestPrometheus has a real one scrape a collector and a forwarder, and runs every query of the dashboard and of the rules in it.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := ink.Collect(t, filepath.Join(dir, "out"))
	log, web := filepath.Join(dir, "a.log"), harness.FreeAddr(t)
	harness.WriteFile(t, log, "one\ntwo\n")
	ink.Start(t, harness.Command{Args: []string{"forward", "--to", c.Addr, "--state", filepath.Join(dir, "state"), "--http", web, "app=" + log}})
	rules, err := filepath.Abs("../packaging/prometheus/inkwell.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	conf, at := filepath.Join(dir, "prometheus.yml"), harness.FreeAddr(t)
	harness.WriteFile(t, conf, fmt.Sprintf(prometheusConf, rules, c.Addr, web))
	ink.Start(t, harness.Command{Program: "/usr/bin/prometheus", Args: []string{"--config.file=" + conf, "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + at}})
	p := prometheus{"http://" + at}
	p.awaitResults(t, `up == 1`, 2)
	mustLog(t, dialScribe(t, c.Addr), harness.Entry{Category: "web", Message: "m\n"})
	p.awaitResults(t, `rate(inkwell_entries_received_total{category="web"}[5m])`, 1)
	p.awaitResults(t, `rate(inkwell_entries_sent_total[5m])`, 1)
	checkDashboard(t, p)
	p.awaitResults(t, `count_over_time(up[10m]) > 5`, 2)
	var firing []string
	defer func() { t.Logf("rules that were not as they should be: %q", firing) }()
	harness.Until(t, "no rule is pending or fires", func() bool { // a scrape can fail on a machine that is busy
		firing = p.firing(t)
		return len(firing) == 0
	})
	for _, addr := range []string{c.Addr, web} {
		body, code := curl(t, "http://"+addr+"/metrics")
		check := exec.Command("/usr/bin/promtool", "check", "metrics")
		check.Stdin = strings.NewReader(body + "\n")
		if out, err := check.CombinedOutput(); err != nil || code != "200" || len(out) > 0 {
			t.Errorf("%s: %s, promtool: %v\n%s", addr, code, err, out)
		}
	}
}

// checkDashboard runs every query of the dashboard: each gives something.
func checkDashboard(t *testing.T, p prometheus) {
	t.Helper()
	text, err := os.ReadFile("../packaging/grafana/inkwell.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Templating struct{ List []struct{ Name, Type string } }
		Panels     []struct {
			Datasource struct{ UID string }
			Targets    []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	// Provisioned dashboards are not asked for a data source: they need a variable that has one.
	if strings.Contains(string(text), "${DS_") || len(board.Templating.List) == 0 || board.Templating.List[0].Type != "datasource" {
		t.Errorf("the dashboard has no variable for the data source: %+v", board.Templating)
	}
	queries := 0
	for _, panel := range board.Panels {
		if panel.Datasource.UID != "${datasource}" {
			t.Errorf("a panel has the data source %q", panel.Datasource.UID)
		}
		for _, target := range panel.Targets {
			queries++
			query := strings.NewReplacer("$job", ".+", "$instance", ".+").Replace(target.Expr)
			p.awaitResults(t, query, 1)
		}
	}
	if queries < 20 {
		t.Errorf("only %d queries", queries)
	}
}

// TestAlertRules has promtool look at the rules, and run their tests.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"check", "rules", "inkwell.rules.yml"}, {"test", "rules", "inkwell.test.yml"}} {
		cmd := exec.Command("/usr/bin/promtool", args...)
		cmd.Dir = "../packaging/prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}
