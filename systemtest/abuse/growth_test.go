package abuse

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// What costs more the more there is of it: of event types, attempts, endpoints and customers.
var growthAbuses = []abuse{
	{"filters of many large event types", manyFilters, []int{200, 201, 204, 429}},
	{"a message sent again and again", manyResends, []int{201, 202}},
	{"slow readers of many customers", manyReaders, []int{0, 200, 202, 429, 503}},
}

const (
	largeTypes  = 200 // event types
	slowReaders = 12  // customers
)

// grow makes what the abuses need, so that making it is none of them.
func (w *world) grow() {
	schema := `{"type": "object", "description": "` + strings.Repeat("x", 20_000) + `"}`
	each(16, largeTypes, func(i int) {
		w.must("POST", "/event-type", fmt.Sprintf(`{"name": "filter.n%d", "description": "", "schemas": {"1": %s}}`, i, schema), nil)
	})
	for range slowReaders {
		c := w.customer()
		w.send(c, 1<<20-1000)
		w.readers = append(w.readers, c)
	}
}

// To choose event types, none of their schemas need be read.
func manyFilters(w *world) {
	c := w.customer()
	defer w.leave(c)
	w.endpoints(c, 1, w.sites.good)
	var names []string
	for i := range largeTypes {
		names = append(names, fmt.Sprintf(`"filter.n%d"`, i))
	}
	each(4, long(20, 300), func(i int) {
		list := strings.Join(names[i%largeTypes:], ",")
		w.attack(c.portal, "PATCH", c.path("/endpoint/e0"), `{"eventTypes": [`+list+`]}`)
	})
}

// Each time the message has one attempt more, and the next one is numbered after all of them.
func manyResends(w *world) {
	c := w.customer()
	defer w.leave(c)
	w.endpoints(c, 1, w.sites.good)
	id := w.send(c, 100)
	each(8, long(400, 10_000), func(int) {
		w.attack(rootToken, "POST", c.path("/msg/%s/endpoint/e0/resend", id), "")
	})
}

// Customers who keep within their shares leave some memory to the operator, whose list must come.
func manyReaders(w *world) {
	each(16, 16*len(w.readers), func(i int) {
		c := w.readers[i%len(w.readers)]
		conn := w.dial(w.nodes[0].api)
		if conn == nil {
			return
		}
		request := fmt.Sprintf("GET /api/v1%s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n\r\n", c.path("/msg?with_content=true"), c.reader)
		_, _ = io.WriteString(conn, strings.Repeat(request, 3))
	})
	for range 10 {
		if r := w.call(0, rootToken, "GET", w.hoarder.path("/msg?limit=3&with_content=true"), ""); r.status != http.StatusOK {
			w.t.Errorf("the operator's list: %s", r)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// What customers store in their endpoints must leave room for the events of others.
func growingEndpoints(w *world) {
	for range 4 {
		c := w.customer()
		defer w.leave(c)
		each(16, 200, func(i int) {
			w.attack(rootToken, "POST", c.path("/endpoint"), fmt.Sprintf(`{"uid": "e%d", "url": "http://127.0.0.1:9/"}`, i))
			w.attack(rootToken, "PATCH", c.path("/endpoint/e%d", i), largeEndpoint(fmt.Sprint("e", i), 8<<10, 64, 480))
		})
	}
}
