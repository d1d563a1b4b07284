package value

import (
	"fmt"
	"strconv"
	"strings"
)

// OneOf lists words for a sentence.
func OneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// Wrong says what was wanted and what came instead, as it may have been
// written.
func Wrong(want string, got any) error {
	var text string
	switch v := got.(type) {
	case nil:
		text = "nothing"
	case string:
		text = strconv.Quote(v)
	case []any:
		text = "a list"
	case map[string]any:
		text = "a table"
	default:
		text = fmt.Sprint(v)
	}
	return fmt.Errorf("want %s, not %s", want, text)
}
