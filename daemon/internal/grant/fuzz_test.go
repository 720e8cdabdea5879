package grant_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/grant"
)

// A grant passes if it was signed for this kiosk, this attempt and a later
// instant, and nothing of it was changed on the way; otherwise never.
func FuzzVerify(f *testing.F) {
	f.Add("hall/gate-1", "01J", uint32(60), "hall", "gate-1", "01J", "", uint8(0), byte(0), uint8(64), uint32(0))
	f.Add("hall/gate-1", "01J", uint32(60), "hall", "gate-1", "01J", "", uint8(0), byte(0), uint8(64), uint32(60))
	f.Add("hall/gate-1", "01J", uint32(60), "hall", "gate-1", "01J", "", uint8(0), byte(0), uint8(32), uint32(0))
	f.Add("hall/gate-1", "01J", uint32(60), "hall", "gate-2", "01J", "", uint8(0), byte(0), uint8(64), uint32(0))
	f.Add("hall/gate-1", "01J", uint32(60), "hall", "gate-1", "01K", "", uint8(0), byte(0), uint8(64), uint32(0))
	f.Add("hall/gate-1\n01J", "01K", uint32(60), "hall", "gate-1", "01J\n01K", "", uint8(0), byte(0), uint8(64), uint32(0))
	f.Add("hall/gate-1", "01J", uint32(60), "hall", "gate-1", "01J", "2036-01-02T03:04:05Z", uint8(3), byte(1), uint8(32), uint32(0))
	k, err := grant.NewKey([]byte(secret))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, signedKiosk, signedAttempt string, signedUntil uint32,
		site, device, attempt, until string, at uint8, flip byte, length uint8, now uint32) {
		signedSite, signedDevice, _ := strings.Cut(signedKiosk, "/")
		expires := time.Unix(int64(signedUntil), 0)
		signed := grant.Sign(k, signedSite, signedDevice, signedAttempt, expires)
		g := grant.Grant{AttemptID: attempt, ExpiresAt: signed.ExpiresAt}
		if until != "" {
			g.ExpiresAt = until
		}
		mac := bytes.Clone([]byte(signed.MAC))
		mac[int(at)%len(mac)] ^= flip
		g.MAC = string(mac[:min(int(length), len(mac))])

		intact := strings.EqualFold(g.MAC, signed.MAC) && g.ExpiresAt == signed.ExpiresAt && attempt == signedAttempt &&
			site+"/"+device == signedSite+"/"+signedDevice
		want := intact && now < signedUntil && attempt != "" && !strings.Contains(site+device+attempt, "\n")
		if err := g.Verify(k, site, device, time.Unix(int64(now), 0)); (err == nil) != want {
			t.Errorf("%+v, signed as %+v for %q, at %s/%s at %d of %d: %v, want it to pass: %v",
				g, signed, signedKiosk, site, device, now, signedUntil, err, want)
		}
	})
}
