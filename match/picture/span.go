package picture

// A Span is the values in a row that one value of a shorter or longer row covers,
// and the weights of the first, the last, and each between. Weights add to 1.
type Span struct {
	First, Last       int
	Head, Inner, Tail float32
}

// Weight returns the weight of value i, which is not outside of s.
func (s Span) Weight(i int) float32 {
	switch i {
	case s.First:
		return s.Head
	case s.Last:
		return s.Tail
	}
	return s.Inner
}

// Cover divides a row of from values among to, both above 0, into spans, whose
// memory it uses again; what an earlier call for the same numbers returned stays
// as it is. In units of 1/to of a value, span x covers [x*from, (x+1)*from).
func Cover(spans []Span, to, from int) []Span {
	if len(spans) == to && spans[to-1].Last == from-1 {
		return spans
	}
	spans = spans[:0]
	for x := range to {
		// More than an int of 32 bits holds.
		begin, end := int64(x)*int64(from), int64(x+1)*int64(from)
		s := Span{First: int(begin / int64(to)), Last: int((end - 1) / int64(to)), Inner: float32(to) / float32(from)}
		s.Head = float32(min(int64(s.First+1)*int64(to), end)-begin) / float32(from)
		if s.Last > s.First {
			s.Tail = float32(end-int64(s.Last)*int64(to)) / float32(from)
		}
		spans = append(spans, s)
	}
	return spans
}
