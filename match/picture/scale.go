package picture

import "image"

// Scale shrinks img so that neither side is longer than maxSide pixels, by
// averaging over areas. It returns the picture, which begins at (0, 0), and
// the factor by which lengths were multiplied. A picture that is small enough
// already is returned as it is, with factor 1: nothing is ever enlarged.
func Scale(img image.Image, maxSide int) (image.Image, float64) {
	b := img.Bounds()
	longest := max(b.Dx(), b.Dy())
	maxSide = max(maxSide, 1)
	if longest <= maxSide {
		return img, 1
	}
	factor := float64(maxSide) / float64(longest)
	w := max(1, int(float64(b.Dx())*factor+0.5))
	h := max(1, int(float64(b.Dy())*factor+0.5))
	shape := image.Rect(0, 0, w, h)
	switch m := img.(type) {
	case *image.Gray:
		out := image.NewGray(shape)
		shrink(plane{out.Pix, out.Stride, w, h}, plane{m.Pix, m.Stride, b.Dx(), b.Dy()}, 1)
		return out, factor
	case *image.YCbCr:
		out := image.NewYCbCr(shape, m.SubsampleRatio)
		y, cb, cr := planes(m)
		toY, toCb, toCr := planes(out)
		shrink(toY, y, 1)
		shrink(toCb, cb, 1)
		shrink(toCr, cr, 1)
		return out, factor
	}
	m, ok := img.(*image.RGBA)
	if !ok {
		m = toRGBA(img)
	}
	out := image.NewRGBA(shape)
	shrink(plane{out.Pix, out.Stride, w, h}, plane{m.Pix, m.Stride, b.Dx(), b.Dy()}, 4)
	return out, factor
}

// shrink averages src, of n interleaved channels, into the smaller dst. Every
// pixel of dst is the mean of the area of src that it covers, with pixels at
// the edges counted by their share.
func shrink(dst, src plane, n int) {
	spans := coverage(dst.width, src.width)
	line := make([]float32, dst.width*n) // a row of src, shrunk in width
	sums := make([]float32, dst.width*n) // a row of dst, growing in height
	rows := coverage(dst.height, src.height)
	for y, rowSpan := range rows {
		clear(sums)
		for i := rowSpan.first; i <= rowSpan.last; i++ {
			// A row on the edge of two is shrunk twice: simpler, and
			// cheap because it happens once for each row of dst.
			shrinkRow(line, src.pix[i*src.stride:], spans, n)
			weight := rowSpan.weight(i)
			for k, v := range line {
				sums[k] += v * weight
			}
		}
		to := dst.pix[y*dst.stride:][:len(sums)]
		for k, v := range sums {
			to[k] = byte(v + 0.5)
		}
	}
}

// shrinkRow averages the pixels of row over each span.
func shrinkRow(line []float32, row []byte, spans []span, n int) {
	for x, s := range spans {
		for c := range n {
			var inner uint32
			for i := s.first + 1; i < s.last; i++ {
				inner += uint32(row[i*n+c])
			}
			mean := float32(row[s.first*n+c])*s.head + float32(inner)*s.inner
			if s.last > s.first {
				mean += float32(row[s.last*n+c]) * s.tail
			}
			line[x*n+c] = mean
		}
	}
}

// A span is the pixels that one pixel of the result covers in one direction,
// and the share of the first, the last, and each between. Shares add to 1.
type span struct {
	first, last       int
	head, inner, tail float32
}

func (s span) weight(i int) float32 {
	switch i {
	case s.first:
		return s.head
	case s.last:
		return s.tail
	}
	return s.inner
}

// coverage divides from pixels among to pixels, to <= from. In units of 1/to
// of a source pixel, pixel x covers [x*from, (x+1)*from).
func coverage(to, from int) []span {
	spans := make([]span, to)
	for x := range spans {
		begin, end := int64(x)*int64(from), int64(x+1)*int64(from)
		s := &spans[x]
		s.first = int(begin / int64(to))
		s.last = int((end - 1) / int64(to))
		s.inner = float32(to) / float32(from)
		s.head = float32(min(int64(s.first+1)*int64(to), end)-begin) / float32(from)
		if s.last > s.first {
			s.tail = float32(end-int64(s.last)*int64(to)) / float32(from)
		}
	}
	return spans
}
