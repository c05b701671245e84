package httpapi

import (
	"fmt"
	"time"

	"hookwheel/wal"
	"hookwheel/webhook"
)

const (
	maxPoints      = 2160 // of one series: 90 days of hours
	maxStrips      = maxListed
	maxStripPoints = 5000 // of all series of a response
	finestPoints   = 576  // for which a finer period is chosen where none is given
)

// seriesPeriod is a period by its name.
type seriesPeriod struct {
	name   string
	period wal.Period
	kept   time.Duration
	usual  time.Duration // length of a series that gives neither its start nor its end
}

var seriesPeriods = []seriesPeriod{
	{"FiveMinutes", wal.FiveMinutes, 2 * day, 6 * time.Hour},
	{"OneHour", wal.OneHour, 90 * day, 7 * day},
	{"OneDay", wal.OneDay, 730 * day, 28 * day},
}

// seriesRange is a range of whole periods.
type seriesRange struct {
	seriesPeriod
	first int64 // number of the first period since the Unix epoch
	count int
}

// seriesRange reads startDate, endDate and period. The range is widened to whole periods, the
// present one included.
func (q *query) seriesRange(now time.Time) (r seriesRange) {
	start, end := q.time("startDate"), q.time("endDate")
	given := q.has("period")
	r.seriesPeriod = seriesPeriods[0]
	if given {
		r.seriesPeriod = q.seriesPeriod()
	}
	if end.IsZero() || end.After(now) && !start.After(now) {
		end = now
	}
	if start.IsZero() {
		start = end.Add(-r.usual)
	}
	if !given {
		for _, p := range seriesPeriods {
			if r.seriesPeriod = p; end.Sub(start) <= finestPoints*p.period.Length() && now.Sub(start) <= p.kept {
				break
			}
		}
	}
	r.first = r.period.First(start)
	count := r.period.First(end.Add(r.period.Length()-1)) - r.first
	switch {
	case q.err != nil:
	case start.After(now):
		q.fail("startDate", "must not be in the future")
	case !end.After(start):
		q.fail("endDate", "must be after startDate")
	case now.Sub(start) > r.kept+r.period.Length():
		q.fail("startDate", fmt.Sprintf("must be at most %d days ago, because counts with the period %s are kept for that long%s",
			r.kept/day, r.name, r.longer()))
	case count > maxPoints:
		q.fail("period", fmt.Sprintf("would give %d points, of which a series has at most %d: choose a longer period, or a startDate that is later", count, maxPoints))
	default:
		r.count = int(count)
	}
	return r
}

// longer advises a period that is kept for longer.
func (p seriesPeriod) longer() string {
	if last := seriesPeriods[len(seriesPeriods)-1]; p.period != last.period {
		return "; those with a longer period are kept for longer"
	}
	return ""
}

func (q *query) seriesPeriod() seriesPeriod {
	name := q.text("period")
	for _, p := range seriesPeriods {
		if p.name == name {
			return p
		}
	}
	q.fail("period", "must be FiveMinutes, OneHour or OneDay")
	return seriesPeriods[0]
}

// seriesOut is a chart. The lists have one number for each period, the oldest first.
type seriesOut struct {
	StartDate time.Time  `json:"startDate"`
	EndDate   time.Time  `json:"endDate"`
	Period    string     `json:"period"`
	KeptFrom  *time.Time `json:"keptFrom"` // counts from before have left early because of their size
	Data      countsOut  `json:"data"`
	Total     totalOut   `json:"total"`
}

// countsOut counts attempts per period; the first two names are those of Svix.
type countsOut struct {
	SuccessCount     []uint64    `json:"successCount"`
	FailureCount     []uint64    `json:"failureCount"`
	CanceledCount    []uint64    `json:"canceledCount"`
	StatusClassCount classesOut  `json:"statusClassCount"`
	AttemptLatency   latencyList `json:"attemptLatency"`
	DeliveryLatency  latencyList `json:"deliveryLatency"`
}

type classesOut struct {
	None []uint64 `json:"none"` // no response
	C100 []uint64 `json:"100"`
	C200 []uint64 `json:"200"`
	C300 []uint64 `json:"300"`
	C400 []uint64 `json:"400"`
	C500 []uint64 `json:"500"`
}

// latencyList has milliseconds, or null for periods without any.
type latencyList struct {
	P50 []*int64 `json:"p50"`
	P95 []*int64 `json:"p95"`
	P99 []*int64 `json:"p99"`
}

func (l *latencyList) add(latency wal.Latency) {
	out := showLatency(latency)
	l.P50, l.P95, l.P99 = append(l.P50, out.P50), append(l.P95, out.P95), append(l.P99, out.P99)
}

// totalOut sums up the whole range.
type totalOut struct {
	Success         uint64     `json:"success"`
	Failure         uint64     `json:"failure"`
	Canceled        uint64     `json:"canceled"`
	AttemptLatency  latencyOut `json:"attemptLatency"`
	DeliveryLatency latencyOut `json:"deliveryLatency"`
}

type latencyOut struct {
	P50 *int64 `json:"p50"`
	P95 *int64 `json:"p95"`
	P99 *int64 `json:"p99"`
}

func showLatency(l wal.Latency) (out latencyOut) {
	if l.Count > 0 {
		out = latencyOut{new(l.P50.Milliseconds()), new(l.P95.Milliseconds()), new(l.P99.Milliseconds())}
	}
	return out
}

func showTotal(list []wal.Tally) totalOut {
	var sum wal.Tally
	for i := range list {
		sum.Add(&list[i])
	}
	return totalOut{Success: sum.Succeeded(), Failure: sum.Failed(), Canceled: sum.Canceled(),
		AttemptLatency: showLatency(sum.Duration()), DeliveryLatency: showLatency(sum.Delivery())}
}

