package main

import (
	"fmt"
	"os"
	"sync"

	"gopkg.in/natefinch/lumberjack.v2"
)

// The size at which a log file of --log-file is set aside, and the number of old ones that are kept.
const (
	logFileMegabytes = 100
	logFileBackups   = 5
)

// logFile is the file of --log-file. The process may have become a user who must not open or rename the file; then it
// goes on writing to the file that it has open, so that no line is lost to a rotation. Safe for concurrent use.
type logFile struct {
	path string

	mu      sync.Mutex
	rotated *lumberjack.Logger
	held    *os.File // the file that was opened last, by the rights of then
}

func openLogFile(path string) (*logFile, error) {
	f := &logFile{path: path}
	f.rotated = &lumberjack.Logger{Filename: path, MaxSize: logFileMegabytes, MaxBackups: logFileBackups,
		LocalTime: true}
	return f, f.hold()
}

// hold opens the file that has the name now.
func (f *logFile) hold() error {
	now, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return fmt.Errorf("open --log-file: %w", err)
	}
	before := f.held
	f.held = now
	if before != nil {
		err = before.Close()
	}
	return err
}

// Write writes one line of the log.
func (f *logFile) Write(line []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.rotated.Write(line)
	if err != nil && n < len(line) {
		rest, heldErr := f.held.Write(line[n:])
		n, err = n+rest, heldErr
	}
	return n, err
}

// reopen closes the file; the next line goes to the file that has the name then.
func (f *logFile) reopen() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.hold(); err != nil {
		return err
	}
	return f.rotated.Close()
}
