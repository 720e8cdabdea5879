package sim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// vector is a request that the official Go client's signer signed.
func vector(t *testing.T) (*http.Request, []byte, AWS, time.Time) {
	body := `{"SimilarityThreshold":0,"SourceImage":{"Bytes":"/9j/"},"TargetImage":{"Bytes":"/9j+"}}`
	r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1:8080/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Date", "20150830T123600Z")
	r.Header.Set("X-Amz-Target", "RekognitionService.CompareFaces")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/rekognition/aws4_request, "+
		"SignedHeaders=content-length;content-type;host;x-amz-date;x-amz-target, "+
		"Signature=103833b1a6d2f9ba6e88f622d823b2bdf3379da01265c50a515732bb6a657d4c")
	account := AWS{AccessKey: "AKIDEXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", Region: "us-east-1"}
	return r, []byte(body), account, time.Date(2015, 8, 30, 12, 40, 0, 0, time.UTC)
}

func TestSignatureVector(t *testing.T) {
	r, body, account, now := vector(t)
	if err := checkSignature(r, body, account, "rekognition", now); err != nil {
		t.Error(err)
	}
}

func TestSignatureRefused(t *testing.T) {
	edit := func(old, new string) func(*http.Request, *AWS, *time.Time) {
		return func(r *http.Request, _ *AWS, _ *time.Time) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
		}
	}
	for name, test := range map[string]struct {
		change func(*http.Request, *AWS, *time.Time)
		want   error
	}{
		"secret":      {func(_ *http.Request, a *AWS, _ *time.Time) { a.SecretKey += "x" }, errSignature},
		"key":         {func(_ *http.Request, a *AWS, _ *time.Time) { a.AccessKey += "x" }, errStranger},
		"no account":  {func(_ *http.Request, a *AWS, _ *time.Time) { *a = AWS{} }, errStranger},
		"token":       {func(_ *http.Request, a *AWS, _ *time.Time) { a.SessionToken = "x" }, errStranger},
		"region":      {func(_ *http.Request, a *AWS, _ *time.Time) { a.Region = "eu-west-1" }, errSignature},
		"late":        {func(_ *http.Request, _ *AWS, now *time.Time) { *now = now.Add(2 * time.Minute) }, errStale},
		"early":       {func(_ *http.Request, _ *AWS, now *time.Time) { *now = now.Add(-10 * time.Minute) }, errStale},
		"target":      {func(r *http.Request, _ *AWS, _ *time.Time) { r.Header.Set("X-Amz-Target", "x") }, errSignature},
		"host":        {func(r *http.Request, _ *AWS, _ *time.Time) { r.Host = "x" }, errSignature},
		"path":        {func(r *http.Request, _ *AWS, _ *time.Time) { r.URL.Path = "/x" }, errSignature},
		"unsigned":    {func(r *http.Request, _ *AWS, _ *time.Time) { r.Header.Del("Authorization") }, errUnsigned},
		"not signed":  {func(r *http.Request, _ *AWS, _ *time.Time) { r.Header.Set("X-Amz-Extra", "x") }, errSignature},
		"day":         {edit("20150830/", "20150831/"), errSignature},
		"scheme":      {edit("AWS4", "AWS3"), errSignature},
		"upper case":  {edit("103833b1a6d2f9ba", "103833B1A6D2F9BA"), errSignature},
		"order":       {edit("content-type;host", "host;content-type"), errSignature},
		"not sent":    {edit("x-amz-target,", "x-amz-target;x-other,"), errSignature},
		"no host":     {edit("host;", ""), errSignature},
		"short":       {edit("4c", ""), errSignature},
		"termination": {edit("aws4_request", "aws4"), errSignature},
	} {
		r, body, account, now := vector(t)
		test.change(r, &account, &now)
		if err := checkSignature(r, body, account, "rekognition", now); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func smallJPEG(t testing.TB) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewRGBA(image.Rect(0, 0, 16, 16)), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func smallPNG(t testing.TB) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewRGBA(image.Rect(0, 0, 16, 16))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// segment is a JPEG segment.
func segment(marker byte, body string) []byte {
	return append([]byte{0xff, marker, 0, byte(len(body) + 2)}, body...)
}

// chunk is a PNG chunk.
func chunk(name, body string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	b = append(b, name+body...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

func TestInspect(t *testing.T) {
	j, p := smallJPEG(t), smallPNG(t)
	after := func(data []byte, at int, more []byte) []byte { return slices.Insert(slices.Clone(data), at, more...) }
	const jfif = "JFIF\x00\x01\x01\x00\x00\x01\x00\x01"
	for name, test := range map[string]struct {
		data []byte
		want string // empty: sound
	}{
		"jpeg":            {j, ""},
		"png":             {p, ""},
		"jfif":            {after(j, 2, segment(0xe0, jfif+"\x00\x00")), ""},
		"restarts":        {after(j, 2, segment(0xdd, "\x00\x01")), ""},
		"no tables":       {[]byte("\xff\xd8\xff\xda\x00\x02\xff\xd9"), "cannot be decoded"},
		"jfif thumbnail":  {after(j, 2, segment(0xe0, jfif+"\x01\x01\x00\x00\x00")), "APP0"},
		"jfif extension":  {after(j, 2, segment(0xe0, "JFXX\x00\x10")), "APP0"},
		"exif":            {after(j, 2, segment(0xe1, "Exif\x00\x00")), "APP1 "},
		"xmp":             {after(j, 2, segment(0xe1, "http://ns.adobe.com/xap/1.0/\x00")), "APP1 "},
		"profile":         {after(j, 2, segment(0xe2, "ICC_PROFILE\x00")), "APP2 "},
		"photoshop":       {after(j, 2, segment(0xed, "Photoshop 3.0\x00")), "APP13 "},
		"comment":         {after(j, 2, segment(0xfe, "me")), "a comment of 2 bytes"},
		"comment at end":  {after(j, len(j)-2, segment(0xfe, "me")), "a comment of 2 bytes"},
		"trailing":        {append(slices.Clone(j), "me"...), "2 bytes after its end"},
		"second picture":  {append(slices.Clone(j), j...), "after its end"},
		"reserved marker": {after(j, 2, segment(0x02, "me")), "stray JPEG marker"},
		"cut jpeg":        {j[:len(j)-2], "no JPEG marker"},
		"cut segment":     {j[:10], "ends within"},
		"start only":      {j[:3], "no JPEG marker"},
		"text chunk":      {after(p, 33, chunk("tEXt", "Author\x00me")), `chunk "tEXt"`},
		"exif chunk":      {after(p, 33, chunk("eXIf", "MM")), `chunk "eXIf"`},
		"checksum":        {after(p, 33, append(chunk("pHYs", "")[:8], 0, 0, 0, 0)), "checksum"},
		"png trailing":    {append(slices.Clone(p), 0), "after its end"},
		"cut png":         {p[:40], "ends within"},
		"text":            {[]byte("hello"), "neither"},
		"nothing":         {nil, "neither"},
	} {
		_, err := inspect(test.data)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func TestKeyPaths(t *testing.T) {
	got, err := keyPaths([]byte(`{"a":{"b":[{"c":1},{"c":2}]},"d":null,"a.b":1}`))
	if want := []string{`"a.b"`, "a", "a.b", "a.b[].c", "d"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q %v, want %q", got, err, want)
	}
	for _, text := range []string{"", "[]", "1", `{"a":1,"a":2}`, `{"a":{"b":1,"b":2}}`, `{}{}`, `{"a":`, "{\"\xff\":1}",
		`{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`} {
		if got, err := keyPaths([]byte(text)); err == nil {
			t.Errorf("%s: %q", text, got)
		}
	}
}

func TestPartsRefused(t *testing.T) {
	const kind = "multipart/form-data; boundary=B"
	const good = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--B--\r\n"
	if list, err := parts(kind, []byte(good)); err != nil || len(list) != 1 || string(list[0].contents) != "x" || list[0].file {
		t.Fatalf("%+v %v", list, err)
	}
	for name, test := range map[string]struct{ kind, old, new, want string }{
		"type":        {"multipart/mixed; boundary=B", "", "", "is not multipart/form-data"},
		"no boundary": {"multipart/form-data", "", "", "no good boundary"},
		"parameter":   {kind + "; charset=utf-8", "", "", "no good boundary"},
		"preamble":    {kind, "--B\r\nC", "hi\r\n--B\r\nC", "does not start"},
		"epilogue":    {kind, "--B--\r\n", "--B--\r\nhi", "after its end"},
		"no end":      {kind, "\r\n--B--\r\n", "", "no last boundary"},
		"open end":    {kind, "--B--\r\n", "--B\r\n", "no end of its headers"},
		"line feeds":  {kind, "--B\r\n", "--B\n", "followed by other text"},
		"header":      {kind, "\r\n\r\nx", "\r\nContent-Transfer-Encoding: base64\r\n\r\nx", "unexpected header line"},
		"header twice": {kind, "\r\n\r\nx",
			"\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\nx", "unexpected header line"},
		"carriage return": {kind, "\"a\"\r\n", "\"a\"\r\r\n", "unexpected header line"},
		"control":         {kind, "\r\n\r\nx", "\r\nContent-Type:\x10\r\n\r\nx", "unexpected header line"},
		"no name":         {kind, `; name="a"`, "", "no form-data name"},
		"attachment":      {kind, "form-data", "attachment", "no form-data name"},
		"other param":     {kind, `name="a"`, `name="a"; size=1`, "unknown parameter"},
	} {
		if _, err := parts(test.kind, []byte(strings.Replace(good, test.old, test.new, 1))); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// What is taken must be what the standard library reads, too.
func FuzzParts(f *testing.F) {
	const kind = "multipart/form-data; boundary=B"
	f.Add(kind, []byte("--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--B--\r\n"))
	f.Add(kind, []byte("--B\r\nContent-Disposition: form-data; name=\"a\"; filename=\"f\"\r\nContent-Type: image/jpeg\r\n\r\n\r\n--B--"))
	f.Add(kind, []byte("--B--"))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		list, err := parts(kind, body)
		if err != nil || len(list) == 0 {
			return
		}
		_, params, err := mime.ParseMediaType(kind)
		if err != nil {
			t.Fatal(err)
		}
		r := multipart.NewReader(bytes.NewReader(body), params["boundary"])
		for _, p := range list {
			other, err := r.NextRawPart()
			if err != nil {
				t.Fatalf("part %q: %v", p.name, err)
			}
			contents, err := io.ReadAll(other)
			if err != nil || other.FormName() != p.name || !bytes.Equal(contents, p.contents) {
				t.Fatalf("part %q %q, the library reads %q %q (%v)", p.name, p.contents, other.FormName(), contents, err)
			}
		}
		if _, err := r.NextRawPart(); err != io.EOF {
			t.Fatalf("the library reads more parts: %v", err)
		}
	})
}

// What is taken as bare holds no text of metadata before its first scan.
func FuzzBareJPEG(f *testing.F) {
	j := smallJPEG(f)
	f.Add(j)
	f.Add(slices.Insert(slices.Clone(j), 2, segment(0xe1, "Exif\x00\x00")...))
	f.Add(slices.Insert(slices.Clone(j), 2, segment(0xfe, "me")...))
	f.Add(j[:20])
	f.Fuzz(func(t *testing.T, data []byte) {
		if !bytes.HasPrefix(data, []byte("\xff\xd8\xff")) || bareJPEG(data) != nil {
			return
		}
		if !bytes.HasSuffix(data, []byte("\xff\xd9")) {
			t.Error("has no end")
		}
		if m := data[3]; m == 0xfe || m >= 0xe1 && m <= 0xef {
			t.Errorf("starts with marker %#x", m)
		}
	})
}

func FuzzBarePNG(f *testing.F) {
	f.Add(smallPNG(f))
	f.Add(slices.Insert(smallPNG(f), 33, chunk("tEXt", "a\x00b")...))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= 8 && barePNG(data) == nil && bytes.Count(data, []byte("IEND")) == 0 {
			t.Error("has no end")
		}
	})
}

// What is read of a header gives the header again.
func FuzzAuthorization(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=A/20150830/us-east-1/rekognition/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("0a", 32))
	f.Add("AWS4-HMAC-SHA256 Credential=, SignedHeaders=, Signature=")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseAuthorization(text)
		if err != nil {
			return
		}
		again := "AWS4-HMAC-SHA256 Credential=" + strings.Join([]string{s.key, s.day, s.region, s.service, "aws4_request"}, "/") +
			", SignedHeaders=" + strings.Join(s.headers, ";") + ", Signature=" + s.hex
		if again != text {
			t.Errorf("%q was read as %q", text, again)
		}
	})
}

