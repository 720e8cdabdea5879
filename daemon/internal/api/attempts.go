package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/facegate/facegate/daemon/internal/attempt"
	"github.com/facegate/facegate/daemon/internal/event"
)

// started is the answer to a request for an attempt or its end.
type started struct {
	AttemptID string `json:"attempt_id"`
}

// postAttempt starts an attempt and, if asked, waits for its outcome.
func (s *Server) postAttempt(w http.ResponseWriter, r *http.Request) {
	wait, p := waits(r)
	if p == nil && !s.Enabled {
		p = refuse(forbidden, "sources.http.enabled is false")
	}
	var ticket attempt.Ticket
	if p == nil {
		ticket, p = s.start(w, r)
	}
	if p != nil {
		s.Refused(string(p.Code))
		p.write(w)
		return
	}
	rec := s.watch(ticket)
	if !wait {
		w.Header().Set("Location", "/v1/attempts/"+ticket.ID)
		respond(w, http.StatusAccepted, started{ticket.ID})
		return
	}
	select {
	case <-rec.ended:
		respond(w, http.StatusOK, rec.event)
	case <-r.Context().Done(): // the client left; the attempt goes on
	}
}

// waits says whether the client wants to wait for the outcome.
func waits(r *http.Request) (bool, *problem) {
	for name, values := range r.URL.Query() {
		if name != "wait" || len(values) != 1 || values[0] != "0" && values[0] != "1" {
			return false, refuse(badRequest, "the only parameter is wait=0 or wait=1").in("wait")
		}
	}
	return r.URL.Query().Get("wait") == "1", nil
}

// start reads the request and hands it to the line.
func (s *Server) start(w http.ResponseWriter, r *http.Request) (attempt.Ticket, *problem) {
	sub, p := s.receive(w, r, photoField, uploadField, refField, agreeField)
	if p != nil {
		return attempt.Ticket{}, p
	}
	if sub.upload != "" {
		picture, ok := s.Uploads.Take(sub.upload)
		if !ok {
			return attempt.Ticket{}, refuse(notFound, "no such upload: it was used already, or is older than %v", uploadLife).in(uploadField)
		}
		sub.picture = picture
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerWait)
	defer cancel()
	ticket, err := s.Line.Start(ctx, attempt.Request{
		Picture: sub.picture, Source: "http", SubjectRef: sub.subjectRef, MayOpen: s.MayOpen, Consent: sub.consent,
	})
	return ticket, lineProblem(err)
}

// lineProblem turns an error of the line into an answer.
func lineProblem(err error) *problem {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, attempt.ErrBusy):
		return refuse(busy, "%v", err)
	case errors.Is(err, attempt.ErrStopped):
		return refuse(stopping, "%v", err)
	case errors.Is(err, attempt.ErrNoAttempt):
		return refuse(notFound, "%v", err)
	case errors.Is(err, context.DeadlineExceeded):
		return refuse(overloaded, "the daemon did not answer in time")
	}
	return refuse(internal, "%v", err)
}

// watch notes the attempt as under way, and its outcome when it comes.
func (s *Server) watch(t attempt.Ticket) *record {
	rec := s.recent.begin(t.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return rec
	}
	s.watchers.Go(func() {
		select {
		case e := <-t.Done:
			s.Outcome(e)
		case <-s.stopped:
		}
	})
	return rec
}

// getAttempt tells what became of a recent attempt.
func (s *Server) getAttempt(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	rec, ok := s.recent.get(id)
	if !ok {
		refuse(notFound, "no such attempt among the last %d", maxRecent).write(w)
		return
	}
	answer := struct {
		AttemptID string       `json:"attempt_id"`
		State     string       `json:"state"`
		Event     *event.Event `json:"event,omitempty"`
	}{AttemptID: id, State: "under_way"}
	if rec.over() {
		answer.State, answer.Event = "ended", &rec.event
	}
	respond(w, http.StatusOK, answer)
}

// cancelAttempt ends the attempt under way. Its outcome follows.
func (s *Server) cancelAttempt(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	ctx, cancel := context.WithTimeout(r.Context(), answerWait)
	defer cancel()
	p := lineProblem(s.Line.Cancel(ctx, id))
	if rec, known := s.recent.get(id); p != nil && p.Code == notFound && known && rec.over() {
		p = refuse(ended, "the attempt has ended already")
	}
	if p != nil {
		p.write(w)
		return
	}
	respond(w, http.StatusAccepted, started{id})
}

// postUpload keeps a picture for a command that will name it.
func (s *Server) postUpload(w http.ResponseWriter, r *http.Request) {
	sub, p := s.receive(w, r, photoField)
	if p != nil {
		p.write(w)
		return
	}
	id, expires, err := s.Uploads.Put(sub.picture)
	if err != nil {
		refuse(overloaded, "%v", err).write(w)
		return
	}
	respond(w, http.StatusCreated, struct {
		UploadID  string     `json:"upload_id"`
		ExpiresAt event.Time `json:"expires_at"`
	}{id, event.Time{Time: expires}})
}
