package pad

// Plane returns the map of the plane through the outer points of a face from
// one picture to another.
func Plane(from, to Points) func(Point) Point {
	return basis(to.outer()).times(basis(from.outer()).adjugate()).apply
}
