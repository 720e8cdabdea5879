package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Cloud is the compare services that are asked when the device is unsure.
type Cloud struct {
	Providers   []string      `yaml:"providers"`   // names, in the order they are asked; empty: none is
	Consent     string        `yaml:"consent"`     // none, faces, whole: what every person has agreed to before
	Send        string        `yaml:"send"`        // faces, whole
	Margin      float64       `yaml:"margin"`      // around a face, as a share of its size on each side
	EngineDown  string        `yaml:"engine_down"` // error, cloud
	Deadline    time.Duration `yaml:"deadline"`    // for all providers together
	Hedge       time.Duration `yaml:"hedge"`       // ask the next one too after so long; 0: never
	Quorum      int           `yaml:"quorum"`      // providers that must agree
	Breaker     Breaker       `yaml:"breaker"`
	CAFile      string        `yaml:"ca_file"`
	Proxy       string        `yaml:"proxy"`
	DeepIDV     DeepIDV       `yaml:"deepidv"`
	Rekognition Rekognition   `yaml:"rekognition"`
	MXFace      MXFace        `yaml:"mxface"`
	ARGOS       ARGOS         `yaml:"argos"`
}

// Breaker says when a provider that fails is left alone.
type Breaker struct {
	Failures int           `yaml:"failures"` // in a row
	Open     time.Duration `yaml:"open"`     // for how long
}

// A Service is what every provider has.
type Service struct {
	Accept  float64       `yaml:"accept"`  // in the provider's scale, at or above: match
	Reject  float64       `yaml:"reject"`  // at or below: no match
	Timeout time.Duration `yaml:"timeout"` // of one call
	Daily   int           `yaml:"daily"`   // calls a day at most; 0: any number
	Monthly int           `yaml:"monthly"` // calls a month at most; 0: any number
	Cost    float64       `yaml:"cost"`    // units of one call, for the ledger
}

// DeepIDV is the service of deepidv.com.
type DeepIDV struct {
	Service
	BaseURL    string `yaml:"base_url"`
	KeyFile    string `yaml:"key_file"`
	Send       string `yaml:"send"` // multipart, json, presigned
	IDAsSource bool   `yaml:"id_as_source"`
}

// Rekognition is Amazon's CompareFaces.
type Rekognition struct {
	Service
	Region              string `yaml:"region"`
	AccessKeyIDFile     string `yaml:"access_key_id_file"`
	SecretAccessKeyFile string `yaml:"secret_access_key_file"`
	SessionTokenFile    string `yaml:"session_token_file"`
	RoleARN             string `yaml:"role_arn"` // instead of a key
	RoleTokenFile       string `yaml:"role_token_file"`
	RoleEndpoint        string `yaml:"role_endpoint"`
	Endpoint            string `yaml:"endpoint"`
	Attempts            int    `yaml:"attempts"`
	IDAsSource          bool   `yaml:"id_as_source"`
	Bucket              string `yaml:"bucket"` // empty: pictures are in the request
	BucketPrefix        string `yaml:"bucket_prefix"`
	BucketEndpoint      string `yaml:"bucket_endpoint"`
}

// MXFace is the service of mxface.ai.
type MXFace struct {
	Service
	BaseURL          string `yaml:"base_url"`
	KeyFile          string `yaml:"key_file"`
	Version          string `yaml:"version"` // v3, v2, v1
	Confidence       bool   `yaml:"confidence"`
	IDAsSource       bool   `yaml:"id_as_source"`
	CompareAllFaces  bool   `yaml:"compare_all_faces"`
	QualityThreshold int    `yaml:"quality_threshold"`
	MinEyeDistance   int    `yaml:"min_eye_distance"`
}

// ARGOS is the service of argosidentity.com.
type ARGOS struct {
	Service
	BaseURL    string   `yaml:"base_url"`
	KeyFile    string   `yaml:"key_file"`
	IDAsSource bool     `yaml:"id_as_source"`
	Callback   Callback `yaml:"callback"`
}

