package webhook

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

const goodParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func parseTrace(parents []string, states ...string) *TraceContext {
	bytesOf := func(list []string) (out [][]byte) {
		for _, s := range list {
			out = append(out, []byte(s))
		}
		return out
	}
	return ParseTraceContext(bytesOf(parents), bytesOf(states))
}

func TestTraceparent(t *testing.T) {
	good := strings.TrimSuffix(goodParent, "01")
	for text, want := range map[string]string{
		goodParent:            goodParent,
		good + "00":           good + "00",
		good + "03":           goodParent, // a flag of level 2, which some libraries refuse
		good + "ff":           goodParent,
		"cc" + goodParent[2:]: goodParent, // a later version
		"cc" + goodParent[2:] + "-what-the-future-brings": goodParent,
		"cc" + goodParent[2:] + ".no":                     "",
		"cc" + goodParent[2:] + "-":                       goodParent,
		goodParent + "-":                                  "",
		goodParent + "-extra":                             "",
		"ff" + goodParent[2:]:                             "",
		"0x" + goodParent[2:]:                             "",
		"":                                                "",
		"00":                                              "",
		good:                                              "",
		good + "0":                                        "",
		good + "0g":                                       "",
		strings.ToUpper(goodParent):                       "",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01": "",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01": "",
		"00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01": "",
		strings.ReplaceAll(goodParent, "-", "_"):                  "",
		strings.Repeat("0", 16<<10):                               "",
	} {
		got := ""
		if c := parseTrace([]string{text}); c != nil {
			got = string(c.AppendTraceparent(nil))
		}
		if got != want {
			t.Errorf("%.100q: %q, want %q", text, got, want)
		}
	}
	if parseTrace(nil) != nil || parseTrace([]string{goodParent, goodParent}) != nil {
		t.Error("none or two traceparents are a context")
	}
}

func TestTracestate(t *testing.T) {
	many := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("k%d=v", i))
		}
		return strings.Join(list, ",")
	}
	long := "long=" + strings.Repeat("x", 150)
	for _, test := range []struct {
		in   []string
		want string
	}{
		{nil, ""},
		{[]string{"congo=t61rcWkgMzE"}, "congo=t61rcWkgMzE"},
		{[]string{"a=1", "b=2"}, "a=1,b=2"},
		{[]string{" a=1 ,,\tb= 2\t,"}, "a=1,b= 2"},
		{[]string{"1tenant@system=x,a-b_c*d/e=y"}, "1tenant@system=x,a-b_c*d/e=y"},
		{[]string{"a=1,a=2"}, ""}, // the same key twice
		{[]string{"a=1,B=2"}, ""},
		{[]string{"a"}, ""},
		{[]string{"a="}, ""},
		{[]string{"=a"}, ""},
		{[]string{"a=b=c"}, ""},
		{[]string{"a=\x01"}, ""},
		{[]string{"a=é"}, ""},
		{[]string{"@a=1"}, ""},
		{[]string{strings.Repeat("k", 256) + "=v"}, strings.Repeat("k", 256) + "=v"},
		{[]string{strings.Repeat("k", 257) + "=v"}, ""},
		{[]string{"k=" + strings.Repeat("v", 257)}, ""},
		{[]string{many(32)}, many(32)},
		{[]string{many(33)}, ""},
		{[]string{"a=1," + long + ",b=" + strings.Repeat("y", 100) + ",c=" + strings.Repeat("z", 100), "d=" + strings.Repeat("w", 120), "e=" + strings.Repeat("u", 120)},
			"a=1,b=" + strings.Repeat("y", 100) + ",c=" + strings.Repeat("z", 100) + ",d=" + strings.Repeat("w", 120) + ",e=" + strings.Repeat("u", 120)},
		{[]string{"a=" + strings.Repeat("1", 126), "b=" + strings.Repeat("2", 126), "c=" + strings.Repeat("3", 126), "d=" + strings.Repeat("4", 126)},
			"a=" + strings.Repeat("1", 126) + ",b=" + strings.Repeat("2", 126) + ",c=" + strings.Repeat("3", 126)},
	} {
		c := parseTrace([]string{goodParent}, test.in...)
		if c == nil || c.State != test.want {
			t.Errorf("%.200q: %+v, want %.200q", test.in, c, test.want)
		}
	}
}

// FuzzTraceContext checks that what is kept is bounded, and the same when it is read again.
func FuzzTraceContext(f *testing.F) {
	f.Add([]byte(goodParent), []byte("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"))
	f.Add([]byte("cc"+goodParent[2:]+"-x"), []byte(" a=1,,"+strings.Repeat("b", 200)+"="+strings.Repeat("c", 250)))
	f.Fuzz(func(t *testing.T, parent, state []byte) {
		c := ParseTraceContext([][]byte{parent}, [][]byte{state})
		if c == nil {
			return
		}
		if err := c.validate(); err != nil {
			t.Fatal(err)
		}
		text := c.AppendTraceparent(nil)
		again := ParseTraceContext([][]byte{text}, [][]byte{[]byte(c.State)})
		if again == nil || *again != *c || bytes.ContainsAny([]byte(c.State), "\r\n") {
			t.Fatalf("%+v becomes %+v", c, again)
		}
	})
}

// An attempt is in the trace of its message if it comes soon; the same attempt always has the same
// span, and no other attempt has it.
func TestAttemptContext(t *testing.T) {
	accepted := time.UnixMilli(1_800_000_000_000)
	m := &Message{ID: NewID(accepted.UnixMilli(), 7, 1), Trace: parseTrace([]string{goodParent}, "a=1")}
	first := Attempt{Endpoint: NewID(1, 2, 3), Number: 1, Start: accepted.Add(time.Second)}
	spans := make(map[[8]byte]string)
	for name, test := range map[string]struct {
		change func(*Attempt)
		linked bool
	}{
		"first":            {func(*Attempt) {}, false},
		"another endpoint": {func(a *Attempt) { a.Endpoint = NewID(1, 2, 4) }, false},
		"retry":            {func(a *Attempt) { a.Number = 2 }, false},
		"next leader's":    {func(a *Attempt) { a.Start = a.Start.Add(time.Millisecond) }, false},
		"after an hour":    {func(a *Attempt) { a.Start = accepted.Add(lateAttempt) }, false},
		"later":            {func(a *Attempt) { a.Start = accepted.Add(lateAttempt + time.Millisecond) }, true},
		"manual":           {func(a *Attempt) { a.Trigger = TriggerManual }, true},
	} {
		a := first
		test.change(&a)
		c, linked := m.AttemptContext(&a)
		if linked != test.linked || (c.TraceID == m.Trace.TraceID) == linked || (c.State == "a=1") == linked || !c.Sampled || c.SpanID == m.Trace.SpanID {
			t.Errorf("%s: %+v, linked %v", name, c, linked)
		}
		if other := spans[c.SpanID]; other != "" {
			t.Errorf("%s has the span of %s", name, other)
		}
		spans[c.SpanID] = name
		if again, _ := m.AttemptContext(&a); again != c {
			t.Errorf("%s: %+v, then %+v", name, c, again)
		}
	}
}
