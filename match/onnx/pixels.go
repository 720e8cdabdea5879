package onnx

import (
	"image"
	"math"

	"github.com/facegate/facegate/match/picture"
)

// A plane is one channel of a picture, or one of several that are interleaved.
type plane struct {
	pix           []byte // from its first value on
	stride, step  int    // bytes from a row, and a pixel, to the next
	width, height int
}

// pixels are a picture as three planes: red, green and blue, or, with ycc,
// luma and two of chroma that may be smaller. A grey picture has the luma
// alone.
type pixels struct {
	width, height int
	ycc           bool
	grey          bool
	planes        [3]plane
}

// newPixels returns the pixels of img, which it shares if it can.
func newPixels(img image.Image) pixels {
	img = picture.Plain(img)
	b := img.Bounds()
	p := pixels{width: b.Dx(), height: b.Dy()}
	switch m := img.(type) {
	case *image.Gray:
		p.ycc, p.grey = true, true
		p.planes[0] = plane{m.Pix[m.PixOffset(b.Min.X, b.Min.Y):], m.Stride, 1, p.width, p.height}
	case *image.YCbCr:
		p.ycc = true
		at := m.COffset(b.Min.X, b.Min.Y)
		columns := m.COffset(b.Max.X-1, b.Min.Y) - at + 1
		rows := (m.COffset(b.Min.X, b.Max.Y-1)-at)/m.CStride + 1
		p.planes[0] = plane{m.Y[m.YOffset(b.Min.X, b.Min.Y):], m.YStride, 1, p.width, p.height}
		p.planes[1] = plane{m.Cb[at:], m.CStride, 1, columns, rows}
		p.planes[2] = plane{m.Cr[at:], m.CStride, 1, columns, rows}
	case *image.RGBA:
		at := m.PixOffset(b.Min.X, b.Min.Y)
		for i := range p.planes {
			p.planes[i] = plane{m.Pix[at+i:], m.Stride, 4, p.width, p.height}
		}
	}
	return p
}

// channels returns how many planes there are.
func (p *pixels) channels() int {
	if p.grey {
		return 1
	}
	return 3
}

// at returns the value at a place, weighed among the four nearest pixels.
// Beyond the edge it is that of the edge.
func (p *plane) at(x, y float64) float32 {
	x, y = x-0.5, y-0.5
	x = min(max(x, 0), float64(p.width-1))
	y = min(max(y, 0), float64(p.height-1))
	column, row := int(x), int(y)
	fx, fy := float32(x-float64(column)), float32(y-float64(row))
	i := row*p.stride + column*p.step
	right, below := 0, 0
	if column+1 < p.width {
		right = p.step
	}
	if row+1 < p.height {
		below = p.stride
	}
	upper := float32(p.pix[i]) + fx*(float32(p.pix[i+right])-float32(p.pix[i]))
	i += below
	lower := float32(p.pix[i]) + fx*(float32(p.pix[i+right])-float32(p.pix[i]))
	return upper + fy*(lower-upper)
}

// add adds weight times a row of p, scaled by spans, to line.
func (p *plane) add(line []float32, row int, spans []picture.Span, weight float32) {
	pix, step := p.pix[row*p.stride:], p.step
	line = line[:len(spans)]
	for x := range spans {
		s := &spans[x]
		v := s.Head * float32(pix[s.First*step])
		if s.Last > s.First {
			var inner int
			for i := s.First + 1; i < s.Last; i++ {
				inner += int(pix[i*step])
			}
			v += s.Inner*float32(inner) + s.Tail*float32(pix[s.Last*step])
		}
		line[x] += weight * v
	}
}

// A norm says how a network wants to see colours: value*factor + offset for
// each of its planes, of which swap puts blue first.
type norm struct {
	swap           bool
	factor, offset [3]float32
}

// newNorm is for a network that is shown (value - mean) / deviation.
func newNorm(bgr bool, mean, deviation [3]float64) norm {
	n := norm{swap: bgr}
	for i := range mean {
		n.factor[i] = float32(1 / deviation[i])
		n.offset[i] = float32(-mean[i] / deviation[i])
	}
	return n
}

