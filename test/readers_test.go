package test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"inkwell/test/harness"
)

// readersVariable says that the recipes for engines that take minutes are to be run as well.
const readersVariable = "INKWELL_READERS"

// The engines: in virtual environments of Python, and in jars.
const (
	fewReaders  = "readers-1"
	sparkReader = "readers-spark-4.2.0"
	hiveReader  = "hive-4.0.1"
	trinoReader = "trino-483"
)

// aRecipe is a piece of Python or SQL in docs/reading.md. Its first line says for which engine it is, how files may be
// compressed, and what it reads: "Spark .gz .zst over partitions (make readers)".
type aRecipe struct {
	language, engine, suffixes, about, code string
}

func (r *aRecipe) takes(suffix string) bool { return strings.Contains(r.suffixes+" ", suffix+" ") }

// over is what it reads: partitions, S3, or "" = a flat directory.
func (r *aRecipe) over() string {
	for _, over := range []string{"partitions", "S3"} {
		if strings.Contains(r.about, "over "+over) {
			return over
		}
	}
	return ""
}

var recipe = regexp.MustCompile("(?s)```(python|sql)\n(?:#|--) ([A-Za-z]+)((?: \\.[a-z]+)+)([^\n]*)\n(.*?)```")

func recipes(t *testing.T) (all []aRecipe) {
	t.Helper()
	doc, err := os.ReadFile("../docs/reading.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range recipe.FindAllStringSubmatch(string(doc), -1) {
		all = append(all, aRecipe{m[1], m[2], m[3], m[4], m[5]})
	}
	if len(all) < 12 {
		t.Fatalf("%d recipes in docs/reading.md", len(all))
	}
	return all
}

// collected is what a collector wrote for the recipes.
type collected struct {
	dir   string
	lines int
	env   []string
}

// collectFor writes 6,000 lines in the layout that recipes read; nil = that cannot be had.
func collectFor(t *testing.T, codec, over string) *collected {
	t.Helper()
	w := &collected{dir: t.TempDir()}
	flags := []string{"--compress", codec, "--max-size", "20KiB"}
	switch over {
	case "partitions":
		flags = append(flags, "--rotate", "hourly", "--layout", "hive")
	case "S3":
		g, ok := harness.NewGateway(t, "logs")
		if !ok {
			return nil
		}
		w.env = []string{"AWS_ACCESS_KEY_ID=" + harness.GatewayKey, "AWS_SECRET_ACCESS_KEY=" + harness.GatewaySecret,
			"AWS_REGION=us-east-1", "AWS_ENDPOINT_URL=http://" + g.Addr, "AWS_ALLOW_HTTP=true"}
		flags = append(flags, "--publish", "s3://logs/prod?path_style=yes&region=us-east-1&endpoint=http://"+g.Addr)
	}
	c := ink.NewCollector(t, w.dir, flags...)
	c.Env(w.env...)
	c.Restart(t)
	s := dialScribe(t, c.Addr)
	for k := range 20 {
		mustLog(t, s, harness.Entry{Category: "apache.access", Message: string(harness.Lines("r", k*300, (k+1)*300))})
	}
	c.Stop(t)
	var files []struct {
		Entries int64
		Path    string
	}
	r := ink.Run(t, "ls", "--json", filepath.Join(w.dir, "apache.access"))
	if err := json.Unmarshal([]byte(r.Stdout), &files); err != nil {
		t.Fatal(err, r.Stdout)
	}
	for _, f := range files {
		w.lines += strings.Count(ink.Run(t, "cat", f.Path).Stdout, "\n")
	}
	if w.lines != 6000 || len(files) < 2 {
		t.Fatalf("%d lines in %d files", w.lines, len(files))
	}
	return w
}

// TestRecipesOfReading runs the recipes of docs/reading.md with the real engines on what a collector wrote: each prints
// as many lines as inkwell ls.
func TestRecipesOfReading(t *testing.T) {
	bin := t.TempDir() // the program under its own name, which has another one with the race detector
	if err := os.Symlink(ink.Path, filepath.Join(bin, "inkwell")); err != nil {
		t.Fatal(err)
	}
	all := recipes(t)
	for codec, suffix := range map[string]string{"gzip": ".gz", "zstd": ".zst"} {
		for _, over := range []string{"", "partitions", "S3"} {
			w := collectFor(t, codec, over)
			if w == nil {
				continue
			}
			for i := range all {
				if r := &all[i]; r.takes(suffix) && r.over() == over {
					r.run(t, w, suffix, bin)
				}
			}
		}
	}
}

