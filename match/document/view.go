package document

import (
	"image"
	"image/draw"
	"math"

	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/picture"
)

// A view is a part of the given picture, scaled and turned, as the engine is
// shown it.
type view struct {
	img   image.Image
	area  image.Rectangle // of the given picture
	turns int             // clockwise
}

// zoom returns the part of img in area, scaled, not turned.
func zoom(img image.Image, area image.Rectangle, scale float64) view {
	area = area.Intersect(img.Bounds())
	part := picture.Crop(img, area)
	if scale > 1 {
		part = enlarge(part, scale)
	} else {
		longest := float64(max(area.Dx(), area.Dy()))
		part, _ = picture.Scale(part, int(math.Round(longest*scale)))
	}
	return view{img: part, area: area}
}

// turned returns a view that is not turned yet, turned clockwise.
func (v view) turned(turns int) view {
	v.img = picture.Rotate(v.img, turns)
	v.turns = turns
	return v
}

// back returns a face of the view in the pixels of the given picture.
func (v view) back(f match.Face) match.Face {
	f.Box = v.rect(f.Box).Intersect(v.area)
	points := make([]image.Point, len(f.Points))
	for i, p := range f.Points {
		r := v.rect(image.Rectangle{Min: p, Max: p.Add(image.Pt(1, 1))})
		points[i] = r.Min.Add(r.Max).Div(2)
	}
	f.Points = points
	return f
}

// rect returns a rectangle of the view in the pixels of the given picture.
func (v view) rect(r image.Rectangle) image.Rectangle {
	b := v.img.Bounds()
	r = r.Sub(b.Min)
	size := b.Size() // before turning
	if v.turns%2 == 1 {
		size = image.Pt(size.Y, size.X)
	}
	switch v.turns {
	case 1:
		r = image.Rect(r.Min.Y, size.Y-r.Max.X, r.Max.Y, size.Y-r.Min.X)
	case 2:
		r = image.Rect(size.X-r.Max.X, size.Y-r.Max.Y, size.X-r.Min.X, size.Y-r.Min.Y)
	case 3:
		r = image.Rect(size.X-r.Max.Y, r.Min.X, size.X-r.Min.Y, r.Max.X)
	}
	scale := func(p image.Point) image.Point {
		x := float64(p.X) * float64(v.area.Dx()) / float64(size.X)
		y := float64(p.Y) * float64(v.area.Dy()) / float64(size.Y)
		return v.area.Min.Add(image.Pt(int(math.Round(x)), int(math.Round(y))))
	}
	return image.Rectangle{Min: scale(r.Min), Max: scale(r.Max)}
}

// tiles divides b into equal parts that are small enough for one call, and
// share with their neighbours what a face may cover.
func tiles(b image.Rectangle) []image.Rectangle {
	xs, width := divide(b.Dx())
	ys, height := divide(b.Dy())
	var all []image.Rectangle
	for _, y := range ys {
		for _, x := range xs {
			all = append(all, image.Rect(x, y, x+width, y+height).Add(b.Min))
		}
	}
	return all
}

// divide returns where the tiles of a side begin, and their length.
func divide(side int) (begin []int, length int) {
	if side <= tile {
		return []int{0}, side
	}
	n := (side-shared-1)/(tile-shared) + 1 // rounded up
	length = (side + (n-1)*shared + n - 1) / n
	begin = make([]int, n)
	for i := range begin {
		begin[i] = (side - length) * i / (n - 1)
	}
	return begin, length
}

// enlarge scales img by a factor above 1, mixing the four nearest pixels.
func enlarge(img image.Image, factor float64) image.Image {
	b := img.Bounds()
	from := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(from, from.Rect, img, b.Min, draw.Src)
	to := image.NewRGBA(image.Rect(0, 0, int(math.Round(float64(b.Dx())*factor)), int(math.Round(float64(b.Dy())*factor))))
	columns := neighbours(to.Rect.Dx(), b.Dx())
	for y, v := range neighbours(to.Rect.Dy(), b.Dy()) {
		above, below := from.Pix[v.first*from.Stride:], from.Pix[v.second*from.Stride:]
		row := to.Pix[y*to.Stride:]
		for x, h := range columns {
			for c := range 4 {
				top := mix(above[4*h.first+c], above[4*h.second+c], h.share)
				bottom := mix(below[4*h.first+c], below[4*h.second+c], h.share)
				row[4*x+c] = uint8((top*(256-v.share) + bottom*v.share + 1<<15) >> 16)
			}
		}
	}
	return to
}

// mix returns 256 times the mean of a and b, of which share/256 is b.
func mix(a, b uint8, share uint32) uint32 { return uint32(a)*(256-share) + uint32(b)*share }

// A pair is two neighbouring pixels, and the share in 1/256 of the second.
type pair struct {
	first, second int
	share         uint32
}

// neighbours returns the pixels of from between which the middle of each of
// the to pixels lies.
func neighbours(to, from int) []pair {
	all := make([]pair, to)
	for i := range all {
		at := max(0, (float64(i)+0.5)*float64(from)/float64(to)-0.5)
		first := min(int(at), from-1)
		all[i] = pair{first, min(first+1, from-1), uint32((at - float64(first)) * 256)}
	}
	return all
}
