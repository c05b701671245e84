package migrate

import (
	"fmt"
	"net/http"
	"path"
	"strings"
	"testing"
)

// An event type that is archived at the node only is so again after an import that ended early, as
// the next one can't know it.
func TestCutOffArchivesAgain(t *testing.T) {
	whole := newFakeNode()
	importInto(t, whole, newFakeSvix().source(t), Options{})
	for at := 1; at <= whole.writes+2; at++ {
		n := newFakeNode()
		n.objects["/event-type/user.made"] = map[string]any{"name": "user.made", "archived": true}
		n.failAt = at
		r := importInto(t, n, newFakeSvix().source(t), Options{})
		opened := strings.Contains(fmt.Sprint(r.err), "archiving the event type user.made")
		if n.objects["/event-type/user.made"]["archived"] != true && !opened {
			t.Errorf("write %d: %v, and the event type is not archived", at, r.err)
		}
	}
}

// What an import has changed before the node refuses the rest is in the report.
func TestRefusalAfterChanges(t *testing.T) {
	for refuse, want := range map[string]string{"/secret/rotate": "after url had been changed", "/headers": "after url, secret had been changed"} {
		n, f := newFakeNode(), newFakeSvix()
		importInto(t, n, f.source(t), Options{}).expect(t, map[Result]int{Copied: 8})
		main := n.objects["/app/acme/endpoint/main"]
		main["url"], main["secret"] = "https://other.example/", "whsec_"+strings.Repeat("b3Ro", 8)
		main["headers"] = map[string]any{"X-Team": "b"}
		n.refuse = refuse
		item := importInto(t, n, f.source(t), Options{Update: true}).item(t, endpointID(1))
		if item.Result != Skipped || !strings.Contains(item.Why, want) {
			t.Errorf("%s is refused: %s, %q, want %q", refuse, item.Result, item.Why, want)
		}
	}
}

// A server may respond with 404 for an endpoint that does not use a feature, and others may use it.
func TestFeatureOfSomeEndpoints(t *testing.T) {
	f := newFakeSvix()
	f.intercept = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		id, isConfig := strings.CutSuffix(path.Base(r.URL.Path), "mtls-config")
		switch {
		case isConfig && strings.Contains(r.URL.Path, endpointID(3)):
			respond(w, 200, `{"enabled":true}`)
		case isConfig:
			respond(w, 404, `{"code":"not_found","detail":"Entity not found"}`)
		case strings.HasPrefix(id, "ep_"): // the endpoint itself
			respond(w, 200, `{}`)
		default:
			return false
		}
		return true
	}
	done := importInto(t, newFakeNode(), f.source(t), Options{})
	done.expect(t, map[Result]int{Copied: 8})
	item := done.item(t, endpointID(3))
	if !strings.Contains(fmt.Sprint(item.Notes), "a client certificate") {
		t.Errorf("the notes are %s", item.Notes)
	}
}

// An event type that differs in other fields is archived as well, and the report says so.
func TestArchivesWhatDiffers(t *testing.T) {
	n := newFakeNode()
	n.objects["/event-type/user.gone"] = map[string]any{"name": "user.gone", "description": "other", "archived": false}
	item := importInto(t, n, newFakeSvix().source(t), Options{}).item(t, "user.gone")
	if item.Result != Differs || !strings.Contains(fmt.Sprint(item.Notes), "archived, as it is at the source") {
		t.Errorf("the report says %+v", item)
	}
}
