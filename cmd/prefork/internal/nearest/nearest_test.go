package nearest

import (
	"strings"
	"testing"
)

func TestTheNearestNameIsTheOneThatWasMeant(t *testing.T) {
	commands := []string{"serve", "check", "status", "reload", "drain", "stop", "scale", "version"}
	for _, c := range []struct{ word, want string }{
		{"relod", "reload"},
		{"relaod", "reload"},
		{"stauts", "status"},
		{"stat", "status"},
		{"drian", "drain"},
		{"stpo", "stop"},
		{"reload", "reload"},
		{"banana", ""},
		{"", ""},
		{"x", ""},
		{strings.Repeat("reload", 1000), ""},
	} {
		if got := Name(c.word, commands); got != c.want {
			t.Errorf("Name(%.20q) = %q, want %q", c.word, got, c.want)
		}
	}
}

func TestAHintIsEmptyWhenNothingIsClose(t *testing.T) {
	if got := Hint("mdoe", []string{"mode", "listen"}); got != `; did you mean "mode"?` {
		t.Errorf("Hint = %q", got)
	}
	if got := Hint("zzzzzz", []string{"mode", "listen"}); got != "" {
		t.Errorf("Hint = %q, want none", got)
	}
}

func TestDistanceCountsASwapAsOneEdit(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"ab", "ba", 1}, {"kitten", "sitting", 3}, {"", "abc", 3}, {"abc", "", 3}, {"ca", "abc", 3}, {"é", "e", 1}} {
		if got := distance([]rune(c.a), []rune(c.b)); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
