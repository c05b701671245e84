package webhook

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDefaultRetryPolicy(t *testing.T) {
	policy := DefaultRetryPolicy()
	if err := policy.Validate(); err != nil {
		t.Fatal(err)
	}
	want := []time.Duration{
		5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour,
	}
	if !slices.Equal(policy.Delays, want) || policy.Jitter != 0.2 {
		t.Errorf("got %+v", policy)
	}
	policy.Delays[0] = 0
	if DefaultRetryPolicy().Delays[0] == 0 {
		t.Error("two calls share their delays")
	}
}

func TestExponentialRetryPolicy(t *testing.T) {
	tests := map[string]struct {
		base       time.Duration
		factor     float64
		maxRetries int
		want       []time.Duration
	}{
		"60 s x 2^n": {time.Minute, 2, 10, []time.Duration{
			1 * time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute,
			32 * time.Minute, 64 * time.Minute, 128 * time.Minute, 256 * time.Minute, 512 * time.Minute,
		}},
		"constant":       {time.Second, 1, 3, []time.Duration{time.Second, time.Second, time.Second}},
		"fraction":       {time.Second, 1.5, 3, []time.Duration{time.Second, 1500 * time.Millisecond, 2250 * time.Millisecond}},
		"no retries":     {time.Second, 2, 0, []time.Duration{}},
		"the longest":    {maxDelay / 4, 2, 3, []time.Duration{maxDelay / 4, maxDelay / 2, maxDelay}},
		"the shortest":   {1, 10, 2, []time.Duration{1, 10}},
		"the most often": {time.Hour, 1, maxRetries, slices.Repeat([]time.Duration{time.Hour}, maxRetries)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			policy, err := ExponentialRetryPolicy(test.base, test.factor, test.maxRetries)
			if err != nil || !slices.Equal(policy.Delays, test.want) || policy.Jitter != 0 {
				t.Fatalf("got %+v, %v; want %v", policy, err, test.want)
			}
			if err := policy.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestExponentialRetryPolicyRefuses(t *testing.T) {
	tests := map[string]struct {
		base       time.Duration
		factor     float64
		maxRetries int
		want       string
	}{
		"no base":            {0, 2, 10, "delay 1 must be more than 0"},
		"negative base":      {-time.Second, 2, 100, "delay 1 must be more than 0"},
		"base too long":      {maxDelay + 1, 2, 10, "retry 1 would come after more than 720h0m0s"},
		"shrinking":          {time.Second, 0.5, 10, "the factor must be 1 or more"},
		"negative factor":    {time.Second, -2, 10, "the factor must be 1 or more"},
		"NaN":                {time.Second, math.NaN(), 10, "the factor must be 1 or more"},
		"infinite":           {time.Second, math.Inf(1), 2, "retry 2 would come after more than 720h0m0s"},
		"negative retries":   {time.Second, 2, -1, "there may be 0 to 100 retries"},
		"too many retries":   {time.Second, 1, 101, "there may be 0 to 100 retries"},
		"absurdly many":      {time.Second, 1, math.MaxInt, "there may be 0 to 100 retries"},
		"a delay too long":   {time.Minute, 2, 17, "retry 17 would come after more than 720h0m0s"},
		"overflow of int64":  {maxDelay, 1e12, 2, "retry 2 would come after more than 720h0m0s"},
		"overflow of floats": {maxDelay, math.MaxFloat64, 100, "retry 2 would come after more than 720h0m0s"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			policy, err := ExponentialRetryPolicy(test.base, test.factor, test.maxRetries)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %+v, %v; want %q", policy, err, test.want)
			}
		})
	}
}

func TestRetryPolicyValidate(t *testing.T) {
	hours := func(n int) []time.Duration { return slices.Repeat([]time.Duration{time.Hour}, n) }
	tests := map[string]struct {
		policy RetryPolicy
		want   string // empty: valid
	}{
		"no retries":      {RetryPolicy{}, ""},
		"the most":        {RetryPolicy{hours(100), 1}, ""},
		"falling delays":  {RetryPolicy{[]time.Duration{maxDelay, 1}, 0}, ""},
		"too many":        {RetryPolicy{hours(101), 0}, "at most 100 retries"},
		"no delay":        {RetryPolicy{append(hours(2), 0), 0}, "delay 3 must be more than 0 and at most 720h0m0s"},
		"negative delay":  {RetryPolicy{[]time.Duration{-1}, 0}, "delay 1 must be"},
		"delay too long":  {RetryPolicy{[]time.Duration{maxDelay + 1}, 0}, "delay 1 must be"},
		"negative jitter": {RetryPolicy{hours(1), -0.1}, "the jitter must be from 0 to 1"},
		"jitter above 1":  {RetryPolicy{hours(1), 1.001}, "the jitter must be"},
		"jitter NaN":      {RetryPolicy{hours(1), math.NaN()}, "the jitter must be"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := test.policy.Validate()
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestDelay(t *testing.T) {
	policy := RetryPolicy{Delays: []time.Duration{10 * time.Second, maxDelay}, Jitter: 0.2}
	almost1 := math.Nextafter(1, 0)
	tests := map[string]struct {
		attempts uint32
		random   float64
		want     time.Duration
		ok       bool
	}{
		"first, shortest":  {1, 0, 8 * time.Second, true},
		"first, middle":    {1, 0.5, 10 * time.Second, true},
		"first, between":   {1, 0.75, 11 * time.Second, true},
		"second, shortest": {2, 0, 24 * 24 * time.Hour, true},
		"second, middle":   {2, 0.5, 30 * 24 * time.Hour, true},
		"ended":            {3, 0.5, 0, false},
		"long ended":       {math.MaxUint32, 0.5, 0, false},
		"none made":        {0, 0.5, 0, false}, // outside the contract, but no panic
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			delay, ok := policy.Delay(test.attempts, test.random)
			if delay != test.want || ok != test.ok {
				t.Errorf("got %s, %t; want %s, %t", delay, ok, test.want, test.ok)
			}
		})
	}
	for attempts, delay := range policy.Delays {
		if got, _ := policy.Delay(uint32(attempts+1), almost1); got > delay*12/10 || got < delay*12/10-time.Microsecond {
			t.Errorf("the longest delay %d is %s", attempts, got)
		}
	}
}

func TestDelayStaysInRange(t *testing.T) {
	random := newRandom()
	for _, jitter := range []float64{0, 0.2, 1} {
		policy := DefaultRetryPolicy()
		policy.Jitter = jitter
		for i, delay := range policy.Delays {
			shortest := time.Duration(float64(delay)*(1-jitter)) - 1 // rounding
			longest := time.Duration(float64(delay)*(1+jitter)) + 1
			for range 1000 {
				if got, ok := policy.Delay(uint32(i+1), random.Float64()); !ok || got < shortest || got > longest {
					t.Fatalf("retry %d with jitter %v: %s, %t", i+1, jitter, got, ok)
				}
			}
		}
	}
}

func TestNoRetries(t *testing.T) {
	if _, ok := (RetryPolicy{}).Delay(1, 0.5); ok {
		t.Error("an empty schedule grants a retry")
	}
}
