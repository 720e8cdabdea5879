//go:build dlib && integration

package test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/daemon/internal/mqtt/mqtttest"
)

// A step is a moment of a process that writes files: before or after the n-th
// system call, of all its threads, that changes one of them or makes it durable.
//
// strace counts the calls of each thread by itself, and Go moves a goroutine
// from thread to thread, so that its when= cannot name such a moment.
type step struct {
	n     int
	after bool
}

func (s step) String() string {
	if s.after {
		return fmt.Sprintf("after call %d", s.n)
	}
	return fmt.Sprintf("before call %d", s.n)
}

// A tracer follows a process until it ends.
type tracer struct {
	pid    int
	prefix string // of the files' paths
	hold   step   // where the thread that comes there is held for good

	attached chan error     // receives once
	held     chan string    // receives the call at which a thread is held
	ended    chan struct{}  // closed when the process has ended; then the following is final
	calls    map[string]int // by name and file
	within   map[int]string // threads that are in such a call
	count    int
}

// follow begins to trace a process.
func follow(t *testing.T, pid int, prefix string, hold step) *tracer {
	t.Helper()
	tr := &tracer{
		pid: pid, prefix: prefix, hold: hold, attached: make(chan error, 1), held: make(chan string, 1), ended: make(chan struct{}),
		calls: map[string]int{}, within: map[int]string{},
	}
	go tr.run()
	must(t, <-tr.attached)
	return tr
}

// What package syscall does not have of ptrace(2) and waitid(2).
const (
	ptraceSeize, ptraceInterrupt, ptraceListen, ptraceSyscallInfo = 0x4206, 0x4207, 0x4208, 0x420e

	eventStop      = 128
	atEntry        = 1
	optionSysGood  = 1
	waitNoReap     = 0x01000000
	waitOwnThreads = 0x20000000
)

// syscallInfo is struct ptrace_syscall_info of linux/ptrace.h, at an entry.
type syscallInfo struct {
	op     uint8
	_      [3]uint8
	arch   uint32
	ip, sp uint64
	nr     uint64
	args   [6]uint64
	_      uint64
}

// waitInfo is siginfo_t of a 64-bit machine, as waitid fills it in.
type waitInfo struct {
	signo, errno, code, _ int32
	pid, uid, status      int32
	_                     [100]byte
}

func ptrace(request, tid int, addr, data uintptr) error {
	if _, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, uintptr(request), uintptr(tid), addr, data, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// run is the tracer's one thread: to the kernel, a tracer is a thread.
func (tr *tracer) run() {
	runtime.LockOSThread() // and never unlocked: what is traced goes free if the thread ends
	defer close(tr.ended)
	if err := tr.attach(); err != nil {
		tr.attached <- err
		return
	}
	tr.attached <- nil
	for {
		var w waitInfo
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, 0, 0, uintptr(unsafe.Pointer(&w)),
			syscall.WEXITED|syscall.WSTOPPED|syscall.WALL|waitNoReap|waitOwnThreads, 0, 0)
		if errno == syscall.EINTR {
			continue
		}
		const lastOfEnds = 3 // CLD_EXITED, CLD_KILLED, CLD_DUMPED
		if errno != 0 || int(w.pid) == tr.pid && w.code <= lastOfEnds {
			return // the process is left for its parent to wait for
		}
		// What was seen may be gone by now, as a kill undoes a stop; and to wait here for
		// the process's end would be to wait for threads that are reaped by this loop.
		var status syscall.WaitStatus
		if pid, err := syscall.Wait4(int(w.pid), &status, syscall.WALL|syscall.WNOHANG, nil); err == nil && pid > 0 && status.Stopped() {
			tr.stopped(int(w.pid), status)
		}
	}
}

// attach seizes every thread; those to come are seized by the kernel.
func (tr *tracer) attach() error {
	const options = optionSysGood | syscall.PTRACE_O_TRACECLONE
	seen := map[int]bool{}
	for more := true; more; {
		more = false
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", tr.pid))
		if err != nil {
			return err
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err != nil || seen[tid] {
				continue
			}
			seen[tid], more = true, true
			err = ptrace(ptraceSeize, tid, 0, options)
			if err == syscall.EPERM && len(seen) > 1 { // the clone of one that is
				continue
			}
			if err == nil {
				err = ptrace(ptraceInterrupt, tid, 0, 0)
			}
			if err != nil && err != syscall.ESRCH {
				return fmt.Errorf("trace thread %d (in a container this needs CAP_SYS_PTRACE or a kernel from 4.8 on): %w", tid, err)
			}
		}
	}
	return nil
}

