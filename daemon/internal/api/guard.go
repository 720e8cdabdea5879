package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// guard lets only those requests through to next that the way of listening
// allows.
func (l *Listener) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Handlers that write later than this extend it.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(readWait + writeWait))
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if p := l.refusal(r); p != nil {
			p.write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refusal says why r is not let through, or returns nil.
func (l *Listener) refusal(r *http.Request) *problem {
	if l.loopback {
		// A web page from anywhere runs in a browser on this machine and
		// reaches loopback: by its own name, made to mean this machine, or
		// by ours, which its Origin gives away.
		if !localHost(r.Host) {
			return refuse(forbidden, "host %s is not this machine: use localhost or its address", short(r.Host))
		}
		if !sameOrigin(r) {
			return refuse(forbidden, "a web page of another origin may not use this interface")
		}
	}
	if l.token == nil || r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
		return nil
	}
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	digest := sha256.Sum256([]byte(given))
	if !ok || subtle.ConstantTimeCompare(digest[:], l.token[:]) != 1 {
		return refuse(unauthorised, "the header Authorization: Bearer with the configured token is needed")
	}
	return nil
}

// localHost says whether a Host header names this machine.
func localHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// sameOrigin says whether a request comes from no web page, or from one that
// was served under the same name.
func sameOrigin(r *http.Request) bool {
	// What a page merely shows, such as a picture, is asked for without an Origin,
	// and could take all places of those who follow.
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return false
	}
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return len(origins) == 1 && strings.EqualFold(origins[0], scheme+"://"+r.Host)
}
