// Package nearest finds the name that a mistyped word may mean: the candidate with
// the fewest edits, if they are few. Of candidates with equal distance it takes the
// first.
package nearest

// Name returns the candidate closest to word, or "" if none is close. An edit
// is a letter added, dropped, replaced or swapped with its neighbour; about one
// edit in three letters is allowed.
func Name(word string, candidates []string) string {
	best, least := "", -1
	for _, c := range candidates {
		d := distance([]rune(word), []rune(c))
		if d > (max(len(word), len(c))+2)/3 {
			continue
		}
		if least < 0 || d < least {
			best, least = c, d
		}
	}
	return best
}

// Hint is Name as the end of a sentence: `; did you mean "x"?`, or "" if
// nothing is close.
func Hint(word string, candidates []string) string {
	if n := Name(word, candidates); n != "" {
		return `; did you mean "` + n + `"?`
	}
	return ""
}

// longest bounds the words that are compared, because the cost grows with the
// product of the lengths.
const longest = 64

// distance is the optimal string alignment distance: Levenshtein's with swaps
// of neighbours as one edit.
func distance(a, b []rune) int {
	if len(a) > longest || len(b) > longest {
		return max(len(a), len(b))
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
