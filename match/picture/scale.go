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
	spans := Cover(nil, dst.width, src.width)
	line := make([]float32, dst.width*n) // a row of src, shrunk in width
	sums := make([]float32, dst.width*n) // a row of dst, growing in height
	rows := Cover(nil, dst.height, src.height)
	for y, rowSpan := range rows {
		clear(sums)
		for i := rowSpan.First; i <= rowSpan.Last; i++ {
			// A row on the edge of two is shrunk twice: simpler, and
			// cheap because it happens once for each row of dst.
			shrinkRow(line, src.pix[i*src.stride:], spans, n)
			weight := rowSpan.Weight(i)
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
func shrinkRow(line []float32, row []byte, spans []Span, n int) {
	for x, s := range spans {
		for c := range n {
			var inner uint32
			for i := s.First + 1; i < s.Last; i++ {
				inner += uint32(row[i*n+c])
			}
			mean := float32(row[s.First*n+c])*s.Head + float32(inner)*s.Inner
			if s.Last > s.First {
				mean += float32(row[s.Last*n+c]) * s.Tail
			}
			line[x*n+c] = mean
		}
	}
}
