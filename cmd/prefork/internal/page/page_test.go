package page

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	return w
}

var element = regexp.MustCompile(`(?s)<(style|script)>(.*?)</(?:style|script)>`)

// A browser runs only scripts whose hash is in the policy. The hashes must be
// those of the scripts and styles in the document.
func TestThePolicyHasTheHashesOfScriptAndStyle(t *testing.T) {
	w := get(t)
	policy := w.Header().Get("Content-Security-Policy")
	found := element.FindAllStringSubmatch(w.Body.String(), -1)
	if len(found) != 2 {
		t.Fatalf("%d styles and scripts, want one each", len(found))
	}
	for _, m := range found {
		if want := m[1] + "-src " + source(m[2]) + ";"; !strings.Contains(policy, want) {
			t.Errorf("no %s in the policy %s", want, policy)
		}
	}
	for _, part := range []string{"default-src 'none'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, part) {
			t.Errorf("no %s in the policy %s", part, policy)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the policy allows too much: %s", policy)
	}
}

func TestThePageIsWholeAndMakesNoMarkupOfText(t *testing.T) {
	text := get(t).Body.String()
	if strings.Contains(text, "{{") {
		t.Error("a place in the document was not filled")
	}
	for _, bad := range []string{
		`(?:src|href)="[^"d]`, `url\(`, `@import`, `https?://(?:[^w]|w[^w])`, // what would be fetched; the namespace of SVG is a name
		`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc`, // ways from text to markup or code
		`\son[a-z]+="`, `\sstyle="`, // what the policy would refuse
	} {
		if found := regexp.MustCompile(bad).FindString(text); found != "" {
			t.Errorf("the page has %q", found)
		}
	}
}
