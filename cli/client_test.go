package cli

import (
	"context"
	"testing"
)

// A name that cannot stand in a path is refused before anything is sent: on the way it might become another path.
func TestClientRefusesDotSegments(t *testing.T) {
	c := client{url: "http://127.0.0.1:1", token: "none"}
	for _, name := range []string{"", ".", ".."} {
		for _, path := range []string{apiPath("/app/%s", name), apiPath("/app/acme/endpoint/%s", name), apiPath("/app/%s/endpoint/e", name), apiPath("/app/%s", name) + "?limit=1"} {
			err := c.call(context.Background(), "DELETE", path, nil, nil)
			if want := `"` + name + `" can't be an id or a uid`; err == nil || err.Error() != want {
				t.Errorf("%s: %v, want %s", path, err, want)
			}
		}
	}
	if err := checkPath(apiPath("/app/%s/endpoint/%s", "a/../b", "...")); err != nil {
		t.Error(err)
	}
}
