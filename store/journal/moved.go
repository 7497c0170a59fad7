package journal

import (
	"path/filepath"
	"strings"

	"inkwell/store"
)

// A state directory may be moved or copied together with the files, as in `mv /srv/logs /data/logs`. The checkpoint
// identifies outlets and files by their paths. It therefore records its own location (Home), and when that has
// changed, the paths in it are translated.

// home returns the parent of a state directory.
func home(stateDir string) string {
	abs, err := filepath.Abs(stateDir)
	if err != nil {
		return ""
	}
	return filepath.Dir(abs)
}

// relocate gives outlets whose files were moved together with the state directory their new keys and paths. locate
// returns the current ones; see Routes.Locate. The result translates the old key of an outlet, and a path of one of its
// files, to the new ones; for an outlet that was not moved it returns them unchanged.
func (c *checkpoint) relocate(
	to string, locate func(category string) (key, path string),
) (moved func(key, path string) (string, string)) {
	from := c.Home
	c.Home = to
	relocated := func(path string) string { return strings.ReplaceAll(path, from+"/", to+"/") }
	keys := make(map[string]string)
	if locate == nil || from == "" || from == to {
		return func(key, path string) (string, string) { return key, path }
	}
	for key, p := range c.Outlets {
		if p.Category == "" {
			continue
		}
		if now, _ := locate(p.Category); now == "" || now == key || now != relocated(key) {
			continue
		}
		files := make(store.States)
		for path, state := range p.Files {
			files[relocated(path)] = state
		}
		p.Files = files
		keys[key] = relocated(key)
		delete(c.Outlets, key)
		c.Outlets[relocated(key)] = p
	}
	return func(key, path string) (string, string) {
		if now := keys[key]; now != "" {
			return now, relocated(path)
		}
		return key, path
	}
}
