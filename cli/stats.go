package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

const maxBars = 72 // of a chart; beyond that, a bar covers several periods

func newStatsCommand() *cobra.Command {
	var (
		c             client
		app, endpoint string
		asJSON        bool
	)
	filter := new(fields).
		choice("period", "period", "count per minutes (five of them), hour or day (default: the shortest that fits)",
			map[string]any{"minutes": "FiveMinutes", "hour": "OneHour", "day": "OneDay"}).
		time("since", "startDate", "attempts from this `time` on, such as "+timeExamples, timeFlag{}).
		time("until", "endDate", "attempts up to this `time` (default now)", timeFlag{})
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Show attempts by result, and latency, over time",
		Long: `Show attempts by result, and latency, over time: of all applications, of one, or
of an endpoint. A bar shows one period or several; the highest bar of a line
shows its highest value. Counts per five minutes are kept for 2 days, per hour
for 90 days, and per day for 730 days.`,
		Example: `  hookwheel stats
  hookwheel stats --app acme --since 7d
  hookwheel stats --app acme --endpoint billing --since 1d --period hour --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := statsPath(cmd, app, endpoint)
			if err != nil {
				return err
			}
			if query := filter.query(); len(query) > 0 {
				path += "?" + query.Encode()
			}
			var response json.RawMessage
			if err := c.call(cmd.Context(), http.MethodGet, path, nil, &response); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), response)
			}
			return printStats(cmd.OutOrStdout(), response)
		},
	}
	c.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&app, "app", "", "only of this `application` (id or uid)")
	flags.StringVar(&endpoint, "endpoint", "", "only of this `endpoint` (id or uid), with --app")
	flags.BoolVar(&asJSON, "json", false, "print the response as JSON")
	filter.addTo(cmd)
	return cmd
}

func statsPath(cmd *cobra.Command, app, endpoint string) (string, error) {
	ofApp, ofEndpoint := cmd.Flags().Changed("app"), cmd.Flags().Changed("endpoint")
	switch {
	case ofEndpoint && !ofApp:
		return "", usageErrorf("--endpoint needs --app")
	case ofEndpoint:
		return apiPath("/stats/app/%s/endpoint/%s/attempt", app, endpoint), nil
	case ofApp:
		return apiPath("/stats/app/%s/attempt", app), nil
	default:
		return "/stats/attempt", nil
	}
}

// percentiles are milliseconds; nil means that nothing was measured.
type percentiles struct{ P50, P95, P99 *float64 }

// attemptStats is what the API responds. The lists have one value per period.
type attemptStats struct {
	StartDate, EndDate time.Time
	Period             string
	KeptFrom           *time.Time
	Data               struct {
		SuccessCount, FailureCount, CanceledCount []float64
		AttemptLatency, DeliveryLatency           struct{ P95 []*float64 }
	}
	Total struct {
		Success, Failure, Canceled      uint64
		AttemptLatency, DeliveryLatency percentiles
	}
}

func printStats(out io.Writer, response []byte) error {
	var s attemptStats
	if err := json.Unmarshal(response, &s); err != nil {
		return fmt.Errorf("invalid response: %w", err)
	}
	const layout = "2006-01-02 15:04"
	periods := len(s.Data.SuccessCount)
	fmt.Fprintf(out, "%s to %s, %s for each bar\n", s.StartDate.Local().Format(layout), s.EndDate.Local().Format(layout),
		s.EndDate.Sub(s.StartDate)/time.Duration(max(periods, 1))*time.Duration(perBar(periods)))
	if s.KeptFrom != nil {
		fmt.Fprintf(out, "Counts from before %s are no longer kept.\n", s.KeptFrom.Local().Format(layout))
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ATTEMPTS\tTOTAL\tOVER TIME")
	for _, row := range []struct {
		name  string
		total uint64
		list  []float64
	}{
		{"succeeded", s.Total.Success, s.Data.SuccessCount},
		{"failed", s.Total.Failure, s.Data.FailureCount},
		{"canceled", s.Total.Canceled, s.Data.CanceledCount},
	} {
		fmt.Fprintf(w, "%s\t%d\t%s\n", row.name, row.total, bars(row.list))
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, "LATENCY\tP50\tP95\tP99\tP95 OVER TIME")
	for _, row := range []struct {
		name  string
		total percentiles
		list  []*float64
	}{
		{"attempt", s.Total.AttemptLatency, s.Data.AttemptLatency.P95},
		{"from accepted to delivered", s.Total.DeliveryLatency, s.Data.DeliveryLatency.P95},
	} {
		values := make([]float64, len(row.list))
		for i, value := range row.list {
			if value != nil {
				values[i] = max(*value, 1) // a bar for less than a millisecond
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", row.name, latencyText(row.total.P50), latencyText(row.total.P95), latencyText(row.total.P99), bars(values))
	}
	return w.Flush()
}

func latencyText(ms *float64) string {
	if ms == nil {
		return "-"
	}
	return strconv.FormatFloat(*ms, 'f', -1, 64) + " ms"
}

// perBar returns how many periods a bar of a chart covers.
func perBar(periods int) int { return max((periods+maxBars-1)/maxBars, 1) }

// bars returns a chart with the highest value of each group of periods. A value that is not zero
// has a bar, however small.
func bars(list []float64) string {
	const heights = "▁▂▃▄▅▆▇█"
	highest := 0.0
	for _, value := range list {
		highest = max(highest, value)
	}
	var chart strings.Builder
	for each := perBar(len(list)); len(list) > 0; list = list[min(each, len(list)):] {
		value := 0.0
		for _, v := range list[:min(each, len(list))] {
			value = max(value, v)
		}
		if value <= 0 {
			chart.WriteByte('.')
			continue
		}
		steps := []rune(heights)
		chart.WriteRune(steps[min(int(value/highest*float64(len(steps))), len(steps)-1)])
	}
	return chart.String()
}
