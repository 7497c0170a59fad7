package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// doors are the functions that open, make, change or list files by their path. Product code does that beneath a faultfs.Dir, where no
// name leads elsewhere; the exceptions are in ownDoors.
var doors = map[string][]string{
	"os": {"Open", "OpenFile", "OpenInRoot", "OpenRoot", "Create", "CreateTemp", "Mkdir", "MkdirAll", "MkdirTemp", "Rename", "Remove", "RemoveAll", "Link", "Symlink",
		"Truncate", "Chmod", "Chown", "Lchown", "Chtimes", "ReadFile", "WriteFile", "ReadDir", "Readlink", "DirFS", "CopyFS"},
	"unix": {"Open", "Openat", "Openat2", "Creat", "Mkdir", "Mkdirat", "Rename", "Renameat", "Renameat2", "Unlink", "Unlinkat", "Rmdir", "Link", "Linkat", "Symlink", "Symlinkat",
		"Truncate", "Chmod", "Fchmodat", "Chown", "Lchown", "Fchownat", "Mknod", "Mkfifo"},
	"ioutil":   {"ReadFile", "WriteFile", "ReadDir", "TempFile", "TempDir"},
	"filepath": {"Walk", "WalkDir", "EvalSymlinks"},
}

// ownDoors are the files that use doors, with the functions and why.
var ownDoors = map[string]struct{ uses, why string }{
	"internal/faultfs/handle.go":     {"unix.Open unix.Openat unix.Openat unix.Openat unix.Mkdirat unix.Renameat unix.Symlinkat unix.Unlinkat unix.Unlinkat", "the door itself: the directory that the operator names, and names beneath it"},
	"internal/faultfs/observer.go":   {"os.MkdirAll os.Mkdir os.MkdirAll os.Remove os.Open", "makes the directory that the operator names, and its parents, durably"},
	"internal/killpoint/on.go":       {"os.ReadFile", "is in builds for tests only: where a test says when to die"},
	"internal/rpc/spill.go":          {"os.OpenFile os.CreateTemp os.Remove", "a file without a name in the state directory, for a large call: O_TMPFILE, or a new name that is removed at once"},
	"internal/discovery/file.go":     {"os.Open", "the list of collectors, by its path in the configuration: reads only"},
	"internal/rpc/tls.go":            {"os.ReadFile", "certificates and keys, by their paths in the configuration"},
	"forwarder/audit.go":             {"os.ReadFile", "the positions of a state directory that an audit is to look at: reads only"},
	"forwarder/origin.go":            {"os.ReadFile", "the kernel's name of the process that writes into a pipe"},
	"forwarder/boot.go":              {"os.ReadFile", "the kernel's boot id"},
	"store/audit/directory.go":       {"os.ReadDir", "lists a directory that an audit is to look at: reads only"},
	"store/depot/directory.go":       {"os.Open filepath.WalkDir", "reads and lists a depot in the operator's directory: what it writes goes through faultfs"},
	"store/kafka/scratch.go":         {"os.RemoveAll os.MkdirAll os.RemoveAll os.Open os.Create", "the files of an epoch, in the state directory, into which nobody else writes: they are thrown away after it"},
	"store/kafka/client.go":          {"os.ReadFile os.ReadFile", "a password and authorities, by their paths in the configuration"},
	"store/audit/verify.go":          {"os.Open", "a file that an audit is to check: reads only"},
	"internal/rpc/listen.go":         {"os.Chmod os.Remove", "the unix socket of the configuration: its mode, and its removal after nobody answered on it"},
	"forwarder/directory.go":         {"os.OpenFile", "lists a directory that is followed: reads only, and links are part of what is followed"},
	"forwarder/input.go":             {"os.ReadDir", "forward --once: whether there is anything to follow; reads only"},
	"forwarder/rotated.go":           {"filepath.EvalSymlinks", "to what a link points that is followed: reads only"},
	"forwarder/mounts.go":            {"os.ReadFile", "the kernel's table of what is mounted"},
	"forwarder/pattern/finder.go":    {"os.OpenFile os.Readlink", "lists a directory on the way of a pattern: reads only, and links are part of what is followed"},
	"forwarder/disk.go":              {"unix.Open", "opens a file that is followed: reads only"},
	"cmd/inkwell/nexthop.go":         {"os.ReadFile", "a configuration, by its path on the command line"},
	"cmd/inkwell/configured.go":      {"os.ReadFile", "a configuration, by its path on the command line"},
	"cmd/inkwell/auditconfig.go":     {"os.ReadFile", "a configuration, by its path on the command line"},
	"cmd/inkwell/auditdepot.go":      {"os.MkdirTemp os.RemoveAll", "lays out what a depot says in a directory of its own, which is removed"},
	"cmd/inkwell/auditsender.go":     {"os.ReadDir", "lists a state directory that an audit is to look at: reads only"},
	"cmd/inkwell/ctldetail.go":       {"os.Open", "opens a state directory of the command line to reach its socket: reads nothing"},
	"cmd/inkwell/check.go":           {"os.ReadFile", "a configuration, by its path on the command line"},
	"cmd/inkwell/logging.go":         {"os.Lchown", "--log-file, by its path on the command line"},
	"cmd/inkwell/logfile.go":         {"os.OpenFile", "the same"},
	"cmd/inkwell/user.go":            {"os.Mkdir os.Mkdir os.Lchown os.Lchown os.ReadFile", "root makes the directories of the command line and gives them away, before anything is in them"},
	"cmd/inkwell/init.go":            {"os.MkdirAll os.WriteFile", "writes a configuration, by its path on the command line"},
	"cmd/inkwell/found.go":           {"os.Open os.Open", "whether a log that was found can be read: reads nothing"},
	"cmd/inkwell/bindir.go":          {"os.Link os.Symlink os.Rename os.Remove os.Rename os.Remove os.Remove os.Remove os.ReadFile os.WriteFile", "migrate: puts links in the place of the original's programs, in a directory of the command line"},
	"cmd/inkwell/spool.go":           {"filepath.WalkDir", "looks for spools below a directory of the command line: reads only"},
	"internal/testkit/testkit.go":    {"os.MkdirTemp os.RemoveAll", "for tests only: where their temporary directories are"},
	"internal/faultfs/socketdir.go":  {"os.MkdirAll os.Chmod", "makes the directory of a unix socket of the configuration"},
	"cmd/inkwell/man.go":             {"os.MkdirAll os.WriteFile", "writes manual pages for the person who builds"},
	"cmd/inkwell/giveway.go":         {"os.ReadDir", "the threads of this process, in /proc"},
	"archive/archive.go":             {"os.Open os.Open os.Open", "shows a person a file: reads only"},
	"archive/series.go":              {"filepath.WalkDir", "lists a directory that a person names: reads only"},
	"archive/listing.go":             {"os.ReadDir", "the same"},
	"rotate/pipelog/pipelog.go":      {"os.OpenFile", "rotatelogs: paths are httpd's arguments, links in them are followed as httpd's does it"},
	"rotate/pipelog/turn.go":         {"os.MkdirAll os.Link os.Remove os.Link os.Rename os.Remove", "rotatelogs: the same, and its -L link"},
	"forwarder/journald/journald.go": {"os.ReadFile", "the kernel's boot id"},
	"forwarder/syslog/address.go":    {"os.Remove os.Chmod", "a unix socket of the configuration: its removal after nobody answered on it, and its mode"},
}

