package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// politeNice is the nice value from which on a process gives way: that of nice(1) without a number.
const politeNice = 10

// giveWay makes a process that was started with nice run on what others leave, and read the disk so (SCHED_IDLE): a
// collector that wakes up on the same core runs at once, which nice alone does not give it. On an idle machine that
// costs nothing. Where the kernel refuses, the process stays as it is.
func giveWay() {
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	nice := 20 - raw // the system call returns it so
	if err != nil || nice < politeNice {
		return
	}
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE, Nice: int32(nice)}
	for done := make(map[string]bool); ; { // threads that come later have it from those that start them
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return
		}
		before := len(done)
		for _, t := range threads {
			if id, err := strconv.Atoi(t.Name()); err == nil && !done[t.Name()] {
				done[t.Name()] = true
				_ = unix.SchedSetAttr(id, &attr, 0) // it has ended, or stays as it is
			}
		}
		if len(done) == before {
			return
		}
	}
}