// put writes one colour, values 0 to 255, to place i of planes of size values.
func (n *norm) put(dst []float32, i, size int, r, g, b float32) {
	if n.swap {
		r, b = b, r
	}
	dst[i] = r*n.factor[0] + n.offset[0]
	dst[size+i] = g*n.factor[1] + n.offset[1]
	dst[2*size+i] = b*n.factor[2] + n.offset[2]
}

// colour turns a sample of p into red, green and blue.
func (p *pixels) colour(v [3]float32) (r, g, b float32) {
	switch {
	case p.grey:
		return v[0], v[0], v[0]
	case !p.ycc:
		return v[0], v[1], v[2]
	}
	// JFIF's matrix, as package image/color has it.
	y, cb, cr := v[0], v[1]-128, v[2]-128
	return bound(y + 1.40200*cr), bound(y - 0.344136*cb - 0.714136*cr), bound(y + 1.77200*cb)
}

// A canvas brings pictures to the size of a detector's input, in its upper
// left corner, and leaves the rest black. Use newCanvas.
type canvas struct {
	width, height int
	norm          norm
	most          image.Point // its size when it is largest
	multiple      int         // of which its sides are one when it is cut; 0: it never is

	used  image.Point       // what the picture before took, zero if it was of another size
	spans [4][]picture.Span // columns and rows of full planes, and of chroma
	lines [3][]float32
	tones [3]tones // of red, green and blue, as norm has them
}

// tones are what a network is shown for the values from -256 on, of which those
// below 0 are black and those above 255 as light as can be.
type tones [1024]float32

func newCanvas(width, height int, n norm, multiple int) *canvas {
	c := &canvas{width: width, height: height, norm: n, most: image.Pt(width, height), multiple: multiple}
	for i := range c.tones {
		to := i // of the planes
		if n.swap {
			to = 2 - i
		}
		for v := range c.tones[i] {
			c.tones[i][v] = bound(float32(v-256))*n.factor[to] + n.offset[to]
		}
	}
	return c
}

// fit returns the size that a picture of w by h pixels has on the canvas. It
// is never enlarged.
func (c *canvas) fit(w, h int) image.Point {
	scale := min(1, float64(c.most.X)/float64(w), float64(c.most.Y)/float64(h))
	side := func(v, most int) int { return min(max(1, int(float64(v)*scale+0.5)), most) }
	return image.Pt(side(w, c.most.X), side(h, c.most.Y))
}

// cut makes the canvas no larger than a picture of w by h pixels needs, and
// reports whether that has changed it.
func (c *canvas) cut(w, h int) bool {
	if c.multiple == 0 {
		return false
	}
	size, was := c.fit(w, h), image.Pt(c.width, c.height)
	whole := func(v, most int) int { return min((v+c.multiple-1)/c.multiple*c.multiple, most) }
	c.width, c.height = whole(size.X, c.most.X), whole(size.Y, c.most.Y)
	changed := was != image.Pt(c.width, c.height)
	if changed {
		c.used = image.Point{}
	}
	return changed
}

// draw writes p to dst, three planes of the canvas's size, averaging over
// areas, and returns the size that it has there.
func (c *canvas) draw(dst []float32, p *pixels) image.Point {
	size := c.fit(p.width, p.height)
	if size != c.used {
		for i := range c.width * c.height {
			c.norm.put(dst, i, c.width*c.height, 0, 0, 0)
		}
		c.used = size
	}
	if size == image.Pt(p.width, p.height) && p.halved() {
		for y := range size.Y {
			c.copy(dst, p, y)
		}
		return size
	}
	if size.Mul(2) == image.Pt(p.width, p.height) && p.halved() {
		for y := range size.Y {
			c.half(dst, p, y)
		}
		return size
	}
	channels := p.channels()
	for i := range channels {
		table := 0
		if i > 0 && p.ycc {
			table = 2
		}
		c.spans[table] = picture.Cover(c.spans[table], size.X, p.planes[i].width)
		c.spans[table+1] = picture.Cover(c.spans[table+1], size.Y, p.planes[i].height)
		if cap(c.lines[i]) < size.X {
			c.lines[i] = make([]float32, c.most.X)
		}
		c.lines[i] = c.lines[i][:size.X]
	}
	for y := range size.Y {
		for i := range channels {
			table := 0
			if i > 0 && p.ycc {
				table = 2
			}
			c.row(i, &p.planes[i], c.spans[table], c.spans[table+1], y)
		}
		c.write(dst, p, y)
	}
	return size
}