func TestHouseRulesOfDoors(t *testing.T) {
	t.Parallel()
	found := make(map[string][]string)
	for _, top := range []string{"archive", "cmd", "collector", "forwarder", "internal", "proto", "rotate", "store"} {
		err := filepath.WalkDir(filepath.Join("..", top), func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.IsDir() && e.Name() == "crashfs" { // for tests only
				return fs.SkipDir
			}
			if err != nil || e.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			uses, err := doorsOf(path)
			if len(uses) > 0 {
				found[strings.TrimPrefix(path, "../")] = uses
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for path, uses := range found {
		if own := ownDoors[path]; strings.Join(uses, " ") != own.uses {
			t.Errorf("%s uses %q, want %q: files are opened beneath a faultfs.Dir; if this cannot be, give the reason here", path, uses, own.uses)
		}
	}
	for path := range ownDoors {
		if found[path] == nil {
			t.Errorf("%s uses none of the functions any more: remove its exception", path)
		}
	}
}

// doorsOf lists the uses of doors in a file, in order.
func doorsOf(path string) (uses []string, err error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	names := make(map[string]string) // by which packages go in this file
	for _, i := range file.Imports {
		full := strings.Trim(i.Path.Value, `"`)
		name := full[strings.LastIndexByte(full, '/')+1:]
		kind := name
		if kind == "syscall" {
			kind = "unix"
		}
		if i.Name != nil {
			name = i.Name.Name
		}
		if doors[kind] != nil {
			names[name] = kind
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && slices.Contains(doors[names[x.Name]], sel.Sel.Name) {
				uses = append(uses, names[x.Name]+"."+sel.Sel.Name)
			}
		}
		return true
	})
	return uses, nil
}
