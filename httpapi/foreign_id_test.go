package httpapi_test

import "testing"

// An object that was copied from Svix keeps the id that it had there as its uid, in all paths,
// while an id of our own can't be one.
func TestAPIForeignIDs(t *testing.T) {
	a := apiStart(t)
	const app, endpoint = "app_1srOrx2ZWZBpBUvZwXKQmoEYga2", "ep_1srOrx2ZWZBpBUvZwXKQmoEYga2"
	var made, there, e struct{ ID, UID string }
	a.call("POST", "/app", `{"name":"Acme","uid":"`+app+`"}`, 201, &made)
	a.call("POST", "/app/"+app+"/endpoint", `{"url":"http://127.0.0.1:9/","uid":"`+endpoint+`"}`, 201, &e)
	a.call("GET", "/app/"+app, "", 200, &there)
	if there != made || there.UID != app {
		t.Errorf("got %v, want %v", there, made)
	}
	for _, path := range []string{"/app/" + app + "/endpoint/" + endpoint, "/app/" + made.ID + "/endpoint/" + endpoint, "/app/" + app + "/endpoint/" + e.ID} {
		a.call("GET", path, "", 200, &there)
		if there != e {
			t.Errorf("%s: got %v, want %v", path, there, e)
		}
	}
	a.call("GET", "/app/"+app+"/attempt/endpoint/"+endpoint, "", 200, nil)
	a.call("POST", "/app/"+app+"/msg", `{"eventType":"a","payload":{}}`, 202, nil)
	a.call("POST", "/app", `{"name":"Acme","uid":"`+app+`"}`, 409, nil)
	a.call("POST", "/app/"+app+"/endpoint", `{"url":"http://127.0.0.1:9/","uid":"`+endpoint+`"}`, 409, nil)
	a.call("POST", "/app", `{"name":"Other","uid":"`+made.ID+`"}`, 422, nil)
	a.call("POST", "/app/"+app+"/endpoint", `{"url":"http://127.0.0.1:9/","uid":"`+e.ID+`"}`, 422, nil)
}
