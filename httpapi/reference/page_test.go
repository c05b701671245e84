package reference

import (
	"bytes"
	"fmt"
	"regexp"
	"testing"
)

// TestPage checks that the page has every operation and needs nothing from the network.
func TestPage(t *testing.T) {
	html, err := Page()
	if err != nil {
		t.Fatal(err)
	}
	document, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range document.Object("paths") {
		if !bytes.Contains(html, []byte("</b>"+path.Name+"</div>")) {
			t.Errorf("the page lacks %s", path.Name)
		}
	}
	if outside := regexp.MustCompile(`(?i)(src=|@import|url\(|<script|<link)[^>]*`).Find(html); outside != nil {
		t.Errorf("the page loads something: %s", outside)
	}
	for _, link := range regexp.MustCompile(`href="#([^"]+)"`).FindAllSubmatch(html, -1) {
		if !bytes.Contains(html, fmt.Appendf(nil, `id="%s"`, link[1])) {
			t.Errorf("a link leads to #%s, which is not on the page", link[1])
		}
	}
	if len(html) > 1<<20 {
		t.Errorf("the page has %d bytes", len(html))
	}
}