// Callback is where ARGOS sends results that it does not answer with.
type Callback struct {
	Listen    string `yaml:"listen"` // host:port; empty: results are in the answers
	PublicURL string `yaml:"public_url"`
	CertFile  string `yaml:"cert_file"`
	KeyFile   string `yaml:"key_file"`
}

// Services are the names that cloud.providers may have.
func Services() []string { return []string{"deepidv", "rekognition", "mxface", "argos"} }

// defaultCloud asks nobody.
func defaultCloud() Cloud {
	usual := func(accept, reject float64) Service {
		return Service{Accept: accept, Reject: reject, Timeout: 2 * time.Second, Cost: 1}
	}
	return Cloud{
		Consent: "none", Send: "faces", Margin: 0.5, EngineDown: "error", Deadline: 3 * time.Second, Quorum: 1,
		Breaker:     Breaker{Failures: 5, Open: 30 * time.Second},
		DeepIDV:     DeepIDV{Service: usual(99, 80), BaseURL: "https://api.deepidv.com", Send: "multipart"},
		Rekognition: Rekognition{Service: usual(99, 80), Attempts: 1},
		MXFace:      MXFace{Service: usual(1, 0), BaseURL: "https://faceapi.mxface.ai", Version: "v3"},
		ARGOS:       ARGOS{Service: usual(95, 50), BaseURL: "https://idverify-api.argosidentity.com"},
	}
}

// Service returns what the provider of that name has in common with the others.
func (c Cloud) Service(name string) Service {
	switch name {
	case "deepidv":
		return c.DeepIDV.Service
	case "rekognition":
		return c.Rekognition.Service
	case "mxface":
		return c.MXFace.Service
	case "argos":
		return c.ARGOS.Service
	}
	return Service{}
}

// Asked says whether the provider of that name is configured.
func (c Cloud) Asked(name string) bool { return slices.Contains(c.Providers, name) }

func (c *checker) cloud() {
	v := c.cfg.Cloud
	for i, name := range v.Providers {
		key := fmt.Sprintf("cloud.providers[%d]", i)
		c.oneOf(key, name, Services()...)
		if slices.Contains(v.Providers[:i], name) {
			c.fail(key, "%s stands twice", short(name))
		}
	}
	c.oneOf("cloud.consent", v.Consent, "none", "faces", "whole")
	c.oneOf("cloud.send", v.Send, "faces", "whole")
	c.oneOf("cloud.engine_down", v.EngineDown, "error", "cloud")
	if v.Send == "whole" && v.Consent == "faces" {
		c.fail("cloud.consent", "faces does not cover cloud.send: whole: set whole, or none so that attempts say it")
	}
	within(c, "cloud.margin", v.Margin, 0.2, 1)
	within(c, "cloud.deadline", v.Deadline, 200*time.Millisecond, 30*time.Second)
	within(c, "cloud.hedge", v.Hedge, 0, v.Deadline)
	within(c, "cloud.quorum", v.Quorum, 1, 2)
	if v.Quorum == 2 && len(v.Providers) < 2 {
		c.fail("cloud.quorum", "2 providers must agree, but cloud.providers has %d", len(v.Providers))
	}
	for _, name := range v.Providers {
		if (v.Send == "whole" || v.EngineDown == "cloud") && v.manyFaces(name) {
			c.fail("cloud."+name, "id_as_source and compare_all_faces can't be had with whole pictures (cloud.send: whole, cloud.engine_down: cloud): a sheet full of portraits would match more people")
		}
	}
	if len(v.Providers) == 0 && v.EngineDown == "cloud" {
		c.fail("cloud.engine_down", "cloud needs a provider in cloud.providers")
	}
	within(c, "cloud.breaker.failures", v.Breaker.Failures, 1, 100)
	within(c, "cloud.breaker.open", v.Breaker.Open, time.Second, time.Hour)
	c.path("cloud.ca_file", v.CAFile, true)
	if u, err := url.Parse(v.Proxy); v.Proxy != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		c.fail("cloud.proxy", "must be an http:// or https:// URL")
	}
	for _, name := range Services() {
		c.service(name, v.Service(name))
	}
	c.services()
}

