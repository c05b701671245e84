package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// WriteTable writes the report as a table: labels on the left, numbers in columns.
func (r *Report) WriteTable(w io.Writer) error {
	t := &table{}
	t.line("%s events of %s bytes, %s, %s", thousands(r.Events), thousands(r.Size),
		plural(r.Connections, "connection"), plural(r.Endpoints, "endpoint"))
	if r.Batch > 0 {
		t.line("in batches of %s", thousands(r.Batch))
	}
	if r.Rate > 0 {
		t.line("at %s events per second; latencies count from when an event was due", strconv.FormatFloat(r.Rate, 'f', -1, 64))
	}
	if r.Stopped != "" {
		t.line("cut short: %s", r.Stopped)
	}
	t.line("")
	r.rates(t)
	t.line("")
	r.latencies(t)
	t.line("")
	r.usage(t)
	r.counts(t)
	_, err := io.WriteString(w, t.text.String())
	return err
}

func (r *Report) rates(t *table) {
	t.row("", "count", "per second")
	t.row("accepted", thousands(r.Accepted), rate(r.AcceptedPerSecond))
	t.row("delivered", thousands(r.Delivered), rate(r.DeliveredPerSecond))
	if r.Bare != nil {
		t.row("bare loop", thousands(r.Bare.Delivered), rate(r.Bare.DeliveredPerSecond))
	}
	for i := range r.Relays {
		relay := &r.Relays[i]
		t.row(relay.name(), thousands(relay.Delivered), rate(relay.DeliveredPerSecond))
	}
	if r.Bare != nil {
		t.line("ratio delivered/bare loop %.2f", r.Ratio)
	}
	for i := range r.Relays {
		t.line("ratio delivered/%s %.2f", r.Relays[i].name(), r.Relays[i].Ratio)
	}
}

func (r *RelayRun) name() string {
	if r.Log {
		return "relay with log"
	}
	return "relay without log"
}

// usage shows what the nodes have used, and the relays.
func (r *Report) usage(t *table) {
	if r.Usage == nil && len(r.Relays) == 0 {
		if r.UsageError != "" {
			t.line("CPU, memory and disk of the nodes are not known: %s\n", r.UsageError)
		}
		return
	}
	t.row("of an event", "CPU", "data bytes", "disk bytes", "peak memory")
	if r.Usage != nil {
		r.Usage.row(t, plural(r.Usage.Nodes, "node"))
	} else {
		t.line("nodes               not known: %s", r.UsageError)
	}
	for i := range r.Relays {
		if used := r.Relays[i].Usage; used != nil {
			used.row(t, r.Relays[i].name())
		}
	}
	t.line("")
}

func (u *Usage) row(t *table, name string) {
	data, device := "-", "-"
	if u.Data != 0 {
		data = thousands(int(u.DataPerEvent))
	}
	if u.Device != 0 {
		device = thousands(int(u.DevicePerEvent))
	}
	t.row(name, duration(u.CPUPerEvent), data, device, thousands(int(u.Resident>>20))+" MiB")
}

func (r *Report) latencies(t *table) {
	t.row("", "p50", "p99", "p99.9")
	t.latency("POST → 202", r.Post)
	t.latency("POST → arrival", r.Arrival)
	if r.Bare != nil {
		t.latency("bare POST → 200", r.Bare.Post)
	}
}

// counts shows what should be zero; what hardly ever is anything else only when it is not.
func (r *Report) counts(t *table) {
	t.row("lost", thousands(r.Lost))
	t.row("duplicated", thousands(r.Duplicated))
	t.note("bad signatures", thousands(r.BadSignatures), "of "+thousands(r.CheckedSignatures)+" checked")
	if r.Unconfirmed > 0 {
		t.note("unconfirmed", thousands(r.Unconfirmed), "arrived without a 202")
	}
	if r.Unknown > 0 {
		t.note("unknown", thousands(r.Unknown), "requests that carried no event of this run")
	}
	if r.Failed > 0 {
		t.note("failed POSTs", thousands(r.Failed), kinds(r.Failures))
	} else {
		t.row("failed POSTs", "0")
	}
	for _, text := range r.Errors {
		t.line("  %s", text)
	}
	if r.Elapsed > 0 {
		t.note("CPU of this process", duration(r.CPU), fmt.Sprintf("%.0f %% of one core over %s",
			100*r.CPU.Seconds()/r.Elapsed.Seconds(), duration(r.Elapsed)))
	}
}

// table collects lines of a label, 20 columns wide, and numbers of 12 columns each.
type table struct {
	text strings.Builder
}

func (t *table) line(format string, values ...any) { fmt.Fprintf(&t.text, format+"\n", values...) }

func (t *table) row(label string, cells ...string) {
	fmt.Fprintf(&t.text, "%-20s", label)
	for _, cell := range cells {
		fmt.Fprintf(&t.text, "%12s", cell)
	}
	t.text.WriteByte('\n')
}

func (t *table) note(label, cell, note string) { t.line("%-20s%12s  %s", label, cell, note) }

func (t *table) latency(label string, l Latency) {
	t.row(label, duration(l.P50), duration(l.P99), duration(l.P999))
}

// kinds lists failures as "503: 12, no answer: 3".
func kinds(failures map[string]int) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(failures)) {
		parts = append(parts, kind+": "+thousands(failures[kind]))
	}
	return strings.Join(parts, ", ")
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0 && text[at-1] != '-'; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

func rate(perSecond float64) string { return thousands(int(perSecond + 0.5)) }

func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return thousands(n) + " " + noun
}

// duration writes d with three digits or so, in the unit that fits.
func duration(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
	default:
		return fmt.Sprintf("%.0f µs", d.Seconds()*1e6)
	}
}
