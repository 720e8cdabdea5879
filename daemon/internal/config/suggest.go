package config

import "fmt"

// suggestion returns what the writer of an unknown key may have meant, in
// brackets after a blank, or nothing.
func suggestion(key string, known []string) string {
	if key == "<<" {
		return " (merge keys are not understood here: write the values out)"
	}
	best, least := "", 3
	for _, name := range known {
		if name == "" {
			continue
		}
		if name == key+"_file" {
			return fmt.Sprintf(" (secrets stay in files: name one in %s)", name)
		}
		if d := distance(key, name); d < least && d < len(name)/2+1 {
			best, least = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", best)
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to make b of a (optimal string alignment). Keys too long to be a
// slip of the finger are not looked at.
func distance(a, b string) int {
	const far = 64
	if len(a) > far {
		return far
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range b {
		rows[0][j+1] = j + 1
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
