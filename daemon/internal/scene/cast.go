package scene

import (
	"fmt"
	"image"
	"path/filepath"
)

// A Portrait is a picture of one person, and where the face is in it.
type Portrait struct {
	File string
	Face image.Rectangle
}

// The portraits are official ones in the public domain, which make fetches
// with the Python package face_recognition 1.3.0.

// FirstOnID is the first person, as printed on the ID.
func FirstOnID() Portrait { return Portrait{"obama.jpg", image.Rect(366, 136, 624, 394)} }

// FirstLive is the first person, as seen by the camera.
func FirstLive() Portrait { return Portrait{"obama3.jpg", image.Rect(646, 302, 955, 611)} }

// Second is another person.
func Second() Portrait { return Portrait{"biden.jpg", image.Rect(439, 233, 749, 542)} }

// head is the part of the picture that shows the head and shoulders.
func (p Portrait) head(in image.Rectangle) image.Rectangle {
	w, h := p.Face.Dx(), p.Face.Dy()
	return image.Rect(p.Face.Min.X-w*6/10, p.Face.Min.Y-h*7/10, p.Face.Max.X+w*6/10, p.Face.Max.Y+h*7/10).Intersect(in)
}

// Card loads the portrait from dir and draws an ID card around it.
func (p Portrait) Card(dir string) (image.Image, error) {
	img, err := p.load(dir)
	if err != nil {
		return nil, err
	}
	return Card(img, p.head(img.Bounds())), nil
}

// Film loads the portrait from dir and films it for n frames.
func (p Portrait) Film(dir string, n int) ([]image.Image, error) {
	img, err := p.load(dir)
	if err != nil {
		return nil, err
	}
	return Film(img, p.head(img.Bounds()), n), nil
}

func (p Portrait) load(dir string) (image.Image, error) {
	img, err := Load(filepath.Join(dir, p.File))
	if err != nil {
		return nil, fmt.Errorf("portrait: %w (make build fetches it)", err)
	}
	return img, nil
}
