package mqtttest

import (
	"encoding/json"
	"time"
)

// An Edit spoils a command.
type Edit func(map[string]any)

// Command returns a good command with the given id and args, edited.
func Command(id, args string, edits ...Edit) []byte {
	m := map[string]any{
		"id": id, "nonce": "nonce-" + id, "expires_at": time.Now().Add(30 * time.Second).UTC().Format(time.RFC3339Nano),
		"args": json.RawMessage(args),
	}
	for _, edit := range edits {
		edit(m)
	}
	b, _ := json.Marshal(m) // nothing if args is no JSON, which no kiosk takes
	return b
}

// Without leaves a key out.
func Without(key string) Edit { return func(m map[string]any) { delete(m, key) } }

// With sets a key.
func With(key string, value any) Edit { return func(m map[string]any) { m[key] = value } }

// Expires makes the command expire after the given time, from now.
func Expires(in time.Duration) Edit {
	return With("expires_at", time.Now().Add(in).UTC().Format(time.RFC3339Nano))
}
