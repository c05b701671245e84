package httpapi

import (
	"errors"
	"testing"

	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// FuzzQuery reads any query as a list of attempts would: it is refused as a fault of the query, or
// what comes out is within bounds.
func FuzzQuery(f *testing.F) {
	id := webhook.NewID(1_790_000_000_000, 3, 1)
	for _, text := range []string{
		"limit=5&iterator=" + id.Text(webhook.KindAttempt), "iterator=-" + id.Text(webhook.KindAttempt), "iterator=-", "iterator=--" + id.Text(webhook.KindAttempt),
		"iterator=" + id.Text(webhook.KindMessage), "limit=0", "limit=99999999999999999999", "after=2026-01-31T12:00:00Z&before=2026-01-31T12:00:00%2B02:00",
		"before=0000-01-01T00:00:00Z", "after=9999-12-31T23:59:59Z", "status=2&status_code_class=500", "status=-1", "status_code_class=7", "with_content=maybe",
		"event_types=a,b&event_types[]=c&event_types[1]=d&event_types[", "channel=%00&tag=%ff", "&&=&%", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var args fasthttp.Args
		args.Parse(text)
		q := query{args: &args}
		l := q.attempts()
		err := q.err
		var fault invalidQuery
		if err != nil {
			if !errors.As(err, &fault) || fault.fault.Field == "" || fault.fault.Detail == "" {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if l.Limit < 1 || l.Limit > maxLimit || l.filter.Status != nil && *l.filter.Status > webhook.StatusCanceled || l.filter.CodeClass != nil && *l.filter.CodeClass%100 != 0 {
			t.Fatalf("%q: %+v", text, l)
		}
	})
}
