//go:build dlib && cgo

package document_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/dlib"
	"github.com/facegate/facegate/match/document"
	"github.com/facegate/facegate/match/matchtest"
	"github.com/facegate/facegate/match/picture"
)

func open(t testing.TB) *dlib.Engine {
	t.Helper()
	engine, err := dlib.Open(dlib.Options{Dir: matchtest.Folder(t, "FACEGATE_MODELS")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	return engine
}

// photo returns a portrait as an ID shows it: head and shoulders, 35 by 45.
func photo(t testing.TB, engine match.Engine, name string, width int) image.Image {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(matchtest.Folder(t, "FACEGATE_PICTURES"), name))
	if err != nil {
		t.Fatal(err)
	}
	img, err := picture.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	faces, err := engine.Faces(t.Context(), img, match.Boxes)
	if err != nil || len(faces) != 1 {
		t.Fatalf("%s: %d faces, %v", name, len(faces), err)
	}
	face := faces[0].Box
	middle, half := face.Min.Add(face.Max).Div(2), face.Dx()*3/4
	part := picture.Crop(img, image.Rect(middle.X-half, middle.Y-half*5/4, middle.X+half, middle.Y+half*4/3))
	small, _ := picture.Scale(part, width*9/7)
	return small
}

// blank draws an ID card of 300 dots per inch: a fine pattern, lines of print
// and a seal.
func blank() *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, 1011, 638))
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			wave := math.Sin(float64(x)/9+5*math.Sin(float64(y)/40)) + math.Sin(float64(y)/7+4*math.Sin(float64(x)/60))
			img.SetRGBA(x, y, color.RGBA{uint8(215 + 8*wave), uint8(225 + 6*wave), uint8(228 + 6*wave), 255})
		}
	}
	for line := range 9 {
		for x := 420; x < 940-line%3*90; x += 14 {
			top := 120 + line*45
			draw.Draw(img, image.Rect(x, top, x+9, top+18-x%5*2), image.NewUniform(color.Gray{Y: 40}), image.Point{}, draw.Src)
		}
	}
	for y := -60; y <= 60; y++ {
		for x := -60; x <= 60; x++ {
			if r := math.Hypot(float64(x), float64(y)); r < 60 && int(r/6)%2 == 0 {
				img.SetRGBA(880+x, 90+y, color.RGBA{170, 60, 60, 255})
			}
		}
	}
	return img
}

// with returns a copy of a card with something put on it.
func with(card *image.RGBA, put ...func(*image.RGBA)) *image.RGBA {
	img := image.NewRGBA(card.Rect)
	copy(img.Pix, card.Pix)
	for _, p := range put {
		p(img)
	}
	return img
}

// at puts a photo on a card.
func at(x, y int, photo image.Image) func(*image.RGBA) {
	return func(img *image.RGBA) {
		b := photo.Bounds()
		draw.Draw(img, b.Sub(b.Min).Add(image.Pt(x, y)), photo, b.Min, draw.Src)
	}
}

// pale puts a photo on a card as a ghost: grey, with little ink.
func pale(x, y int, photo image.Image) func(*image.RGBA) {
	return func(img *image.RGBA) {
		b := photo.Bounds()
		grey := picture.Luma(photo, b)
		mask := image.NewUniform(color.Alpha{A: 140})
		draw.DrawMask(img, b.Sub(b.Min).Add(image.Pt(x, y)), grey, b.Min, mask, image.Point{}, draw.Over)
	}
}

// scan turns a card and stores it as scanner software does.
func scan(t testing.TB, img image.Image, turns int) image.Image {
	t.Helper()
	var buf bytes.Buffer
	if err := jpeg.Encode(&buf, picture.Rotate(img, turns), &jpeg.Options{Quality: 80}); err != nil {
		t.Fatal(err)
	}
	out, err := picture.Decode(buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sheet lays a card on a white sheet of A4 at 300 dots per inch.
func sheet(img image.Image) *image.RGBA {
	page := image.NewRGBA(image.Rect(0, 0, 2480, 3508))
	draw.Draw(page, page.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(page, img.Bounds().Add(image.Pt(300, 500)), img, image.Point{}, draw.Src)
	return page
}

func TestRealPortraits(t *testing.T) {
	t.Parallel()
	engine := open(t)
	card := blank()
	obama, biden := photo(t, engine, "obama.jpg", 290), photo(t, engine, "biden.jpg", 290)
	small := photo(t, engine, "obama.jpg", 150)
	other := photo(t, engine, "biden.jpg", 170)
	mine, err := engine.Faces(t.Context(), photo(t, engine, "obama2.jpg", 400), match.Templates)
	if err != nil || len(mine) == 0 {
		t.Fatalf("no template to compare with: %v", err)
	}
	for _, tt := range []struct {
		name  string
		img   image.Image
		turns []int
		ghost bool
		err   error
	}{
		{"card", with(card, at(60, 150, obama)), []int{0, 1, 2, 3}, false, nil},
		{"card with ghost", with(card, at(60, 150, obama), pale(800, 430, small)), []int{1}, true, nil},
		{"two people", with(card, at(60, 150, obama), at(650, 150, biden)), []int{3}, false, document.ErrAmbiguous},
		{"smaller other person", with(card, at(60, 150, obama), at(650, 150, other)), []int{0}, false, document.ErrAmbiguous},
		{"no portrait", card, []int{2}, false, document.ErrNoFace},
		{"card on a sheet", sheet(with(card, at(60, 150, obama))), []int{2}, false, nil},
	} {
		for _, turns := range tt.turns {
			t.Run(fmt.Sprintf("%s/%d", tt.name, turns), func(t *testing.T) {
				got, err := document.Find(t.Context(), engine, scan(t, tt.img, turns), options())
				if !errors.Is(err, tt.err) {
					t.Fatalf("got %v, want %v", err, tt.err)
				}
				if err != nil {
					return
				}
				if want := (4 - turns) % 4; got.Turns != want || got.Faces > 1 != tt.ghost {
					t.Errorf("turns %d, %d faces, want %d, more than one %v", got.Turns, got.Faces, want, tt.ghost)
				}
				if score := engine.Score(got.Face.Template, mine[0].Template); !(score <= options().Policy.Accept) {
					t.Errorf("distance %v to another picture of the same person", score)
				}
			})
		}
	}
}

func BenchmarkFind(b *testing.B) {
	engine := open(b)
	card, obama := blank(), photo(b, engine, "obama.jpg", 290)
	for _, bb := range []struct {
		name  string
		img   image.Image
		turns int
	}{
		{"card", with(card, at(60, 150, obama)), 0},
		{"card upside down", with(card, at(60, 150, obama)), 2},
		{"card without portrait", card, 0},
		{"card on a sheet", sheet(with(card, at(60, 150, obama))), 0},
		{"sheet without portrait", sheet(card), 0},
	} {
		img := scan(b, bb.img, bb.turns)
		b.Run(bb.name, func(b *testing.B) {
			for b.Loop() {
				_, _ = document.Find(b.Context(), engine, img, options())
			}
		})
	}
}
