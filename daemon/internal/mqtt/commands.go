package mqtt

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	maxInbox = 8                // commands waiting
	handleIn = 10 * time.Second // for one command
)

// An incoming is a command as it arrived.
type incoming struct {
	verb    Verb
	payload []byte
}

// receive is called by paho, in the order of the messages, and must not wait:
// the connection would stand still.
func (r *run) receive(topic string, retained bool, payload []byte) {
	verb := Verb(strings.TrimPrefix(topic, r.topic("cmd/")))
	if retained {
		r.complain(&r.retained, "retained_command", "a retained command was dropped; clear it on the broker", verb)
		return
	}
	select {
	case r.inbox <- incoming{verb, payload}:
	default:
		r.stats.refusals.Add(1)
		if id := salvageID(payload); id != "" && known(verb) {
			r.respond(verb, id, Response{Busy, "too many commands at once"})
			return
		}
		r.complain(&r.busy, "busy", "too many commands at once", verb)
	}
}

// tooLarge is called for a publication that was not even read.
func (r *run) tooLarge(bytes int) {
	r.complain(&r.unreadable, "unreadable_command", fmt.Sprintf("%d bytes, at most %d", bytes, MaxCommandBytes), "")
}

// work carries out commands one after another until ctx ends.
func (r *run) work(ctx context.Context) {
	for {
		select {
		case in := <-r.inbox:
			r.carryOut(ctx, in)
		case <-ctx.Done():
			return
		}
	}
}

func (r *run) carryOut(ctx context.Context, in incoming) {
	ctx, cancel := context.WithTimeout(ctx, handleIn)
	defer cancel()
	cmd, resp := r.judge(ctx, in)
	if resp.Code == OK {
		resp = r.obey(ctx, cmd)
	}
	if resp.Code == "" {
		resp.Code = Internal
	}
	if resp.Code == OK {
		r.stats.commands.Add(1)
	} else {
		r.stats.refusals.Add(1)
	}
	if cmd.ID == "" || !known(cmd.Verb) {
		r.complain(&r.unreadable, "unreadable_command", resp.Detail, in.verb)
		return
	}
	r.Log.Info("command", "verb", string(cmd.Verb), "id", cmd.ID, "code", string(resp.Code))
	r.respond(cmd.Verb, cmd.ID, resp)
}

// judge decides whether a command may be carried out, and uses its nonce up.
func (r *run) judge(ctx context.Context, in incoming) (Command, Response) {
	cmd, nonce, refused := parseCommand(in.verb, in.payload, time.Now())
	if cmd.ID != "" && !r.ClockSynced() {
		// Before expired and the like, which this clock cannot tell.
		return cmd, Response{ClockUnsynced, "the clock of the kiosk is not set yet"}
	}
	if refused != nil {
		return cmd, Response{refused.code, refused.detail}
	}
	fresh, err := r.Nonces.UseNonce(ctx, nonce, cmd.Expires)
	if err != nil {
		r.journalError("remember a nonce", err)
		return cmd, Response{JournalFault, "the nonce cannot be remembered"}
	}
	if !fresh {
		return cmd, Response{NonceUsed, "a command with this nonce was seen before"}
	}
	return cmd, Response{Code: OK}
}

// obey carries out what concerns this package and hands on the rest.
func (r *run) obey(ctx context.Context, cmd Command) Response {
	switch cmd.Verb {
	case VerbRebirth:
		for doc := range docCount {
			r.box.again(doc)
		}
		return Response{Code: OK}
	case VerbReplay:
		if !r.replaying.CompareAndSwap(false, true) {
			return Response{Busy, "a replay is running"}
		}
		r.replay <- *cmd.Replay // has room while replaying was false
		return Response{OK, fmt.Sprintf("replaying %d to %d", cmd.Replay.From, cmd.Replay.To)}
	}
	return r.Handler.Handle(ctx, cmd)
}

func (r *run) respond(verb Verb, id string, resp Response) {
	r.box.note(r.message("rsp/"+string(verb), 1, false, responsePayload{1, id, resp.Code == OK, resp.Code, resp.Detail}))
}

// complain logs and reports what nobody can be answered for, at most once in
// ten seconds for each kind.
func (r *run) complain(l *limiter, code, detail string, verb Verb) {
	suppressed, ok := l.allow(time.Now())
	if !ok {
		return
	}
	if !known(verb) {
		verb = "unknown"
	}
	r.Log.Warn("command dropped", "code", code, "verb", string(verb), "detail", detail, "more", suppressed)
	r.Report(Fault{Code: code, Component: "mqtt", Detail: fmt.Sprintf("cmd/%s: %s", verb, detail)})
}

// known keeps a sender's words out of our topics and logs.
func known(v Verb) bool {
	switch v {
	case VerbVerify, VerbCancel, VerbGrant, VerbReplay, VerbRebirth:
		return true
	}
	return false
}

// A limiter lets something happen once in ten seconds. The zero value is
// ready for use.
type limiter struct {
	// mu guards the following
	mu         sync.Mutex
	next       time.Time
	suppressed int
}

// allow reports whether it may happen now, and how often it was held back
// since the last time.
func (l *limiter) allow(now time.Time) (int, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.next) {
		l.suppressed++
		return 0, false
	}
	n := l.suppressed
	l.next, l.suppressed = now.Add(10*time.Second), 0
	return n, true
}
