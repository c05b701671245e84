package bench

import (
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	report := Report{
		Events: 100_000, Endpoints: 1, Connections: 64, Size: 1024,
		Accepted: 99_988, AcceptedPerSecond: 31_204.4, Delivered: 99_987, DeliveredPerSecond: 30_877.6,
		Failed: 12, Failures: map[string]int{"no answer": 2, "503": 10}, Errors: []string{"503 busy"},
		Lost: 3, Duplicated: 1, Unconfirmed: 2, Unknown: 4, CheckedSignatures: 100,
		Post:    Latency{1240 * time.Microsecond, 4700 * time.Microsecond, 9310 * time.Microsecond},
		Arrival: Latency{2 * time.Millisecond, 6 * time.Millisecond, 1500 * time.Millisecond},
		Elapsed: 4 * time.Second, CPU: 3 * time.Second,
		Bare: &Bare{Delivered: 100_000, DeliveredPerSecond: 75_310,
			Post: Latency{800 * time.Microsecond, 2 * time.Millisecond, 3 * time.Millisecond}},
		Ratio: 0.41,
		Relays: []RelayRun{
			{Delivered: 100_000, DeliveredPerSecond: 50_000, Ratio: 0.61, Usage: &Usage{CPUPerEvent: 29 * time.Microsecond, Resident: 30 << 20}},
			{Log: true, Delivered: 99_999, DeliveredPerSecond: 31_000.4, Ratio: 0.99},
		},
		Usage: &Usage{Nodes: 3, CPUPerEvent: 68 * time.Microsecond, Resident: 1474 << 20, Data: 1, DataPerEvent: 1400, Device: 1, DevicePerEvent: 5700},
	}
	expectTable(t, report, `
100,000 events of 1,024 bytes, 64 connections, 1 endpoint

                           count  per second
accepted                  99,988      31,204
delivered                 99,987      30,878
bare loop                100,000      75,310
relay without log        100,000      50,000
relay with log            99,999      31,000
ratio delivered/bare loop 0.41
ratio delivered/relay without log 0.61
ratio delivered/relay with log 0.99

                             p50         p99       p99.9
POST → 202               1.24 ms     4.70 ms     9.31 ms
POST → arrival           2.00 ms     6.00 ms      1.50 s
bare POST → 200           800 µs     2.00 ms     3.00 ms

of an event                  CPU  data bytes  disk bytes peak memory
3 nodes                    68 µs       1,400       5,700   1,474 MiB
relay without log          29 µs           -           -      30 MiB

lost                           3
duplicated                     1
bad signatures                 0  of 100 checked
unconfirmed                    2  arrived without a 202
unknown                        4  requests that carried no event of this run
failed POSTs                  12  503: 10, no answer: 2
  503 busy
CPU of this process       3.00 s  75 % of one core over 4.00 s
`)
}

func TestTableOfAStoppedRun(t *testing.T) {
	report := Report{Events: 10, Endpoints: 2, Connections: 1, Size: 60, Stopped: "--timeout 5m0s is over", UsageError: "no metrics"}
	expectTable(t, report, `
10 events of 60 bytes, 1 connection, 2 endpoints
cut short: --timeout 5m0s is over

                           count  per second
accepted                       0           0
delivered                      0           0

                             p50         p99       p99.9
POST → 202                  0 µs        0 µs        0 µs
POST → arrival              0 µs        0 µs        0 µs

CPU, memory and disk of the nodes are not known: no metrics

lost                           0
duplicated                     0
bad signatures                 0  of 0 checked
failed POSTs                   0
`)
}

func expectTable(t *testing.T, report Report, want string) {
	t.Helper()
	var out strings.Builder
	if err := report.WriteTable(&out); err != nil {
		t.Fatal(err)
	}
	if got := "\n" + out.String(); got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -123456: "-123,456"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: got %s, expected %s", n, got, want)
		}
	}
}
