//go:build linux && board

package board

import (
	"encoding/json"
	"testing"

	"github.com/facegate/facegate/daemon/internal/event"
)

// What a 64-bit board usually runs: ONNX Runtime, which does not come up under
// user-mode QEMU, and faceplugin. In the unit's sandbox all networks are run at the
// start and the detector by an ID without a face; one with a face, a dozen looks,
// would take the emulated board longer than an attempt may. So verify compares.
func TestModels(t *testing.T) {
	k := newKiosk(t)
	k.run("sed -i 's/{set: dlib}/{set: auto}/' /etc/facegate/facegate.yaml && systemctl start facegate")
	k.await("lamp ready", on(ready))
	k.decided("blank.jpg", attention, event.DecisionError, event.NoFaceID)
	k.run("systemctl stop facegate")

	for live, want := range map[string]string{"live.jpg": "match", "other.jpg": "no_match"} {
		out := k.run("facegate verify --json --models /var/lib/facegate/models --set faceplugin /mnt/id.jpg /mnt/" + live + " || true")
		var got struct {
			Verdict, Model string
			Score          float64
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil || got.Verdict != want {
			t.Errorf("%s: %v, %s; want %s", live, err, out, want)
		}
		t.Logf("%s: %s at %.4f, %s", live, got.Verdict, got.Score, got.Model)
	}
}