// row computes row y of one channel.
func (c *canvas) row(i int, p *plane, columns, rows []picture.Span, y int) {
	s := rows[y]
	line := c.lines[i]
	clear(line)
	for r := s.First; r <= s.Last; r++ {
		p.add(line, r, columns, s.Weight(r))
	}
}

// halved reports whether p is what most cameras deliver: in colour, each value
// of chroma that of two pixels side by side, and of one row or two.
func (p *pixels) halved() bool {
	chroma := &p.planes[1]
	return p.ycc && !p.grey && p.width == 2*chroma.width && (p.height == chroma.height || p.height == 2*chroma.height)
}

// chroma is how much a value of chroma adds to red, green and blue, by JFIF's
// matrix: in whole steps, but for green, to which both contribute, in 1/65536.
var chroma = func() (c struct{ red, blue, greenByRed, greenByBlue [256]int32 }) {
	for v := range 256 {
		d := float64(v - 128)
		c.red[v], c.blue[v] = int32(math.Round(1.40200*d)), int32(math.Round(1.77200*d))
		c.greenByRed[v], c.greenByBlue[v] = int32(-0.714136*65536*d), int32(-0.344136*65536*d)+1<<15
	}
	return c
}()

// copy writes row y of p, which is halved and as large as its picture on the
// canvas, to dst: in one pass, and by whole numbers, as decoders do. All else that
// is done with a frame, but for the network, is little beside it.
func (c *canvas) copy(dst []float32, p *pixels, y int) {
	to, _, _ := c.rows(dst, y, p.width)
	n := p.planes[1].width
	below := y * p.planes[1].height / p.height
	luma := p.planes[0].pix[y*p.planes[0].stride:][:2*n]
	blue := p.planes[1].pix[below*p.planes[1].stride:][:n]
	red := p.planes[2].pix[below*p.planes[2].stride:][:n]
	r, g, b := to[0][:2*n], to[1][:2*n], to[2][:2*n]
	reds, greens, blues := &c.tones[0], &c.tones[1], &c.tones[2]
	const wrap = uint32(len(reds) - 1) // never does, and saves a check of bounds
	for x, cb := range blue {
		cr := red[x]
		byRed, byBlue := 256+chroma.red[cr], 256+chroma.blue[cb]
		byBoth := 256 + (chroma.greenByRed[cr]+chroma.greenByBlue[cb])>>16
		l, r, g, b := luma[2*x:][:2], r[2*x:][:2], g[2*x:][:2], b[2*x:][:2]
		first, second := int32(l[0]), int32(l[1])
		r[0], r[1] = reds[uint32(first+byRed)&wrap], reds[uint32(second+byRed)&wrap]
		g[0], g[1] = greens[uint32(first+byBoth)&wrap], greens[uint32(second+byBoth)&wrap]
		b[0], b[1] = blues[uint32(first+byBlue)&wrap], blues[uint32(second+byBlue)&wrap]
	}
}