// run runs a recipe and compares what it prints last.
func (r *aRecipe) run(t *testing.T, w *collected, suffix, bin string) {
	t.Helper()
	if strings.Contains(r.about, "make readers") && os.Getenv(readersVariable) == "" {
		harness.NotRun(t, "the recipe for %s%s: it takes minutes, and downloads: make readers", r.engine, r.about)
		return
	}
	columns := t.TempDir()
	code := strings.NewReplacer("local:///srv/logs", "local:///"+filepath.Base(w.dir), "/srv/logs", w.dir, "local:///srv/parquet",
		"local:///"+filepath.Base(columns), "/srv/parquet", columns, "*.gz", "*"+suffix).Replace(r.code)
	if r.language == "sql" && strings.Contains(r.about, "over Parquet") { // those in Python convert themselves
		if c := ink.Run(t, "convert", "--format", "combined", "--out", columns, filepath.Join(w.dir, "apache.access")); c.Code != 0 {
			t.Fatalf("convert: %+v", c)
		}
	}
	cmd := r.command(t, w, code)
	if cmd == nil {
		return
	}
	cmd.Env = append(append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH")), w.env...)
	out, err := cmd.Output()
	printed := strings.Fields(string(out))
	if len(printed) == 0 || err != nil {
		var words string
		if exit := new(exec.ExitError); err != nil {
			if e, ok := err.(*exec.ExitError); ok {
				exit = e
			}
			words = string(exit.Stderr)
		}
		t.Errorf("%s%s of %s files: %v\n%s\n%s", r.engine, r.about, suffix, err, out, words)
		return
	}
	if n, err := strconv.Atoi(printed[len(printed)-1]); err != nil || n != w.lines {
		t.Errorf("%s%s of %s files: %s\nwant %d", r.engine, r.about, suffix, out, w.lines)
		return
	}
	t.Logf("%s%s of %s files: %d lines", r.engine, r.about, suffix, w.lines)
}

// command is how a recipe is run; nil = this machine cannot.
func (r *aRecipe) command(t *testing.T, w *collected, code string) *exec.Cmd {
	t.Helper()
	fetched := func(name string) string {
		path := harness.Fetched(name)
		if path == "" {
			harness.NotRun(t, "the recipe for %s%s: its engine could not be fetched", r.engine, r.about)
		}
		return path
	}
	switch {
	case r.engine == "Python":
		return exec.Command("python3", "-c", code)
	case r.engine == "Hive":
		if jars := fetched(hiveReader); jars != "" {
			return hive(t, jars, code)
		}
	case r.engine == "Trino":
		if jars := fetched(trinoReader); jars != "" {
			return trino(t, jars, filepath.Dir(w.dir), code)
		}
	case strings.Contains(r.about, "make readers"):
		if env := fetched(sparkReader); env != "" {
			return exec.Command(filepath.Join(env, "bin", "python"), "-c", code)
		}
	default:
		if env := fetched(fewReaders); env != "" {
			return exec.Command(filepath.Join(env, "bin", "python"), "-c", code)
		}
	}
	return nil
}

// opened are the packages of Java that Hive looks into.
var opened = strings.Fields(`java.lang java.lang.invoke java.lang.ref java.lang.reflect java.math java.net java.nio java.nio.charset
	java.io java.text java.time java.util java.util.concurrent java.util.concurrent.atomic java.util.concurrent.locks java.util.regex
	sun.nio.cs sun.nio.ch sun.security.action`)

// hive runs statements in Hive's own shell, with a metastore in Derby and its jobs in the same process.
func hive(t *testing.T, jars, statements string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	var conf strings.Builder
	conf.WriteString("<configuration>\n")
	for key, value := range map[string]string{
		"javax.jdo.option.ConnectionURL": "jdbc:derby:;databaseName=" + dir + "/meta;create=true", "datanucleus.schema.autoCreateAll": "true",
		"hive.metastore.schema.verification": "false", "hive.metastore.warehouse.dir": dir + "/warehouse",
		"hive.exec.scratchdir": dir + "/scratch", "hive.exec.local.scratchdir": dir + "/local", "hive.querylog.location": dir + "/query",
		"hive.execution.engine": "mr", "hive.exec.mode.local.auto": "true", "mapreduce.framework.name": "local", "hadoop.tmp.dir": dir + "/tmp",
	} {
		conf.WriteString("<property><name>" + key + "</name><value>" + value + "</value></property>\n")
	}
	conf.WriteString("</configuration>\n")
	harness.WriteFile(t, filepath.Join(dir, "conf", "hive-site.xml"), conf.String())
	harness.WriteFile(t, filepath.Join(dir, "s.sql"), statements)
	path := filepath.Join(dir, "conf")
	all, err := filepath.Glob(filepath.Join(jars, "*.jar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, jar := range all { // the two are there in other jars as well
		if name := filepath.Base(jar); !strings.HasPrefix(name, "slf4j-reload4j") && !strings.HasPrefix(name, "hadoop-client-api") {
			path += ":" + jar
		}
	}
	args := []string{"-Xmx900m", "-Djava.io.tmpdir=" + dir, "-Dhive.log.dir=" + dir, "-Dderby.stream.error.file=" + dir + "/derby.log",
		"--add-opens", "java.sql/java.sql=ALL-UNNAMED"}
	for _, name := range opened {
		args = append(args, "--add-opens", "java.base/"+name+"=ALL-UNNAMED")
	}
	cmd := exec.Command("java", append(args, "-cp", path, "org.apache.hadoop.hive.cli.CliDriver", "-S", "-f", filepath.Join(dir, "s.sql"))...)
	cmd.Dir = dir
	return cmd
}

// trino runs statements in a Trino of one process, for which local:///x is x in root.
func trino(t *testing.T, jars, root, statements string) *exec.Cmd {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/jvm/*25*/bin/java")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		harness.NotRun(t, "the recipe for Trino: it needs Java 25 in /usr/lib/jvm")
		return nil
	}
	program, err := filepath.Abs("testdata/trino/Trino.java")
	if err != nil {
		t.Fatal(err)
	}
	sql := filepath.Join(t.TempDir(), "s.sql")
	harness.WriteFile(t, sql, statements)
	return exec.Command(found[0], "-Xmx1g", "--add-modules", "jdk.incubator.vector", "-cp", filepath.Join(jars, "*"), program, root, sql)
}
