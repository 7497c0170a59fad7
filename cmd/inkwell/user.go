package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"inkwell/internal/config"
	"inkwell/internal/faultfs"
)

// account is the user that a daemon becomes after root started it. Only ports below 1024 and directories need root. The
// nil account stands for the user that the process already is.
type account struct {
	name     string
	uid, gid int
	groups   []int // all of them
}

func userFlag(flags *pflag.FlagSet, name *string) {
	flags.StringVar(name, "user", "", "`NAME[:GROUP]` to run as, after opening the ports, if root starts it")
}

// account looks up NAME or NAME:GROUP, each of which can be a number. It fails if the process cannot become that user.
func (a *app) account(text string) (*account, error) {
	if text == "" {
		return nil, nil
	}
	name, group, grouped := strings.Cut(text, ":")
	u, err := user.Lookup(name)
	if err != nil {
		if byID, idErr := user.LookupId(name); idErr == nil {
			u, err = byID, nil
		}
	}
	if err != nil {
		if errors.As(err, new(user.UnknownUserError)) {
			return nil, fmt.Errorf("there is no user %s (create it: useradd --system --no-create-home %s)", name, name)
		}
		return nil, fmt.Errorf("look up the user %s: %w", name, err)
	}
	gids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("user %s: find its groups: %w", text, err)
	}
	gid := u.Gid
	if grouped {
		g, err := user.LookupGroup(group)
		if err != nil {
			if byID, idErr := user.LookupGroupId(group); idErr == nil {
				g, err = byID, nil
			}
		}
		if err != nil {
			if errors.As(err, new(user.UnknownGroupError)) {
				return nil, fmt.Errorf("there is no group %s (create it: groupadd --system %s)", group, group)
			}
			return nil, fmt.Errorf("look up the group %s: %w", group, err)
		}
		gid = g.Gid
	}
	acc, err := newAccount(text, append([]string{u.Uid, gid}, gids...))
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", text, err)
	}
	switch uid := a.uid(); {
	case acc.uid == 0:
		return nil, fmt.Errorf("user %s: that is root, so that nothing would be given up (name another, or none)", text)
	case uid == acc.uid:
		return nil, nil
	case uid != 0:
		return nil, fmt.Errorf("user %s: only root can become another user, this process runs as user %d (start it "+
			"as root, or without the user)", text, uid)
	}
	return acc, nil
}

// newAccount makes an account from numbers: user, group, all groups.
func newAccount(name string, ids []string) (*account, error) {
	numbers := make([]int, len(ids))
	for i, id := range ids {
		n, err := strconv.Atoi(id)
		if err != nil {
			return nil, fmt.Errorf("%q is no number of a user or group", id)
		}
		numbers[i] = n
	}
	groups := slices.Clone(numbers[1:])
	slices.Sort(groups)
	return &account{name: name, uid: numbers[0], gid: numbers[1], groups: slices.Compact(groups)}, nil
}

// make creates missing directories, including missing parents, and gives them to the account.
func (c *account) make(paths ...string) error {
	if c == nil {
		return nil
	}
	for _, path := range paths {
		if path == "" {
			continue
		}
		if err := c.makeOne(filepath.Clean(path)); err != nil {
			return fmt.Errorf("make a directory for user %s: %w", c.name, err)
		}
	}
	return nil
}

func (c *account) makeOne(path string) error {
	err := os.Mkdir(path, 0o750)
	if errors.Is(err, fs.ErrNotExist) {
		if err = c.makeOne(filepath.Dir(path)); err != nil {
			return err
		}
		err = os.Mkdir(path, 0o750)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return os.Lchown(path, c.uid, c.gid) // if a link has appeared there, it is not followed
}

// makeSocketDirs creates the missing directories of the unix sockets among addrs and gives them to the account.
func (c *account) makeSocketDirs(addrs []string) error {
	if c == nil {
		return nil
	}
	for _, addr := range addrs {
		path, unix := strings.CutPrefix(addr, "unix:")
		if !unix {
			continue
		}
		made, err := faultfs.MakeSocketDir(path)
		if err == nil && made {
			err = os.Lchown(filepath.Dir(path), c.uid, c.gid)
		}
		if err != nil {
			return fmt.Errorf("listen on %s: %w", addr, err)
		}
	}
	return nil
}

// become gives up root for good, in all threads.
func (c *account) become() error {
	if c == nil {
		return nil
	}
	fail := func(err error) error { return fmt.Errorf("become user %s: %w", c.name, err) }
	if err := syscall.Setgroups(c.groups); err != nil {
		return fail(os.NewSyscallError("setgroups", err))
	}
	if err := syscall.Setgid(c.gid); err != nil {
		return fail(os.NewSyscallError("setgid", err))
	}
	if err := syscall.Setuid(c.uid); err != nil {
		return fail(os.NewSyscallError("setuid", err))
	}
	// The check proves that whoever takes over this process cannot become root again.
	if syscall.Setuid(0) == nil || syscall.Setreuid(-1, 0) == nil || os.Getuid() != c.uid || os.Geteuid() != c.uid {
		return fail(errors.New("the process is root still, or can be again"))
	}
	if c.gid != 0 && (syscall.Setgid(0) == nil || os.Getgid() != c.gid || os.Getegid() != c.gid) {
		return fail(errors.New("the process has the group of root still, or can have it again"))
	}
	return nil
}

// serve is become for a daemon that reads file again at a reload, unless file is "".
func (c *account) serve(file string) error {
	if err := c.become(); err != nil || c == nil || file == "" {
		return err
	}
	if _, err := os.ReadFile(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("user %s must be able to read the configuration: %w", c.name, err)
	}
	return nil
}

// fileDirs returns the directories of all files that a store writes.
func fileDirs(s config.Sink) (dirs []string) {
	config.Walk(s, func(s config.Sink) {
		if f, ok := s.(config.File); ok {
			dirs = append(dirs, f.Dir)
		}
	})
	return dirs
}
