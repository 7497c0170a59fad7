package journal

import (
	"path/filepath"
	"strings"

	"inkwell/store"
)

// A state directory may be moved or copied together with the files, as in `mv /srv/logs /data/logs`. The checkpoint
// knows outlets and files by their paths, so it says where it stood, and what is found at another place is known by its
// new paths.

// home is the directory in which a state directory stands.
func home(stateDir string) string {
	abs, err := filepath.Abs(stateDir)
	if err != nil {
		return ""
	}
	return filepath.Dir(abs)
}

// follow gives the outlets of categories whose files were moved with the state directory their new keys and paths.
// locate tells those of now; see Routes.Locate. It returns what puts a new path in the place of an old one for an
// outlet that was moved, by its old key.
func (c *checkpoint) follow(to string, locate func(category string) (key, path string)) (moved func(key, path string) (string, string)) {
	from := c.Home
	c.Home = to
	there := func(path string) string { return strings.ReplaceAll(path, from+"/", to+"/") }
	keys := make(map[string]string)
	if locate == nil || from == "" || from == to {
		return func(key, path string) (string, string) { return key, path }
	}
	for key, p := range c.Outlets {
		if p.Category == "" {
			continue
		}
		if now, _ := locate(p.Category); now == "" || now == key || now != there(key) {
			continue
		}
		files := make(store.States)
		for path, state := range p.Files {
			files[there(path)] = state
		}
		p.Files = files
		keys[key] = there(key)
		delete(c.Outlets, key)
		c.Outlets[there(key)] = p
	}
	return func(key, path string) (string, string) {
		if now := keys[key]; now != "" {
			return now, there(path)
		}
		return key, path
	}
}
