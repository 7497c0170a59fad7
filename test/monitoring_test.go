package test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"inkwell/test/harness"
)

// nagiosConf runs two services every second: a collector and a forwarder. NSCA and others hand passive checks in by the command file.
const nagiosConf = `log_file={DIR}/nagios.log
cfg_file={DIR}/objects.cfg
object_cache_file={DIR}/objects.cache
status_file={DIR}/status.dat
status_update_interval=1
command_file={DIR}/nagios.cmd
lock_file={DIR}/nagios.lock
temp_file={DIR}/nagios.tmp
temp_path={DIR}
check_result_path={DIR}/results
query_socket={DIR}/nagios.qh
check_external_commands=1
retain_state_information=0
interval_length=1
enable_notifications=0
nagios_user={USER}
nagios_group={USER}
illegal_macro_output_chars=~$&|'"<>
`

const nagiosObjects = `define command {
  command_name check_inkwell
  command_line {INKWELL} health --timeout 8s --backlog-age $ARG1$ $ARG2$
}
define command {
  command_name nothing
  command_line /bin/true
}
define timeperiod {
  timeperiod_name always
  alias always
}
define contact {
  contact_name nobody
  service_notification_commands nothing
  host_notification_commands nothing
}
define host {
  host_name logs
  address 127.0.0.1
  max_check_attempts 1
}
define service {
  name each
  register 0
  host_name logs
  check_interval 1
  retry_interval 1
  max_check_attempts 1
}
define service {
  use each
  service_description collector
  check_command check_inkwell!5m!{ADDR}
}
define service {
  use each
  service_description forwarder
  check_command check_inkwell!5m!{STATE}
}
define service {
  use each
  service_description passive
  check_command nothing
  active_checks_enabled 0
}
`

// nagiosService is what Nagios knows of a service.
type nagiosService struct{ state, output, performance string }

// nagiosStatus reads the services from status.dat.
func nagiosStatus(path string) map[string]nagiosService {
	services := make(map[string]nagiosService)
	data, err := os.ReadFile(path)
	if err != nil {
		return services // it has not been written yet
	}
	for _, block := range strings.Split(string(data), "servicestatus {")[1:] {
		values := make(map[string]string)
		for line := range strings.Lines(block) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			if _, again := values[key]; !again {
				values[key] = value
			}
		}
		services[values["service_description"]] = nagiosService{values["current_state"], values["plugin_output"], values["performance_data"]}
	}
	return services
}

