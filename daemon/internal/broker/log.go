package broker

import (
	"context"
	"log/slog"
)

// discreet passes on the library's log records without anything that a
// client sent: they may hold whole packets, and with them pictures and
// passwords. Its informational records become debug records.
type discreet struct {
	next slog.Handler
}

// Enabled implements slog.Handler.
func (d *discreet) Enabled(ctx context.Context, level slog.Level) bool {
	return d.next.Enabled(ctx, lower(level))
}

// Handle implements slog.Handler.
func (d *discreet) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, lower(r.Level), "embedded broker", r.PC)
	out.AddAttrs(slog.String("what", r.Message))
	r.Attrs(func(a slog.Attr) bool {
		if harmless(a.Key) {
			out.AddAttrs(a)
		}
		return true
	})
	return d.next.Handle(ctx, out)
}

// WithAttrs implements slog.Handler.
func (d *discreet) WithAttrs(attrs []slog.Attr) slog.Handler {
	var kept []slog.Attr
	for _, a := range attrs {
		if harmless(a.Key) {
			kept = append(kept, a)
		}
	}
	return &discreet{d.next.WithAttrs(kept)}
}

// WithGroup implements slog.Handler. The library uses no groups.
func (d *discreet) WithGroup(string) slog.Handler { return d }

func harmless(key string) bool {
	switch key {
	case "error", "client", "listener", "remote", "address":
		return true
	}
	return false
}

func lower(l slog.Level) slog.Level {
	if l == slog.LevelInfo {
		return slog.LevelDebug
	}
	return l
}
