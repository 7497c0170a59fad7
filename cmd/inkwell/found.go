package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"inkwell/internal/conf"
)

// logPlace is a path where programs write their logs, with the category for it.
type logPlace struct {
	what     string // for a person
	category string
	globs    []string // each that finds a file becomes a <tail> block
	lines    []string // further lines of the block
	instead  bool     // the systemd journal has the same lines, if there is one
}

// logPlaces are the places that init looks in, as on Debian, Red Hat and Kubernetes.
var logPlaces = []logPlace{
	{what: "Apache's access logs", category: "apache.access",
		globs: []string{"/var/log/apache2/*access.log", "/var/log/httpd/*access_log"}},
	{what: "Apache's error logs", category: "apache.error",
		globs: []string{"/var/log/apache2/*error.log", "/var/log/httpd/*error_log"}},
	{what: "nginx's access logs", category: "nginx.access", globs: []string{"/var/log/nginx/*access.log"}},
	{what: "nginx's error logs", category: "nginx.error", globs: []string{"/var/log/nginx/*error.log"}},
	{what: "the logs of containers", category: "k8s.{ns}.{container}",
		globs: []string{"/var/log/pods/{ns}_{pod}_*/{container}/*.log"}, lines: []string{"format=cri"}},
	{what: "syslog", category: "syslog", globs: []string{"/var/log/syslog", "/var/log/messages"}, instead: true},
	{what: "syslog of log-ins", category: "auth", globs: []string{"/var/log/auth.log", "/var/log/secure"},
		instead: true},
	{what: "syslog of mail", category: "mail", globs: []string{"/var/log/mail.log", "/var/log/maillog"}, instead: true},
}

// foundInputs are the inputs of this machine, as the blocks of a configuration.
type foundInputs struct {
	blocks []string // text
	names  []string // what they are, for a person
	unread []string // existing files and directories that this user cannot read
}

// findInputs looks for logs below root, which is "" for this machine; the paths that it writes do not contain root.
// journal says that the systemd journal can be read.
func findInputs(root string, journal bool) (f foundInputs) {
	for _, p := range logPlaces {
		for _, glob := range p.globs {
			paths, err := filepath.Glob(root + starred(glob))
			if err != nil || len(paths) == 0 {
				f.closed(root, filepath.Dir(glob))
				continue
			}
			f.add(p, glob, journal)
			for _, path := range paths {
				if file, err := os.Open(path); err != nil {
					f.unread = append(f.unread, strings.TrimPrefix(path, root))
				} else {
					_ = file.Close() // nothing was done with it
				}
			}
		}
	}
	if journal {
		f.blocks = append(f.blocks, "# The systemd journal: what services print, the kernel, and what is sent to "+
			"syslog.\n<journal>\ncategory=journal.{unit}\n</journal>\n")
		f.names = append(f.names, "the systemd journal")
	}
	return f
}

// closed notes a directory that must not be read and in which nothing was found for that reason.
func (f *foundInputs) closed(root, dir string) {
	d, err := os.Open(root + dir)
	if err == nil {
		_ = d.Close() // nothing was done with it
	}
	if errors.Is(err, fs.ErrPermission) && !slices.Contains(f.unread, dir) {
		f.unread = append(f.unread, dir)
	}
}

// starred converts a pattern of a <tail> block to a glob: {name} becomes *.
func starred(glob string) string {
	var out strings.Builder
	for glob != "" {
		before, rest, found := strings.Cut(glob, "{")
		out.WriteString(before)
		if !found {
			break
		}
		out.WriteByte('*')
		_, glob, _ = strings.Cut(rest, "}")
	}
	return out.String()
}

// add adds a block. It is commented out if the journal has the same lines.
func (f *foundInputs) add(p logPlace, glob string, journal bool) {
	lines := []string{"<tail>", conf.Line("category", p.category), conf.Line("path", glob)}
	lines = append(append(lines, p.lines...), "</tail>")
	head := fmt.Sprintf("# %s%s.\n", strings.ToUpper(p.what[:1]), p.what[1:])
	if p.instead && journal {
		for i := range lines {
			lines[i] = "#" + lines[i]
		}
		head = fmt.Sprintf("# %s%s: the journal below has the same; take the # away, and the journal out, to read "+
			"the file instead.\n", strings.ToUpper(p.what[:1]), p.what[1:])
	} else if !slices.Contains(f.names, p.what) {
		f.names = append(f.names, p.what)
	}
	f.blocks = append(f.blocks, head+strings.Join(lines, "\n")+"\n")
}
