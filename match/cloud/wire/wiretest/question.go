package wiretest

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/facegate/facegate/match/cloud"
)

// longest bounds a call, so that a client that hangs fails its test.
const longest = 10 * time.Second

// Question returns two small pictures, of different length. They begin as JPEG
// and hold what ways of sending trip over: zero bytes, line ends, the dashes of
// multipart forms, and the two letters that kinds of base64 disagree about.
func Question() cloud.Question {
	return cloud.Question{Live: []byte("\xff\xd8live\xfb\xff\x00\r\n--"), ID: []byte("\xff\xd8the ID\xff\xd9")}
}

// Ask compares the pictures of Question.
func Ask(t testing.TB, p cloud.Provider) (cloud.Answer, error) {
	t.Helper()
	ctx, end := context.WithTimeout(t.Context(), longest)
	defer end()
	return p.Compare(ctx, Question())
}

// Noise returns a JPEG of noise, which hardly shrinks; quality is that of
// image/jpeg. It is always the same.
func Noise(t testing.TB, width, height, quality int) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, width, height))
	random := rand.New(rand.NewPCG(1, 2))
	for i := range img.Pix {
		img.Pix[i] = byte(random.Uint32())
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