func FuzzKeyPaths(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,{"c":null}]}}`))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		paths, err := keyPaths(text)
		if err == nil && len(paths) == 0 && bytes.Contains(text, []byte(":")) {
			t.Errorf("%q has no members", text)
		}
	})
}

// Scripts that are taken have nothing wrong with them, and can be played.
func FuzzReadScripts(f *testing.F) {
	f.Add([]byte(`{"deepidv":{"steps":[{"do":"throttle","retry_after":"2s","times":3},{"do":"true","latency":"150ms"}],"once":true}}`))
	f.Add([]byte(`{"argos":{"seed":7,"chances":[{"share":0.5,"do":"server_error"},{"share":0.1,"do":"half_open"}]},"argos.callback":{"steps":[{"do":"twice"}]}}`))
	f.Add([]byte(`{"rekognition":{"steps":[{"do":"quota","form":-1,"share":1}]},"mxface":{"chances":[{"share":1.1}]}}`))
	f.Add([]byte(`{"mxface":null,"argos":{"steps":[]}}{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		scripts, err := ReadScripts(bytes.NewReader(text))
		if err != nil {
			return
		}
		for op, script := range scripts {
			if bad := script.problems(op); len(bad) > 0 {
				t.Fatalf("%s: %v", op, bad)
			}
			steps := slices.Clone(script.Steps)
			for _, c := range script.Chances {
				steps = append(steps, c.Step)
			}
			if script.Once || len(script.Steps) == 0 {
				steps = append(steps, Step{})
			}
			a := &actor{script: script, dice: rand.New(rand.NewPCG(script.Seed, 0))}
			for range 50 {
				if step := a.next(); !slices.Contains(steps, step) {
					t.Fatalf("%s: plays %+v, not in its script", op, step)
				}
			}
		}
	})
}
