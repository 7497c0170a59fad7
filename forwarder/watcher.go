package forwarder

import (
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// hintPause is how long the watcher lets events accumulate: many writes to a file become one wake-up, and there are at
// most 20 wake-ups a second.
const hintPause = 50 * time.Millisecond

// hintEvents is how many events are taken in that time. More wait in the kernel, which merges equal ones.
const hintEvents = 256

// watcher tells which files and directories have changed before the next poll finds out. It may report too much or
// nothing at all: if the system has no more watches, or none for a file system, polling alone does the work.
type watcher struct {
	fs   *fsnotify.Watcher // nil = events are not available
	log  *slog.Logger
	wake chan struct{} // holds a value when there are hints
	stop chan struct{}
	done chan struct{}

	mu     sync.Mutex
	files  map[string]bool // paths that were written to
	dirs   map[string]bool // directories in which names changed
	warned bool
}

func newWatcher(log *slog.Logger) *watcher {
	w := &watcher{
		log:   log,
		wake:  make(chan struct{}, 1),
		stop:  make(chan struct{}),
		done:  make(chan struct{}),
		files: make(map[string]bool),
		dirs:  make(map[string]bool),
	}
	fs, err := fsnotify.NewBufferedWatcher(hintEvents)
	if err != nil {
		w.warn("", err)
		close(w.done)
		return w
	}
	w.fs = fs
	go w.run()
	return w
}

func (w *watcher) run() {
	defer close(w.done)
	for {
		select {
		case ev, ok := <-w.fs.Events:
			if !ok {
				return
			}
			w.note(ev)
		case err, ok := <-w.fs.Errors:
			if !ok {
				return
			}
			w.warn("", err)
			continue
		}
		w.gather()
		select {
		case w.wake <- struct{}{}:
		default:
		}
		select { // as long as nothing is read, the kernel merges equal events
		case <-time.After(hintPause):
		case <-w.stop:
			return
		}
	}
}

// gather takes all events that are waiting.
func (w *watcher) gather() {
	for {
		select {
		case ev, ok := <-w.fs.Events:
			if !ok {
				return
			}
			w.note(ev)
		default:
			return
		}
	}
}

func (w *watcher) note(ev fsnotify.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ev.Has(fsnotify.Write) {
		w.files[ev.Name] = true
	}
	if ev.Op&(fsnotify.Create|fsnotify.Rename|fsnotify.Remove) != 0 {
		w.dirs[filepath.Dir(ev.Name)] = true
	}
}

// add watches a directory. It does no harm to add it again.
func (w *watcher) add(dir string) {
	if w.fs == nil {
		return
	}
	if err := w.fs.Add(dir); err != nil {
		w.warn(dir, err)
	}
}

// remove stops watching a directory, which may be gone.
func (w *watcher) remove(dir string) {
	if w.fs != nil {
		_ = w.fs.Remove(dir) // the only error says that it was not watched
	}
}

func (w *watcher) warn(dir string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.warned {
		w.log.Info("file system events are missing; files are still polled, only a little later", "dir", dir,
			"err", err)
	}
	w.warned = true
}

// hints calls file and dir for everything that has changed since the last call.
func (w *watcher) hints(file, dir func(path string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for path := range w.files {
		file(path)
	}
	for path := range w.dirs {
		dir(path)
	}
	clear(w.files)
	clear(w.dirs)
}

func (w *watcher) close() error {
	close(w.stop)
	var err error
	if w.fs != nil {
		err = w.fs.Close()
	}
	<-w.done
	return err
}
