// Package scene draws what a kiosk sees, from portraits: ID cards and moving
// live frames. The demo and the tests of the whole program use it, so that
// both look at the same pictures.
package scene

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// An ID-1 card (ISO/IEC 7810) scanned at 300 dots per inch, in pixels.
const cardWidth, cardHeight = 1011, 638

// Card draws an ID card around the given part of a portrait. An empty part
// draws a card without a photo.
func Card(portrait image.Image, part image.Rectangle) image.Image {
	photo := image.Rect(50, 150, 50+330, 150+420)
	card := image.NewRGBA(image.Rect(0, 0, cardWidth, cardHeight))
	for y := range cardHeight {
		for x := range cardWidth {
			wave := math.Sin(float64(x)/23+math.Sin(float64(y)/41)*2) * 6
			card.SetRGBA(x, y, color.RGBA{uint8(196 + wave), uint8(212 + wave), uint8(222 + wave/2), 255})
		}
	}
	fill(card, image.Rect(0, 0, cardWidth, 90), color.RGBA{40, 70, 120, 255})
	write(card, 40, 30, 4, "SPECIMEN REPUBLIC", color.White)
	for i, line := range []string{"SURNAME", "EXAMPLE", "GIVEN NAMES", "ALEX", "DOCUMENT NO", "SPEC123456", "EXPIRES", "01 01 2030"} {
		write(card, 430, 160+i*50, 2+i%2, line, color.RGBA{30, 30, 40, 255})
	}
	fill(card, photo.Inset(-4), color.RGBA{90, 100, 110, 255})
	fill(card, photo, color.RGBA{214, 218, 222, 255})
	if !part.Empty() {
		draw.CatmullRom.Scale(card, photo, portrait, part, draw.Src, nil)
	}
	return card
}

// Film draws n frames of 640x480 in which the given part of a picture sways
// and nears as a person does in front of a kiosk. An empty part films the
// room without anybody.
func Film(img image.Image, part image.Rectangle, n int) []image.Image {
	frames := make([]image.Image, n)
	for i := range frames {
		t := 2 * math.Pi * float64(i) / float64(n)
		frame := image.NewRGBA(image.Rect(0, 0, 640, 480))
		room(frame, i)
		if !part.Empty() {
			height := 400 + 20*math.Sin(t)
			width := height * float64(part.Dx()) / float64(part.Dy())
			x, y := 320+30*math.Sin(2*t)-width/2, 250+10*math.Cos(t)-height/2
			to := image.Rect(int(x), int(y), int(x+width), int(y+height))
			draw.BiLinear.Scale(frame, to, img, part, draw.Src, nil)
		}
		frames[i] = frame
	}
	return frames
}

// room is a wall, a door frame and sensor noise, different in each frame.
func room(frame *image.RGBA, seed int) {
	noise := rand.New(rand.NewPCG(uint64(seed), 1))
	for y := range 480 {
		for x := range 640 {
			v := 120 + 60*float64(480-y)/480 + noise.Float64()*8
			if x > 60 && x < 110 || y > 400 && (x+y)%97 < 40 {
				v -= 35
			}
			frame.SetRGBA(x, y, color.RGBA{uint8(v), uint8(v * 0.97), uint8(v * 0.9), 255})
		}
	}
}

func fill(img draw.Image, r image.Rectangle, c color.Color) {
	draw.Draw(img, r, image.NewUniform(c), image.Point{}, draw.Src)
}

// write prints text enlarged by a whole factor.
func write(img draw.Image, x, y, factor int, text string, c color.Color) {
	width := font.MeasureString(basicfont.Face7x13, text).Ceil()
	small := image.NewRGBA(image.Rect(0, 0, width, 13))
	d := font.Drawer{Dst: small, Src: image.NewUniform(c), Face: basicfont.Face7x13, Dot: fixed.P(0, 11)}
	d.DrawString(text)
	draw.NearestNeighbor.Scale(img, image.Rect(x, y, x+width*factor, y+13*factor), small, small.Bounds(), draw.Over, nil)
}

// Load reads a JPEG picture.
func Load(path string) (image.Image, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", path, err)
	}
	return img, nil
}

// JPEG encodes a picture as a scanner or a camera would.
func JPEG(img image.Image) ([]byte, error) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Save writes frames into a new folder as 000.jpg, 001.jpg and so on.
func Save(dir string, frames []image.Image) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i, f := range frames {
		data, err := JPEG(f)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.jpg", i)), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