// half is copy for a picture that is twice as wide and high, so that each value of
// chroma belongs to one place.
func (c *canvas) half(dst []float32, p *pixels, y int) {
	n := p.planes[1].width
	to, _, _ := c.rows(dst, y, n)
	row := func(i, y int) []byte { return p.planes[i].pix[y*p.planes[i].stride:] }
	first := 2 * y * p.planes[1].height / p.height // of the two rows of chroma, which may be one
	second := (2*y + 1) * p.planes[1].height / p.height
	upper, lower := row(0, 2*y)[:2*n], row(0, 2*y+1)[:2*n]
	blue, blue2 := row(1, first)[:n], row(1, second)[:n]
	red, red2 := row(2, first)[:n], row(2, second)[:n]
	r, g, b := to[0][:n], to[1][:n], to[2][:n]
	reds, greens, blues := &c.tones[0], &c.tones[1], &c.tones[2]
	const wrap = uint32(len(reds) - 1)
	for x := range blue {
		u, l := upper[2*x:][:2], lower[2*x:][:2]
		luma := (int32(u[0])+int32(u[1])+int32(l[0])+int32(l[1])+2)>>2 + 256
		cb, cr := (int(blue[x])+int(blue2[x])+1)>>1, (int(red[x])+int(red2[x])+1)>>1
		r[x] = reds[uint32(luma+chroma.red[cr])&wrap]
		g[x] = greens[uint32(luma+(chroma.greenByRed[cr]+chroma.greenByBlue[cb])>>16)&wrap]
		b[x] = blues[uint32(luma+chroma.blue[cb])&wrap]
	}
}

// rows returns row y of dst, n values of it, and its norm: for red, green and
// blue, in this order.
func (c *canvas) rows(dst []float32, y, n int) (to [3][]float32, factor, offset [3]float32) {
	factor, offset = c.norm.factor, c.norm.offset
	for i := range to {
		to[i] = dst[(i*c.height+y)*c.width:][:n]
	}
	if c.norm.swap {
		to[0], to[2] = to[2], to[0]
		factor[0], factor[2] = factor[2], factor[0]
		offset[0], offset[2] = offset[2], offset[0]
	}
	return to, factor, offset
}

// write writes the rows at hand as row y of dst. It is where the time goes that
// the network does not take, so its loops are plain.
func (c *canvas) write(dst []float32, p *pixels, y int) {
	n := len(c.lines[0])
	to, factor, offset := c.rows(dst, y, n)
	lines := [3][]float32{c.lines[0], c.lines[0], c.lines[0]} // grey
	if !p.grey {
		lines[1], lines[2] = c.lines[1][:n], c.lines[2][:n]
	}
	if p.ycc && !p.grey {
		fromYCC(lines)
	}
	for i := range to {
		f, o, line := factor[i], offset[i], lines[i]
		for x, v := range line {
			to[i][x] = v*f + o
		}
	}
}

// fromYCC turns luma and chroma into red, green and blue, by JFIF's matrix.
func fromYCC(lines [3][]float32) {
	n := len(lines[0])
	first, second, third := lines[0], lines[1][:n], lines[2][:n]
	for x, y := range first {
		cb, cr := second[x]-128, third[x]-128
		first[x] = bound(y + 1.40200*cr)
		second[x] = bound(y - 0.344136*cb - 0.714136*cr)
		third[x] = bound(y + 1.77200*cb)
	}
}

// bound holds a colour within 0 and 255.
func bound(v float32) float32 {
	if v < 0 {
		return 0
	}
	if v > 255 {
		return 255
	}
	return v
}

// sample returns the mean of p over a square of k by k places around each
// other step apart, of which (x, y) is the middle; black outside of it.
// Of channels only the first so many are filled.
func (p *pixels) sample(x, y, step float64, k, channels int) (v [3]float32) {
	share := 1 / float32(k*k)
	for j := range k {
		for i := range k {
			u := x + (float64(i)-float64(k-1)/2)*step
			w := y + (float64(j)-float64(k-1)/2)*step
			if u < 0 || w < 0 || u >= float64(p.width) || w >= float64(p.height) {
				if p.ycc {
					v[1] += 128 * share
					v[2] += 128 * share
				}
				continue
			}
			v[0] += share * p.planes[0].at(u, w)
			for c := 1; c < channels; c++ {
				q := &p.planes[c]
				v[c] += share * q.at(u*float64(q.width)/float64(p.width), w*float64(q.height)/float64(p.height))
			}
		}
	}
	return v
}

// fineness returns by how many samples in each direction a pixel must be made
// up that covers so many pixels of the picture.
func fineness(scale float64) (k int, step float64) {
	k = min(max(1, int(scale+0.5)), 4)
	return k, scale / float64(k)
}
