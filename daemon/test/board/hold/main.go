//go:build linux

// Command hold stops the one thread of a process that computes, and holds it
// until that dies. To the rest of the process this is a call into C that never
// returns.
//
//	hold PID
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// watched is for how long threads are looked at, tick the kernel's unit of
// processor time.
const (
	watched = time.Second
	tick    = 10 * time.Millisecond
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "hold:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("want the number of a process")
	}
	thread, err := busiest(args[0])
	if err != nil {
		return err
	}
	runtime.LockOSThread() // who holds a thread is a thread
	if err := syscall.PtraceAttach(thread); err != nil {
		return fmt.Errorf("attach to thread %d: %w", thread, err)
	}
	fmt.Println("holding thread", thread)
	for {
		const all = 0x40000000 // __WALL of wait(2): threads too
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(thread, &status, all, nil); err != nil {
			return fmt.Errorf("wait for thread %d: %w", thread, err)
		}
		if !status.Stopped() { // dead: its process is gone only once it has been waited for
			return nil
		}
	}
}

// busiest returns the thread that uses most of a processor.
func busiest(pid string) (int, error) {
	before := used(pid)
	time.Sleep(watched)
	top, most := 0, time.Duration(0)
	for thread, now := range used(pid) {
		if ran := now - before[thread]; ran > most {
			top, most = thread, ran
		}
	}
	if most < watched/10 {
		return 0, fmt.Errorf("no thread computes: the busiest used %v of %v", most, watched)
	}
	return top, nil
}

// used returns the processor time of each thread, proc_pid_stat(5).
func used(pid string) map[int]time.Duration {
	all := map[int]time.Duration{}
	files, _ := filepath.Glob("/proc/" + pid + "/task/*/stat") // fails only on a bad pattern
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		_, after, _ := strings.Cut(string(data), ") ") // the name may hold spaces
		fields := strings.Fields(after)
		thread, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || len(fields) < 13 {
			continue
		}
		user, _ := strconv.Atoi(fields[11])
		kernel, _ := strconv.Atoi(fields[12])
		all[thread] = time.Duration(user+kernel) * tick
	}
	return all
}