// TestUnderNagios: Debian's Nagios runs inkwell health for a collector and a forwarder, sees both well, then the collector stopped; and takes
// its output as a passive check.
func TestUnderNagios(t *testing.T) {
	t.Parallel()
	account, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir, state, logs := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.Collect(t, t.TempDir(), bulk...)
	l := newLogger(t, filepath.Join(logs, "app.log"), "app")
	l.write(t, 100, false)
	ink.Start(t, harness.Command{Args: []string{"forward", "--to", c.Addr, "--state", state, "app=" + l.path}})
	c.Received(t, 100)
	fill := strings.NewReplacer("{DIR}", dir, "{ADDR}", c.Addr, "{STATE}", state, "{INKWELL}", ink.Path, "{USER}", account.Username)
	harness.WriteFile(t, filepath.Join(dir, "nagios.cfg"), fill.Replace(nagiosConf))
	harness.WriteFile(t, filepath.Join(dir, "objects.cfg"), fill.Replace(nagiosObjects))
	harness.WriteFile(t, filepath.Join(dir, "results", ".keep"), "")
	ink.Start(t, harness.Command{Program: unpacked + "nagios4-core/usr/sbin/nagios4", Args: []string{filepath.Join(dir, "nagios.cfg")}})
	seen := func(service, state, output string) {
		t.Helper()
		var now nagiosService
		harness.Until(t, "Nagios sees "+service+" in state "+state, func() bool {
			now = nagiosStatus(filepath.Join(dir, "status.dat"))[service]
			return now.state == state && strings.Contains(now.output, output)
		})
	}
	seen("collector", "0", "INKWELL OK - "+c.Addr)
	seen("forwarder", "0", "INKWELL OK - "+state)
	if s := nagiosStatus(filepath.Join(dir, "status.dat"))["collector"]; !strings.Contains(s.performance, "'entries'=100c") {
		t.Errorf("performance data %q", s.performance)
	}
	c.Stop(t)
	l.write(t, 1, false)
	seen("collector", "2", "INKWELL CRITICAL - "+c.Addr+": it cannot be reached")
	seen("forwarder", "1", "INKWELL WARNING - "+state+": the next hop "+c.Addr+" is down")
	r := ink.Run(t, "health", state)
	first, _, _ := strings.Cut(r.Stdout, "\n")
	command := fmt.Sprintf("[%d] PROCESS_SERVICE_CHECK_RESULT;logs;passive;%d;%s\n", 0, r.Code, first)
	pipe, err := os.OpenFile(filepath.Join(dir, "nagios.cmd"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	if _, err := pipe.WriteString(command); err != nil {
		t.Fatal(err)
	}
	seen("passive", "1", "INKWELL WARNING - ")
}

// TestHealthOfWhoStartsWhileTheNextHopIsDown: a relay and a forwarder that have only looked for the next hop, and one that
// has a backlog from before, say that it is down, until it is there.
func TestHealthOfWhoStartsWhileTheNextHopIsDown(t *testing.T) {
	t.Parallel()
	c := ink.NewCollector(t, t.TempDir(), bulk...)
	relay := ink.Scribed(t, "port={PORT}\ncheck_interval=1\n"+harness.RelayStore("service_list="+c.Addr, "{DIR}"))
	mustLog(t, dialScribe(t, relay.Addr), harness.Entry{Category: "relayed", Message: "one\n"})
	state, log := t.TempDir(), filepath.Join(t.TempDir(), "app.log")
	harness.WriteFile(t, log, "two\n")
	f := forward(t, c.Addr, state, "app="+log)
	says := func(who string, code int, text string) {
		t.Helper()
		var r harness.Result
		harness.Until(t, who+" says "+text, func() bool {
			r = ink.Run(t, "health", who)
			return r.Code == code && strings.Contains(r.Stdout, text)
		})
	}
	down := "the next hop " + c.Addr + " is down"
	says(relay.Addr, 1, down)
	says(state, 1, down)
	f.Stop(t)
	f = forward(t, c.Addr, state, "app="+log)
	says(state, 1, down)
	relay.Kill()
	relay.Restart(t)
	says(relay.Addr, 1, down)
	c.Restart(t)
	says(relay.Addr, 0, "all is well")
	says(state, 0, "all is well")
	c.Received(t, 2)
	f.Stop(t)
	relay.Stop(t)
	c.Stop(t)
}

// muninStart runs munin-node with its configuration in a directory of the test.
const muninStart = `use Munin::Common::Defaults;
BEGIN {
  no warnings;
  $Munin::Common::Defaults::MUNIN_CONFDIR = "{DIR}";
  $Munin::Common::Defaults::MUNIN_PLUGSTATE = $Munin::Common::Defaults::MUNIN_STATEDIR = "{DIR}/state";
}
@ARGV = ("--config", "{DIR}/munin-node.conf");
$0 = "/usr/sbin/munin-node";
do $0;
die $@ if $@;
exit main();
`

const muninConf = `log_file {DIR}/munin-node.log
pid_file {DIR}/munin-node.pid
background 0
setsid 0
user {USER}
group {GROUP}
host_name test
allow ^127\.0\.0\.1$
host 127.0.0.1
port {PORT}
`

// TestUnderMunin: Debian's munin-node runs the program by the names of links, one for each figure and daemon.
func TestUnderMunin(t *testing.T) {
	t.Parallel()
	account, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir, state, logs := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.Collect(t, t.TempDir(), bulk...)
	l := newLogger(t, filepath.Join(logs, "app.log"), "app")
	l.write(t, 100, false)
	ink.Start(t, harness.Command{Args: []string{"forward", "--to", c.Addr, "--state", state, "app=" + l.path}})
	c.Received(t, 100)
	addr := harness.FreeAddr(t)
	_, port, _ := strings.Cut(addr, ":")
	fill := strings.NewReplacer("{DIR}", dir, "{PORT}", port, "{USER}", account.Username, "{GROUP}", account.Username, "{STATE}", state)
	for name, text := range map[string]string{"start.pl": muninStart, "munin-node.conf": muninConf, "state/.keep": "", "plugin-conf.d/inkwell": "[inkwell_*]\nuser {USER}\n[inkwell_age_forwarder]\nenv.address {STATE}\n"} {
		harness.WriteFile(t, filepath.Join(dir, name), fill.Replace(text))
	}
	entries := "inkwell_entries_" + strings.ReplaceAll(c.Addr, ":", "_")
	if err := os.Mkdir(filepath.Join(dir, "plugins"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{entries, "inkwell_age_forwarder"} {
		if err := os.Symlink(ink.Path, filepath.Join(dir, "plugins", name)); err != nil {
			t.Fatal(err)
		}
	}
	ink.Start(t, harness.Command{Program: "/usr/bin/perl", Args: []string{filepath.Join(dir, "start.pl")}})
	var conn net.Conn
	harness.Until(t, "munin-node listens", func() (ok bool) {
		var err error
		conn, err = net.Dial("tcp", addr)
		return err == nil
	})
	defer conn.Close()
	in := bufio.NewScanner(conn)
	in.Scan() // what it says first
	ask := func(question string) (answer string) {
		t.Helper()
		if _, err := fmt.Fprintln(conn, question); err != nil {
			t.Fatal(err)
		}
		for in.Scan() && in.Text() != "." {
			answer += in.Text() + "\n"
		}
		return answer
	}
	for question, want := range map[string]string{
		"config " + entries:             "received.type DERIVE\n",
		"fetch " + entries:              "received.value 100\n",
		"config inkwell_age_forwarder":  "graph_title Inkwell age of the oldest entry that waits of " + state + "\n",
		"fetch inkwell_age_forwarder\n": "oldest.value 0\n",
	} {
		if answer := ask(strings.TrimSpace(question)); !strings.Contains(answer, want) {
			t.Errorf("%s: %q, want %q", question, answer, want)
		}
	}
}