// stopped lets a thread go on from where it stopped, unless it is to be held.
func (tr *tracer) stopped(tid int, status syscall.WaitStatus) {
	signal, request := status.StopSignal(), syscall.PTRACE_SYSCALL
	switch {
	case signal == syscall.SIGTRAP|0x80:
		if tr.call(tid) {
			return
		}
		signal = 0
	case status>>16 == eventStop && signal != syscall.SIGTRAP:
		signal, request = 0, ptraceListen // stopped by SIGSTOP, which is to stay so
	case status>>16 != 0:
		signal = 0
	}
	_ = ptrace(request, tid, 0, uintptr(signal)) // fails if the thread was killed, which the next wait tells
}

// call looks at the entry or the exit of a system call and reports whether the
// thread is to be held there.
func (tr *tracer) call(tid int) (hold bool) {
	var info syscallInfo
	if err := ptrace(ptraceSyscallInfo, tid, unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info))); err != nil {
		return false
	}
	name, after := tr.within[tid], info.op != atEntry
	if !after {
		if name = tr.touches(info); name == "" {
			return false
		}
		tr.within[tid] = name
		tr.count++
		tr.calls[name]++
	} else if name == "" {
		return false
	} else {
		delete(tr.within, tid)
	}
	if tr.hold != (step{tr.count, after}) {
		return false
	}
	tr.held <- name
	return true
}

// touches names a call that changes one of the files, or makes it durable.
func (tr *tracer) touches(info syscallInfo) string {
	call := map[uint64]string{
		syscall.SYS_WRITE: "write", syscall.SYS_PWRITE64: "pwrite", syscall.SYS_WRITEV: "writev", syscall.SYS_PWRITEV: "pwritev",
		syscall.SYS_FSYNC: "fsync", syscall.SYS_FDATASYNC: "fdatasync", syscall.SYS_SYNC_FILE_RANGE: "sync_file_range",
		syscall.SYS_FTRUNCATE: "ftruncate", syscall.SYS_FALLOCATE: "fallocate",
	}[info.nr]
	if call == "" {
		return ""
	}
	file, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tr.pid, int32(info.args[0])))
	if err != nil || !strings.HasPrefix(file, tr.prefix) {
		return ""
	}
	return call + " journal.db" + strings.TrimPrefix(file, tr.prefix)
}

const (
	// ahead is how long everything but one call may go on before the kill. What
	// does not wait for the disk is through by then.
	ahead = 200 * time.Millisecond

	mostSteps = 1000 // that one attempt may have
)

// TestKillAtEveryStep kills the daemon before and after each system call with which
// the journal touches the disk during one attempt that opens the door.
//
// COUNT limits how many of these moments are tried, spread evenly; 0 is all.
func TestKillAtEveryStep(t *testing.T) {
	t.Parallel()
	broker := mqtttest.StartMosquitto(t, "allow_anonymous true")
	s := newSite(t, stepped(broker.Address)...)
	c := mqtttest.Consume(t, broker.Address, root, mqtttest.Login{ID: "consumer"})
	steps := s.steps()
	rounds := int(number(t, "COUNT", 4))
	if rounds == 0 || rounds > len(steps) {
		rounds = len(steps)
	}
	r := record{pulse: pulse + time.Second} // what is traced is slow
	var told []event.Event
	missed := 0
	for round := range rounds {
		said, reached := s.killAt(&r, round, steps[round*len(steps)/rounds])
		told = append(told, said...)
		if !reached {
			missed++
		}
	}
	d := s.start()
	s.delivered()
	s.terminate(d)
	r.events, r.board = s.history(), s.timeline()
	for _, f := range slices.Concat(r.faults(), toldOtherwise(told, r.events)) {
		t.Error(f)
	}
	c.Until(r.events[len(r.events)-1].Seq)
	c.Check(len(r.events))
	for _, f := range toldOtherwise(c.Events, r.events) {
		t.Error("consumer: " + f)
	}
	summarize(t, min(rounds, 19), r)
	t.Logf("%d of %d moments tried, %d not reached; %d outcomes told over HTTP, %d events to the consumer", rounds, len(steps), missed, len(told), len(c.Events))
	if missed > rounds/4 {
		t.Errorf("%d of %d moments were not reached", missed, rounds)
	}
}

// stepped are the edits for a kiosk that is killed step by step. Its journal is
// so small that the log is written back every few attempts.
func stepped(broker string) []string {
	return slices.Concat(at("tcp://"+broker), unhurried(), []string{"sources: {", "journal: {max_bytes: 4MiB}\nsources: {http: {may_open: true}, "})
}

// steps runs one attempt to its end and returns the moments it has.
func (s *site) steps() []step {
	t := s.t
	t.Helper()
	d := s.start()
	tr := follow(t, d.cmd.Process.Pid, s.path("journal.db"), step{})
	if _, err := s.enterOverHTTP(); err != nil {
		t.Fatal(err)
	}
	s.reach("facegate_journal_seq", perAttempt)
	s.delivered()
	must(t, d.cmd.Process.Signal(syscall.SIGTERM))
	await(t, "the tracer's end", tr.ended) // it must see the process before it is waited for
	must(t, d.cmd.Wait())
	t.Logf("one attempt, its delivery and the stop: %v", tr.calls)
	if tr.count == 0 || tr.count > mostSteps {
		t.Fatalf("the journal touches the disk %d times", tr.count)
	}
	var all []step
	for n := 1; n <= tr.count; n++ {
		all = append(all, step{n, false}, step{n, true})
	}
	return all
}

