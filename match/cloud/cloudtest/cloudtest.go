// Package cloudtest holds a cloud.Provider that follows a script and a
// cloud.Ledger in memory, so that what asks compare services can be tested
// without a service, a network or a disk.
//
//	p := &cloudtest.Provider{Is: "deepidv", Script: cloudtest.Always(cloudtest.Step{Answer: cloud.Answer{Score: 97}})}
//	a := cloud.Asker{Entries: []cloud.Entry{{Provider: p, Accept: 90, Reject: 50}}, Ledger: new(cloudtest.Ledger), …}
//
// Waiting is by the clock, and exact in a synctest bubble.
package cloudtest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/facegate/facegate/match/cloud"
)

// A Step is what a Provider does in one call.
type Step struct {
	After  time.Duration // until it answers
	Stall  bool          // it never does, until ctx ends
	Deaf   bool          // it goes on though ctx has ended
	Answer cloud.Answer  // Sent and Status are returned however the call ends
	Err    error         // instead of the answer
}

// Always is a script of which every call takes the same step.
func Always(s Step) func(int) Step { return func(int) Step { return s } }

// Fail returns a step that fails at once.
func Fail(provider string, k cloud.Kind) Step {
	return Step{Err: &cloud.Failure{Kind: k, Provider: provider, Err: errors.New("by script")}}
}

// A Provider follows a script. Its methods may be called concurrently.
type Provider struct {
	Is     string              // its name
	Script func(call int) Step // counted from 0; it may be called concurrently

	mu sync.Mutex
	// mu guards the following
	calls, running, most int
	last                 cloud.Question
}

var _ cloud.Provider = (*Provider)(nil)

// Name implements cloud.Provider.
func (p *Provider) Name() string { return p.Is }

// Compare implements cloud.Provider.
func (p *Provider) Compare(ctx context.Context, q cloud.Question) (cloud.Answer, error) {
	step := p.Script(p.begin(q))
	defer p.end()
	took := cloud.Answer{Sent: step.Answer.Sent, Status: step.Answer.Status}
	timer := time.NewTimer(step.After)
	defer timer.Stop()
	answered, done := timer.C, ctx.Done()
	if step.Stall {
		answered = nil
	}
	if step.Deaf {
		done = nil
	}
	select {
	case <-answered:
	case <-done:
		return took, &cloud.Failure{Kind: cloud.Network, Provider: p.Is, Err: context.Cause(ctx)}
	}
	if step.Err != nil {
		return took, step.Err
	}
	return step.Answer, nil
}

func (p *Provider) begin(q cloud.Question) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	p.running++
	p.most = max(p.most, p.running)
	p.last = q
	return p.calls - 1
}

func (p *Provider) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
}

// Calls returns how many were made.
func (p *Provider) Calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// Most returns how many calls ran at the same time, at most.
func (p *Provider) Most() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.most
}

// Last returns the question of the last call.
func (p *Provider) Last() cloud.Question {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}