func showCounts(list []wal.Tally) (out countsOut) {
	classes := []*[]uint64{&out.StatusClassCount.None, &out.StatusClassCount.C100, &out.StatusClassCount.C200,
		&out.StatusClassCount.C300, &out.StatusClassCount.C400, &out.StatusClassCount.C500}
	for i := range list {
		t := &list[i]
		out.SuccessCount = append(out.SuccessCount, t.Succeeded())
		out.FailureCount = append(out.FailureCount, t.Failed())
		out.CanceledCount = append(out.CanceledCount, t.Canceled())
		for class, counts := range classes {
			*counts = append(*counts, t.Class(class))
		}
		out.AttemptLatency.add(t.Duration())
		out.DeliveryLatency.add(t.Delivery())
	}
	return out
}

// keptFrom returns when the counts of a range begin, if that is not its start.
func (r *request) keptFrom(owner wal.TallyOwner, of seriesRange) *time.Time {
	if from := r.store().TalliedFrom(owner, of.period); from.After(of.period.Begin(of.first)) {
		return &from
	}
	return nil
}

func (r *request) series(owner wal.TallyOwner) (*response, error) {
	q := r.query()
	of := q.seriesRange(time.Now())
	if q.err != nil {
		return nil, q.err
	}
	out := seriesOut{StartDate: of.period.Begin(of.first), EndDate: of.period.Begin(of.first + int64(of.count)), Period: of.name,
		KeptFrom: r.keptFrom(owner, of)}
	err := r.store().Tallies([]wal.TallyOwner{owner}, of.period, of.first, of.count, func(_ int, list []wal.Tally) {
		out.Data, out.Total = showCounts(list), showTotal(list)
	})
	if err != nil {
		return nil, err
	}
	return ok(out), nil
}

// getAllSeries counts the attempts of all applications.
func getAllSeries(r *request) (*response, error) {
	if err := r.current(); err != nil {
		return nil, err
	}
	return r.series(wal.AllAttempts)
}

func getApplicationSeries(r *request) (*response, error) {
	app, err := r.named().application()
	if err != nil {
		return nil, err
	}
	return r.series(wal.AttemptsOf(app.ID))
}

func getEndpointSeries(r *request) (*response, error) {
	endpoint, err := r.named().endpoint()
	if err != nil {
		return nil, err
	}
	return r.series(wal.AttemptsAt(endpoint.ID))
}

// stripsOut are the series of several owners, for small charts.
type stripsOut struct {
	StartDate time.Time  `json:"startDate"`
	EndDate   time.Time  `json:"endDate"`
	Period    string     `json:"period"`
	KeptFrom  *time.Time `json:"keptFrom"`
	Data      []stripOut `json:"data"`
}

type stripOut struct {
	ID            string   `json:"id"`
	SuccessCount  []uint64 `json:"successCount"`
	FailureCount  []uint64 `json:"failureCount"`
	CanceledCount []uint64 `json:"canceledCount"`
	Total         totalOut `json:"total"`
}

// strips counts the attempts of the owners whose names parameter has.
func (r *request) strips(parameter string, find func(name string) (wal.TallyOwner, string, error)) (*response, error) {
	q := r.query()
	of, names := q.seriesRange(time.Now()), q.list(parameter)
	switch {
	case q.err != nil:
		return nil, q.err
	case len(names) == 0:
		q.fail(parameter, fmt.Sprintf("is missing: name 1 to %d", maxStrips))
	case len(names)*of.count > maxStripPoints:
		q.fail("period", fmt.Sprintf("would give %d series of %d points, of which all together have at most %d: choose a longer period or fewer series",
			len(names), of.count, maxStripPoints))
	}
	if q.err != nil {
		return nil, q.err
	}
	owners := make([]wal.TallyOwner, len(names))
	out := stripsOut{StartDate: of.period.Begin(of.first), EndDate: of.period.Begin(of.first + int64(of.count)), Period: of.name,
		Data: make([]stripOut, len(names))}
	for i, name := range names {
		var err error
		if owners[i], out.Data[i].ID, err = find(name); err != nil {
			return nil, err
		}
	}
	out.KeptFrom = r.keptFrom(owners[0], of)
	err := r.store().Tallies(owners, of.period, of.first, of.count, func(i int, list []wal.Tally) {
		strip := &out.Data[i]
		for j := range list {
			strip.SuccessCount = append(strip.SuccessCount, list[j].Succeeded())
			strip.FailureCount = append(strip.FailureCount, list[j].Failed())
			strip.CanceledCount = append(strip.CanceledCount, list[j].Canceled())
		}
		strip.Total = showTotal(list)
	})
	if err != nil {
		return nil, err
	}
	return ok(out), nil
}

func getEndpointStrips(r *request) (*response, error) {
	app, err := r.named().application()
	if err != nil {
		return nil, err
	}
	return r.strips("endpoint_id", func(name string) (wal.TallyOwner, string, error) {
		endpoint, err := r.store().Endpoint(app.ID, name)
		if err != nil {
			return wal.TallyOwner{}, "", err
		}
		return wal.AttemptsAt(endpoint.ID), endpoint.ID.Text(webhook.KindEndpoint), nil
	})
}

func getApplicationStrips(r *request) (*response, error) {
	if err := r.current(); err != nil {
		return nil, err
	}
	return r.strips("app_id", func(name string) (wal.TallyOwner, string, error) {
		app, err := r.store().Application(name)
		if err != nil {
			return wal.TallyOwner{}, "", err
		}
		return wal.AttemptsOf(app.ID), app.ID.Text(webhook.KindApplication), nil
	})
}