// enterOverHTTP lets the person in and returns the outcome that was told.
func (s *site) enterOverHTTP() (event.Event, error) {
	card, err := os.ReadFile(s.path("card.jpg"))
	if err != nil {
		return event.Event{}, err
	}
	body, err := json.Marshal(map[string]string{"id_photo": base64.StdEncoding.EncodeToString(card)})
	if err != nil {
		return event.Event{}, err
	}
	c := s.client()
	defer c.CloseIdleConnections()
	resp, err := c.Post("http://facegate/v1/attempts?wait=1", "application/json", bytes.NewReader(body))
	if err != nil {
		return event.Event{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return event.Event{}, fmt.Errorf("status %s", resp.Status)
	}
	var e event.Event
	return e, json.NewDecoder(resp.Body).Decode(&e)
}

// killAt begins an attempt, holds the daemon's thread that comes to the step,
// kills the daemon a moment later and makes the outputs safe. It returns the
// outcome that somebody was told of, if any, and whether the step was reached.
func (s *site) killAt(r *record, round int, at step) (told []event.Event, reached bool) {
	t := s.t
	t.Helper()
	d := s.start()
	s.forget()
	tr := follow(t, d.cmd.Process.Pid, s.path("journal.db"), at)
	var asking sync.WaitGroup
	asking.Go(func() {
		if e, err := s.enterOverHTTP(); err == nil {
			told = append(told, e)
		}
	})
	where := "nowhere"
	select {
	case where = <-tr.held:
		reached = true
		time.Sleep(ahead) // not to wait for anything: what goes on meanwhile is the test
	case <-time.After(overdue):
	}
	k := kill{pid: d.cmd.Process.Pid, at: time.Now()}
	must(t, d.cmd.Process.Kill())
	await(t, "the daemon's death", d.gone)
	await(t, "the tracer's end", tr.ended)
	_ = d.cmd.Wait() // says that it was killed
	asking.Wait()
	if out, err := exec.Command(env(t, "FACEGATE_BINARY"), "safe", "--config", s.path("facegate.yaml")).CombinedOutput(); err != nil {
		t.Errorf("%v: safe: %v\n%s", at, err, out)
	}
	k.safe = time.Now()
	s.dark(at.String())
	left := s.left(round)
	if len(left) > 1 {
		t.Errorf("%v: %d attempts were cut off", at, len(left))
	}
	r.kills, r.said, r.begun = append(r.kills, k), append(r.said, d.said...), append(r.begun, left...)
	t.Logf("%v: %s, %d cut off, %d told", at, where, len(left), len(told))
	if t.Failed() {
		t.Fatalf("%v: the daemon wrote\n%s", at, d.log.String())
	}
	return told, reached
}

// toldOtherwise compares what somebody was told with the journal.
func toldOtherwise(told, journal []event.Event) []string {
	var f findings
	for _, e := range told {
		e.Historical = false
		if e.Seq == 0 || e.Seq > uint64(len(journal)) {
			f.add("event %d of attempt %s was told and is not in the journal", e.Seq, e.AttemptID)
			continue
		}
		was, _ := json.Marshal(e)
		is, _ := json.Marshal(journal[e.Seq-1])
		if !bytes.Equal(was, is) {
			f.add("event %d was told as %s and is recorded as %s", e.Seq, was, is)
		}
	}
	return f
}

// A door that does not wait for the journal is found out by the steps, too.
func TestStepsFindBroken(t *testing.T) {
	for tag, variable := range map[string]string{"brokenorder": "FACEGATE_BROKEN_ORDER"} {
		t.Run(tag, func(t *testing.T) {
			broker := mqtttest.StartMosquitto(t, "allow_anonymous true")
			s := newSite(t, stepped(broker.Address)...)
			t.Setenv("FACEGATE_BINARY", env(t, variable))
			steps := s.steps()
			r := record{pulse: pulse + time.Second}
			var told []event.Event
			for round, at := range steps {
				if at.after {
					continue // the moments before are enough
				}
				said, _ := s.killAt(&r, round, at)
				told = append(told, said...)
				r.events, r.board = s.recovered(round), s.timeline()
				if faults := slices.Concat(r.faults(), toldOtherwise(told, r.events)); len(faults) > 0 {
					t.Logf("found %v: %s", at, strings.Join(faults, "; "))
					return
				}
			}
			t.Errorf("no fault found in %d moments", len(steps))
		})
	}
}
