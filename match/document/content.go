package document

import (
	"image"

	"github.com/facegate/facegate/match/picture"
)

// block is the side in pixels of the squares by which a picture is divided
// into paper and print. A face still looked for covers about two.
const block = 16

// nearPaper is how far a block's mean luma may be from the paper's. Lines of
// text stay within it; somewhere in a face, hair and shadows do not.
const nearPaper = 28

// printed returns the parts of a picture, shrunk to the coarse scale, that hold
// more than plain paper and text, each with a margin. It is the whole picture
// if there is no paper, or hardly any.
func printed(small image.Image) []image.Rectangle {
	b := small.Bounds()
	means := blockMeans(small)
	paper, ok := means.paper()
	if !ok {
		return []image.Rectangle{b}
	}
	const worthIt = 0.7
	var parts []image.Rectangle
	covered := 0
	for _, g := range means.groups(paper) {
		part := image.Rect(g.Min.X*block, g.Min.Y*block, g.Max.X*block, g.Max.Y*block).Add(b.Min).Intersect(b)
		parts = append(parts, part)
		covered += part.Dx() * part.Dy()
	}
	if float64(covered) > worthIt*float64(b.Dx()*b.Dy()) {
		return []image.Rectangle{b}
	}
	return parts
}

// A grid holds the mean luma of each block of a picture.
type grid struct {
	size  image.Point // in blocks
	means []uint8
}

func blockMeans(img image.Image) grid {
	luma := picture.Luma(img, img.Bounds())
	b := luma.Rect
	g := grid{size: image.Pt((b.Dx()+block-1)/block, (b.Dy()+block-1)/block)}
	sums := make([]struct{ sum, n int }, g.size.X*g.size.Y)
	for y := range b.Dy() {
		row := luma.Pix[y*luma.Stride:][:b.Dx()]
		for x, v := range row {
			s := &sums[y/block*g.size.X+x/block]
			s.sum += int(v)
			s.n++
		}
	}
	for _, s := range sums {
		g.means = append(g.means, uint8(s.sum/s.n))
	}
	return g
}

// paper returns the luma that more than half of the blocks are near to.
func (g grid) paper() (luma int, ok bool) {
	var count [256]int
	for _, m := range g.means {
		count[m]++
	}
	best := 0
	for level := range count {
		near := 0
		for _, n := range count[max(0, level-nearPaper/2):min(256, level+nearPaper/2+1)] {
			near += n
		}
		if near > best {
			luma, best = level, near
		}
	}
	return luma, 2*best > len(g.means)
}

// groups returns the bounds, in blocks, of groups of blocks that are not near
// the paper, each with a margin of two blocks. Groups closer than that are one.
func (g grid) groups(paper int) []image.Rectangle {
	const margin = 2
	all := image.Rectangle{Max: g.size}
	marked := make([]bool, len(g.means))
	for i, m := range g.means {
		if d := int(m) - paper; max(d, -d) <= nearPaper {
			continue
		}
		at := image.Pt(i%g.size.X, i/g.size.X)
		around := image.Rectangle{Min: at, Max: at.Add(image.Pt(1, 1))}.Inset(-margin).Intersect(all)
		for y := around.Min.Y; y < around.Max.Y; y++ {
			for x := around.Min.X; x < around.Max.X; x++ {
				marked[y*g.size.X+x] = true
			}
		}
	}
	var found []image.Rectangle
	for i := range marked {
		if marked[i] {
			found = append(found, g.group(marked, i))
		}
	}
	return found
}

// group unmarks the blocks connected with the one at start, and returns their
// bounds.
func (g grid) group(marked []bool, start int) image.Rectangle {
	var bounds image.Rectangle
	for todo := []int{start}; len(todo) > 0; {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !marked[i] {
			continue
		}
		marked[i] = false
		x, y := i%g.size.X, i/g.size.X
		bounds = bounds.Union(image.Rect(x, y, x+1, y+1))
		if x > 0 {
			todo = append(todo, i-1)
		}
		if x+1 < g.size.X {
			todo = append(todo, i+1)
		}
		if y > 0 {
			todo = append(todo, i-g.size.X)
		}
		if y+1 < g.size.Y {
			todo = append(todo, i+g.size.X)
		}
	}
	return bounds
}
