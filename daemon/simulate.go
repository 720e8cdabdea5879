package main

import (
	"context"
	"errors"
	"image"
	"image/draw"
	"io"
	"math/rand/v2"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/document"
	"github.com/facegate/facegate/match/picture"
)

// imitate returns a template of each picture of g, found as the portrait on an
// ID is, after the picture was made worse. It is nil for pictures that are not
// wanted or that gave no portrait. This simulates what printing and scanning
// take away, not what a document adds: patterns, tints, years.
func imitate(
	ctx context.Context, open func() (match.Engine, error), g *gallery, wanted func(i int) bool, policy match.Policy, progress io.Writer,
) ([]match.Template, error) {
	ids := make([]match.Template, len(g.files))
	_, err := eachPicture(ctx, open, g.files, progress, func(ctx context.Context, e match.Engine, i int) error {
		if !wanted(i) {
			return nil
		}
		img, err := readImage(g.files[i])
		if err != nil {
			return err
		}
		if img, err = worse(img, rand.New(rand.NewPCG(1, uint64(i)))); err != nil {
			return err
		}
		portrait, err := document.Find(ctx, e, img, document.Options{Policy: policy})
		if errors.Is(err, document.ErrNoFace) || errors.Is(err, document.ErrAmbiguous) {
			return nil
		}
		ids[i] = portrait.Face.Template
		return err
	})
	return ids, err
}

// worse returns a picture at 36 to 60 % of its size, in two of five cases grey,
// blurred, with noise, and compressed with a quality of 35 to 70.
func worse(img image.Image, r *rand.Rand) (image.Image, error) {
	b := img.Bounds()
	small, _ := picture.Scale(img, int(float64(max(b.Dx(), b.Dy()))*(0.36+0.24*r.Float64())))
	b = small.Bounds()
	rgba := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	if r.Float64() < 0.4 {
		small = picture.Luma(small, b)
	}
	draw.Draw(rgba, rgba.Rect, small, small.Bounds().Min, draw.Src)
	for range r.IntN(3) {
		rgba = blurred(rgba)
	}
	noise := 8 * r.Float64()
	for i := range rgba.Pix {
		if i%4 != 3 {
			rgba.Pix[i] = uint8(min(255, max(0, float64(rgba.Pix[i])+noise*r.NormFloat64())))
		}
	}
	data, err := picture.JPEG(rgba, 35+r.IntN(36))
	if err != nil {
		return nil, err
	}
	return picture.Decode(data)
}

// blurred returns the picture with each pixel mixed with its neighbours, 1 2 1
// in both directions: a deviation of 0.7 pixels.
func blurred(img *image.RGBA) *image.RGBA {
	out := image.NewRGBA(img.Rect)
	w, h := img.Rect.Dx(), img.Rect.Dy()
	for y := range h {
		for x := range w {
			for c := range 4 {
				sum := 0
				for dy := -1; dy <= 1; dy++ {
					for dx := -1; dx <= 1; dx++ {
						px, py := min(w-1, max(0, x+dx)), min(h-1, max(0, y+dy))
						sum += (2 - dx*dx) * (2 - dy*dy) * int(img.Pix[py*img.Stride+4*px+c])
					}
				}
				out.Pix[y*out.Stride+4*x+c] = uint8(sum / 16)
			}
		}
	}
	return out
}
