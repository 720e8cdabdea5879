package pad

import "math"

// A Point is a place in a picture, in pixels; y grows downward.
type Point struct{ X, Y float64 }

func (p Point) minus(q Point) Point     { return Point{p.X - q.X, p.Y - q.Y} }
func (p Point) dot(q Point) float64     { return p.X*q.X + p.Y*q.Y }
func (p Point) cross(q Point) float64   { return p.X*q.Y - p.Y*q.X }
func (p Point) length() float64         { return math.Hypot(p.X, p.Y) }
func (p Point) between(q Point) Point   { return Point{(p.X + q.X) / 2, (p.Y + q.Y) / 2} }
func (p Point) by(factor float64) Point { return Point{p.X * factor, p.Y * factor} }
func (p Point) homogeneous() [3]float64 { return [3]float64{p.X, p.Y, 1} }

// Points are the landmarks of a face: right eye, left eye, tip of the nose,
// right corner of the mouth, left corner of the mouth. Right and left are the
// person's own.
type Points [5]Point

// The places in Points.
const (
	rightEye = iota
	leftEye
	nose
	rightMouth
	leftMouth
)

// outer returns the four points that fix the plane, around it.
func (p Points) outer() [4]Point {
	return [4]Point{p[rightEye], p[leftEye], p[leftMouth], p[rightMouth]}
}

// upright reports whether the four outer points are the corners of a convex
// shape in the order that a face has in a picture which is not mirrored.
func (p Points) upright() bool {
	corners := p.outer()
	for i := range corners {
		a, b, c := corners[i], corners[(i+1)%4], corners[(i+2)%4]
		if !(b.minus(a).cross(c.minus(b)) > 0) {
			return false
		}
	}
	return true
}

// aside returns how far the nose lies to the person's left of the line from the
// middle of the eyes to the middle of the mouth, in distances between the eyes.
// It is about 0 in a face that looks at the camera.
func (p Points) aside() float64 {
	eyes, mouth := p[rightEye].between(p[leftEye]), p[rightMouth].between(p[leftMouth])
	down := mouth.minus(eyes)
	off := p[nose].minus(eyes)
	return -down.cross(off) / down.length() / p[leftEye].minus(p[rightEye]).length()
}

// A motion is what happened to a face between two frames, as far as it can be
// told from five points.
type motion struct {
	// The part of the nose's movement that no plane explains, toward the person's
	// left, in distances between the eyes of the first frame, at the size of the
	// second.
	left float64
	// How much the plane of eyes and mouth is narrower in one direction than in
	// the other, against the first frame: the cosine of the angle by which a plane
	// that faced the camera was turned away.
	narrowed float64
}

// compare returns the motion from one set of upright points to another, and false
// where the nose is nowhere on the plane.
func compare(from, to Points) (motion, bool) {
	h := basis(to.outer()).times(basis(from.outer()).adjugate())
	q := h.apply(from[nose])
	large, small := h.stretch(from[nose])
	unit := large * from[leftEye].minus(from[rightEye]).length()
	eyes := to[leftEye].minus(to[rightEye])
	across := eyes.by(1 / eyes.length())
	off := to[nose].minus(q).by(1 / unit)
	m := motion{left: off.dot(across), narrowed: small / large}
	return m, !math.IsNaN(m.left+m.narrowed) && !math.IsInf(m.left+m.narrowed, 0)
}

// A matrix maps homogeneous coordinates of a plane; its factor has no meaning.
type matrix [3][3]float64

// basis returns the matrix that takes (1,0,0), (0,1,0), (0,0,1) and (1,1,1) to
// the four points. Two such make the homography between two sets of four.
func basis(p [4]Point) matrix {
	var m matrix
	for i, q := range p[:3] {
		for row, v := range q.homogeneous() {
			m[row][i] = v
		}
	}
	factors := m.adjugate().vector(p[3].homogeneous())
	for row := range m {
		for i := range m[row] {
			m[row][i] *= factors[i]
		}
	}
	return m
}

func (m matrix) times(n matrix) (product matrix) {
	for i := range 3 {
		for j := range 3 {
			for k := range 3 {
				product[i][j] += m[i][k] * n[k][j]
			}
		}
	}
	return product
}

func (m matrix) vector(v [3]float64) (product [3]float64) {
	for i := range 3 {
		for k := range 3 {
			product[i] += m[i][k] * v[k]
		}
	}
	return product
}

// adjugate returns the inverse up to a factor.
func (m matrix) adjugate() matrix {
	minor := func(r, c int) float64 {
		r1, r2, c1, c2 := (r+1)%3, (r+2)%3, (c+1)%3, (c+2)%3
		return m[r1][c1]*m[r2][c2] - m[r1][c2]*m[r2][c1]
	}
	var a matrix
	for r := range 3 {
		for c := range 3 {
			a[c][r] = minor(r, c)
		}
	}
	return a
}

func (m matrix) apply(p Point) Point {
	v := m.vector(p.homogeneous())
	return Point{v[0] / v[2], v[1] / v[2]}
}

// stretch returns by how much m enlarges what is near p, in the direction in
// which it does so most, and least.
func (m matrix) stretch(p Point) (large, small float64) {
	q, w := m.apply(p), m.vector(p.homogeneous())[2]
	a, b := (m[0][0]-q.X*m[2][0])/w, (m[0][1]-q.X*m[2][1])/w
	c, d := (m[1][0]-q.Y*m[2][0])/w, (m[1][1]-q.Y*m[2][1])/w
	turn, shear := math.Hypot(a+d, c-b)/2, math.Hypot(a-d, b+c)/2
	return turn + shear, math.Abs(turn - shear)
}
