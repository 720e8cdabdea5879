package mqtt

import (
	"bytes"
	"testing"
	"time"
)

// A command may come from anyone who gets past the broker.
func FuzzCommand(f *testing.F) {
	good := `{"id":"1","expires_at":"2026-01-02T03:04:35Z","nonce":"n","args":{"upload":"u"}}`
	f.Add("verify", []byte(good))
	f.Add("verify", []byte(`{"id":"1","expires_at":"2026-01-02T03:04:35Z","nonce":"n","args":{"photo":"AAAA"}}`))
	f.Add("cancel", []byte(`{"id":"1","expires_at":"2026-01-02T03:04:35+00:00","nonce":"n"}`))
	f.Add("grant", []byte(`{"id":"1","expires_at":"2026-01-02T03:04:35Z","nonce":"n","args":{"attempt_id":"01KJM2Z8Q4T0V6W9X3Y5A7BCDE","expires_at":"x","mac":"y"}}`))
	f.Add("replay", []byte(`{"id":"1","expires_at":"2026-01-02T03:04:35Z","nonce":"n","args":{"from":1,"to":2}}`))
	f.Add("rebirth", []byte(`{"ID":"1","id":"2"}`))
	f.Add("open", []byte(good+good))
	f.Add("verify", bytes.Repeat([]byte(`{"args":`), 100))
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, verb string, payload []byte) {
		cmd, nonce, refused := parseCommand(Verb(verb), payload, at)
		if cmd.ID != "" && !isWord(cmd.ID, maxID) {
			t.Errorf("id %q would be sent back", cmd.ID)
		}
		if refused != nil {
			if refused.code == OK || refused.code == "" {
				t.Errorf("refused with code %q", refused.code)
			}
			return
		}
		parts := 0
		for _, set := range []bool{cmd.Verify != nil, cmd.Cancel != nil, cmd.Grant != nil, cmd.Replay != nil, cmd.Verb == VerbRebirth} {
			if set {
				parts++
			}
		}
		switch ahead := cmd.Expires.Sub(at); {
		case nonce == "" || cmd.ID == "" || parts != 1 || !known(cmd.Verb):
			t.Errorf("let pass: %+v, nonce %q", cmd, nonce)
		case ahead <= 0 || ahead > MaxAhead:
			t.Errorf("let pass with expiry %s ahead", ahead)
		case cmd.Verify != nil && len(cmd.Verify.Photo) > MaxPhotoBytes:
			t.Errorf("let pass a photo of %d bytes", len(cmd.Verify.Photo))
		}
	})
}

// What paho is given must be what the broker sent, less what is too large.
func FuzzGuard(f *testing.F) {
	f.Add([]byte{0x20, 2, 0, 0, 0x30, 5, 0, 1, 'a', 'h', 'i', 0xd0, 0})
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0x7f, 0, 0})
	f.Add([]byte{0x90, 4, 0, 1, 0, 0})
	f.Fuzz(func(t *testing.T, stream []byte) {
		g := newGuard(&reader{r: bytes.NewReader(stream)}, func(n int) {
			if n <= maxPacket {
				t.Errorf("skipped %d bytes", n)
			}
		}, func(error) {})
		var got []byte
		for buf := make([]byte, 7); ; {
			n, err := g.Read(buf)
			got = append(got, buf[:n]...)
			if err != nil {
				break
			}
		}
		if len(stream) < maxPacket && !bytes.HasPrefix(stream, got) {
			t.Errorf("got %x of %x", got, stream)
		}
	})
}
