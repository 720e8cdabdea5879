package broker_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/facegate/facegate/daemon/internal/broker"
)

// A page from elsewhere, shown by a browser on the kiosk, must not reach the
// broker.
func TestWebSocketOrigin(t *testing.T) {
	open := start(t, broker.Config{WebSocket: "127.0.0.1:0"}, io.Discard)
	closed := start(t, broker.Config{WebSocket: "127.0.0.1:0", UsersFile: users(t, "ann:x\n")}, io.Discard)
	tests := []struct {
		name         string
		b            *broker.Embedded
		origin, host string
		welcome      bool
	}{
		{"no page", open, "", "", true},
		{"a page of this machine, other port", open, "http://localhost:8080", "", true},
		{"a page from elsewhere", open, "https://evil.example", "", false},
		{"a foreign name that points here", open, "http://evil.example", "evil.example:9001", false},
		{"a foreign name without a page", open, "", "evil.example:9001", false},
		{"the kiosk's own name, with passwords", closed, "http://gate-1.example", "gate-1.example:9001", true},
		{"a page from elsewhere, with passwords", closed, "https://evil.example", "gate-1.example:9001", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			if tt.origin != "" {
				h.Set("Origin", tt.origin)
			}
			if tt.host != "" {
				h.Set("Host", tt.host)
			}
			d := websocket.Dialer{Subprotocols: []string{"mqtt"}}
			c, _, err := d.DialContext(t.Context(), "ws://"+tt.b.WebSocketAddr().String(), h)
			if (err == nil) != tt.welcome {
				t.Fatalf("dial: %v, want welcome %v", err, tt.welcome)
			}
			if err == nil {
				_ = c.Close()
			}
		})
	}
}
