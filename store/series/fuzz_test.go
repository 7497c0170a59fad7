package series

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
)

// FuzzMark: whatever a checkpoint says of a series, it is gone on with or refused, nothing outside of its directory is
// touched, and no file but the one that it calls open gets shorter.
func FuzzMark(f *testing.F) {
	for _, seed := range []string{
		`{"file":"k_00001","bytes":3,"events":1,"opened":1795996800,"begun":["k_00001"],"stats":["a line"]}`, `{"file":"../outside","bytes":1,"begun":["../outside","/etc/passwd"]}`,
		`{"file":"k_00001","bytes":-1}`, `{"file":"k_00001","bytes":9223372036854775807}`, `{"file":"","bytes":0,"begun":["","."]}`, `{"file":"k_99999999999999999999"}`, `null`, `7`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, mark []byte) {
		top := t.TempDir()
		dir, outside := filepath.Join(top, "k"), filepath.Join(top, "outside")
		must(t, os.Mkdir(dir, 0o750))
		must(t, os.WriteFile(outside, []byte("outside"), 0o640))
		must(t, os.WriteFile(filepath.Join(dir, "k_00000"), []byte("finished\n"), 0o640))
		must(t, os.WriteFile(filepath.Join(dir, "k_00001"), []byte("one\ntwo\n"), 0o640))
		file, err := OpenPlain(PlainOptions{Root: top, Dir: dir, Base: "k", Stats: stats.New()}, store.States{filepath.Join(dir, "k"): mark})
		if err == nil {
			b := new(proto.Batch)
			b.Append([]byte("k"), []byte("new\n"))
			_ = file.Append(context.Background(), b) // a fault is as good as a refusal
			_ = file.Close()
		}
		var st state
		_ = json.Unmarshal(mark, &st) // of one that is none nothing is open
		there := map[string]string{outside: "outside", filepath.Join(dir, "k_00000"): "finished\n"}
		if filepath.Clean(st.File) == "k_00000" {
			delete(there, filepath.Join(dir, "k_00000"))
		}
		for path, want := range there {
			if got, err := os.ReadFile(path); err != nil || len(got) < len(want) || string(got[:len(want)]) != want {
				t.Errorf("%s: %s has %q, %v", mark, path, got, err)
			}
		}
	})
}