// manyFaces says whether the provider of that name would compare every face of
// the live picture with the ID, or of the ID with the live face.
func (c Cloud) manyFaces(name string) bool {
	switch name {
	case "deepidv":
		return c.DeepIDV.IDAsSource
	case "rekognition":
		return c.Rekognition.IDAsSource
	case "mxface":
		return c.MXFace.IDAsSource || c.MXFace.CompareAllFaces
	case "argos":
		return c.ARGOS.IDAsSource
	}
	return false
}

// scale is the highest score of the provider of that name.
func (c Cloud) scale(name string) float64 {
	if name == "mxface" && (c.MXFace.Version == "v1" || c.MXFace.Version == "v3" && !c.MXFace.Confidence) {
		return 1
	}
	return 100
}

// leastAccept is the lowest threshold for a match, as a share of the scale. A
// lower one is a number meant for another scale, and would match everybody.
const leastAccept = 0.4

// service checks what every provider has.
func (c *checker) service(name string, s Service) {
	key, most := "cloud."+name, c.cfg.Cloud.scale(name)
	if !(s.Accept >= leastAccept*most && s.Accept <= most) {
		c.fail(key+".accept", "must be %v to %v, as scores go up to %v, not %v", leastAccept*most, most, most, s.Accept)
	}
	if !(s.Reject >= 0 && s.Reject < s.Accept) {
		c.fail(key+".reject", "must be at least 0 and below %s.accept (%v), not %v", key, s.Accept, s.Reject)
	}
	within(c, key+".timeout", s.Timeout, 100*time.Millisecond, 30*time.Second)
	within(c, key+".daily", s.Daily, 0, 1_000_000_000)
	within(c, key+".monthly", s.Monthly, 0, 1_000_000_000)
	within(c, key+".cost", s.Cost, 0, 1e6)
}

// services checks the paths of each provider; the rest is told by the clients
// themselves, which know their service.
func (c *checker) services() {
	v := c.cfg.Cloud
	files := cloudFiles(v)
	for key, path := range files {
		c.path(key, path, true)
	}
	c.oneOf("cloud.deepidv.send", v.DeepIDV.Send, "multipart", "json", "presigned")
	c.oneOf("cloud.mxface.version", v.MXFace.Version, "v3", "v2", "v1")
	within(c, "cloud.rekognition.attempts", v.Rekognition.Attempts, 1, 3)
	for _, name := range v.Providers {
		for _, key := range []string{"key_file", "access_key_id_file", "secret_access_key_file"} {
			full := "cloud." + name + "." + key
			path, has := files[full]
			if has && path == "" && (name != "rekognition" || v.Rekognition.RoleARN == "") {
				c.fail(full, "must name the file of the key, as %s is in cloud.providers", name)
			}
		}
	}
}

// cloudFiles returns the files of c by key, also those that are not set.
func cloudFiles(c Cloud) map[string]string {
	return map[string]string{
		"cloud.deepidv.key_file":                   c.DeepIDV.KeyFile,
		"cloud.rekognition.access_key_id_file":     c.Rekognition.AccessKeyIDFile,
		"cloud.rekognition.secret_access_key_file": c.Rekognition.SecretAccessKeyFile,
		"cloud.rekognition.session_token_file":     c.Rekognition.SessionTokenFile,
		"cloud.rekognition.role_token_file":        c.Rekognition.RoleTokenFile,
		"cloud.mxface.key_file":                    c.MXFace.KeyFile,
		"cloud.argos.key_file":                     c.ARGOS.KeyFile,
		"cloud.argos.callback.cert_file":           c.ARGOS.Callback.CertFile,
		"cloud.argos.callback.key_file":            c.ARGOS.Callback.KeyFile,
	}
}

// used says whether the daemon reads the file of that key.
func (c Cloud) used(key string) bool {
	name, _, _ := strings.Cut(strings.TrimPrefix(key, "cloud."), ".")
	return c.Asked(name)
}
