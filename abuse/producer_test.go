package abuse

import "strings"

// What a producer does with its key, or the operator's backend without knowing better.
var producerAbuses = []abuse{
	{"erasures at once", eraseAtOnce, []int{201, 202, 204}},
	{"large events at once", largeEvents, []int{202, 413, 429, 503}},
}

// Each erasure rewrites what is stored beside the message.
func eraseAtOnce(w *world) {
	c := w.customer()
	defer w.leave(c)
	w.endpoints(c, 1, w.sites.good)
	ids := make([]string, 256)
	each(64, len(ids), func(i int) { ids[i] = w.send(c, 30_000) })
	each(128, len(ids), func(i int) { w.attack(rootToken, "DELETE", c.path("/msg/%s/content", ids[i]), "") })
}

func largeEvents(w *world) {
	c := w.customer()
	defer w.leave(c)
	event := `{"eventType": "a.b", "payload": {"pad": "` + strings.Repeat("x", 1<<20-1000) + `"}}`
	each(long(16, 64), long(32, 400), func(int) { w.attack(w.producer, "POST", c.path("/msg"), event) })
	w.refused(413, "", w.producer, "POST", c.path("/msg"), event+strings.Repeat(" ", 2000))
}
