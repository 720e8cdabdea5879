//go:build linux && board

package board

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
)

const (
	marker = "/run/systemd/timesync/synchronized" // clock.marker's default
	// stepBack is how far the clock is set back.
	stepBack = time.Hour
	// brokerWait is the longest pause between two tries at the broker.
	brokerWait = time.Minute
)

// A board that wakes in 1970, learns the time during an attempt, and loses it
// again during the next.
func TestClock(t *testing.T) {
	address, err := freePort()
	must(t, err)
	_, port, err := net.SplitHostPort(address)
	must(t, err)
	dir := t.TempDir()
	certify(t, dir)
	k := newKioskWith(t, setup{
		broker: []string{
			"listener " + port + " 127.0.0.1", "certfile " + filepath.Join(dir, "cert.pem"), "keyfile " + filepath.Join(dir, "key.pem"),
		},
		devices: []string{"-rtc", "base=1970-01-01T00:00:00"},
	})
	certificate, err := os.ReadFile(filepath.Join(dir, "cert.pem"))
	must(t, err)
	k.run("cat >/etc/facegate/broker.pem <<'END'\n" + string(certificate) + "END\n" +
		fmt.Sprintf("sed -i 's|^mqtt: .*|mqtt: {broker: \"ssl://%s:%s\", ca_file: /etc/facegate/broker.pem}|' /etc/facegate/facegate.yaml", HostAddress, port))
	var visits []visit
	k.steps(t, []step{
		{"a clock that nobody has set", unset},
		{"set during an attempt", func(k *kiosk) { visits = append(visits, setRight(k)) }},
		{"set back during an attempt and a pulse", func(k *kiosk) { visits = append(visits, setBack(k)) }},
		{"no event lost, all in order", func(k *kiosk) { k.recorded(visits) }},
	})
}

// certify makes a certificate for the broker that is valid from some hours ago.
func certify(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, IPAddresses: []net.IP{net.ParseIP(HostAddress)},
		NotBefore: time.Now().Add(-4 * stepBack), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	for file, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: certificate}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		must(t, os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600))
	}
}

// clock returns what the board takes for the time.
func (k *kiosk) clock() time.Time {
	k.t.Helper()
	seconds, err := strconv.ParseInt(strings.TrimSpace(k.run("date +%s")), 10, 64)
	must(k.t, err)
	return time.Unix(seconds, 0)
}

// unset is the time before there is any: attempts are made, and the broker's
// certificate seems to be from the future.
func unset(k *kiosk) {
	k.t.Logf("the board woke in %d; systemd made it %s", 1970, k.clock().UTC().Format(time.DateTime))
	if ahead := time.Until(k.clock()); ahead > -24*time.Hour {
		k.t.Fatalf("the clock is right, or %v ahead", ahead)
	}
	k.run("systemctl start facegate")
	k.await("idle", on(ready))
	k.present("blank.jpg")
	k.await("lamp attention", on(attention))
	log := k.run("journalctl --no-pager --unit facegate")
	if !strings.Contains(log, "the broker's certificate is valid from") {
		k.t.Errorf("no word of the certificate:\n%s", log)
	}
	if len(k.site.Events) != 0 || k.ear.now("clock").what != "" {
		k.t.Errorf("the broker was reached: %v\n%v", k.site.Events, k.ear)
	}
}

// A visit is a person for whom the door opened, as seen from outside.
type visit struct {
	opened time.Duration // after the attempt's begin
	length time.Duration // of the pulse
}

// visit has a person come in, and runs a script while they are compared and one
// while the door is open.
func (k *kiosk) visit(compared, open string) visit {
	k.t.Helper()
	k.await("idle", on(ready))
	k.present("id.jpg")
	began := k.await("the attempt", on(busy))
	k.set(compared)
	k.await("the door's opening", on(door))
	k.set(open)
	k.await("the door's end", off(door))
	pulses := k.watch.Pulses(door, began)
	if len(pulses) != 1 {
		k.t.Fatalf("%d pulses:\n%v", len(pulses), k.watch)
	}
	return visit{pulses[0].From.Sub(began), pulses[0].To.Sub(pulses[0].From)}
}

// set runs a script that sets the clock.
func (k *kiosk) set(script string) {
	k.t.Helper()
	if script == "" {
		return
	}
	before := k.clock()
	k.run(script)
	k.t.Logf("clock set from %s to %s", before.UTC().Format(time.DateTime), k.clock().UTC().Format(time.DateTime))
}

// setRight is a time service's work: the right time, and a file that says so.
func setRight(k *kiosk) visit {
	began := time.Now()
	v := k.visit(fmt.Sprintf("date --set @%d >/dev/null && mkdir -p %s && touch %s", time.Now().Unix(), filepath.Dir(marker), marker), "")
	s, ok := k.ear.since(began, "clock", "ok", brokerWait+15*time.Second)
	if !ok {
		k.t.Fatalf("the broker was not reached within %v:\n%s", brokerWait, k.run("journalctl --no-pager --unit facegate --lines 20"))
	}
	k.t.Logf("broker reached %v after the photo", short(s.at.Sub(began)))
	return v
}

// setBack sets the clock back twice, and nobody vouches for it.
func setBack(k *kiosk) visit {
	back := fmt.Sprintf("date --set @$(($(date +%%s) - %d)) >/dev/null", int(stepBack.Seconds()))
	return k.visit("rm "+marker+" && "+back, back)
}

// recorded compares all events with what was seen from outside: the attempt
// before there was a time, and three for each visit.
func (k *kiosk) recorded(visits []visit) {
	n := 1 + 3*len(visits)
	k.site.Until(uint64(n))
	k.site.Check(n)
	all := k.site.Events
	for i, e := range all {
		k.t.Logf("%d %s %s: ts %s, %d ms after boot, synced %v, historical %v", e.Seq, e.Kind, gist(e), e.Time.UTC().Format(time.DateTime), e.MonoMS, e.ClockSynced, e.Historical)
		if e.BootID != all[0].BootID || i > 0 && e.MonoMS < all[i-1].MonoMS {
			k.t.Errorf("event %d is out of order", e.Seq)
		}
		if synced := i >= 1 && i <= 3; e.ClockSynced != synced || synced != (time.Since(e.Time.Time).Abs() < stepBack/2) {
			k.t.Errorf("event %d: ts %v, synced %v, want %v", e.Seq, e.Time, e.ClockSynced, synced)
		}
		if i > 3 && e.Historical {
			k.t.Errorf("event %d is marked historical as it happens", e.Seq)
		}
	}
	for i, v := range visits {
		outcome, ended := all[1+3*i], all[3+3*i]
		took := time.Duration(outcome.StageMS["total"] * float64(time.Millisecond))
		told := time.Duration(ended.MeasuredMS * float64(time.Millisecond))
		k.t.Logf("door opened %v after the attempt's begin, the daemon says %v; open for %v, the daemon says %v", short(v.opened), short(took), short(v.length), short(told))
		if (v.opened-took).Abs() > 2*late || (v.length-pulse).Abs() > late || (v.length-told).Abs() > late {
			k.t.Errorf("durations are wrong: stages %v, pulse %v", outcome.StageMS, ended.MeasuredMS)
		}
	}
}

// gist is what an event says.
func gist(e event.Event) string {
	if e.Attempt == nil {
		return string(e.Fact)
	}
	return string(e.Reason)
}
