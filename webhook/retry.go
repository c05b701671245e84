package webhook

import (
	"fmt"
	"math"
	"time"
)

const (
	maxRetries = 100
	maxDelay   = 30 * 24 * time.Hour
)

// RetryPolicy says when failed deliveries are tried again.
type RetryPolicy struct {
	Delays []time.Duration // before the second attempt, the third …; after the last one the message is given up
	Jitter float64         // 0.2: each delay varies by up to 20 % either way
}

// DefaultRetryPolicy makes 8 attempts over about 27.5 hours, as Svix does.
func DefaultRetryPolicy() RetryPolicy {
	return RetryPolicy{Jitter: 0.2, Delays: []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute,
		2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour}}
}

// ExponentialRetryPolicy waits base, base × factor, base × factor² …, maxRetries times. It returns
// a policy without jitter.
func ExponentialRetryPolicy(base time.Duration, factor float64, retries int) (RetryPolicy, error) {
	if math.IsNaN(factor) || factor < 1 {
		return RetryPolicy{}, fmt.Errorf("the factor must be 1 or more")
	}
	if retries < 0 || retries > maxRetries {
		return RetryPolicy{}, fmt.Errorf("there may be 0 to %d retries", maxRetries)
	}
	p := RetryPolicy{Delays: make([]time.Duration, retries)}
	for i := range p.Delays {
		delay := float64(base) * math.Pow(factor, float64(i))
		if delay > float64(maxDelay) {
			return RetryPolicy{}, fmt.Errorf("retry %d would come after more than %s: fewer retries or a smaller factor are needed", i+1, maxDelay)
		}
		p.Delays[i] = time.Duration(delay)
	}
	return p, p.Validate()
}

// Validate checks the bounds.
func (p RetryPolicy) Validate() error {
	if len(p.Delays) > maxRetries {
		return fmt.Errorf("there may be at most %d retries", maxRetries)
	}
	if math.IsNaN(p.Jitter) || p.Jitter < 0 || p.Jitter > 1 {
		return fmt.Errorf("the jitter must be from 0 to 1")
	}
	for i, delay := range p.Delays {
		if delay <= 0 || delay > maxDelay {
			return fmt.Errorf("delay %d must be more than 0 and at most %s", i+1, maxDelay)
		}
	}
	return nil
}

// Delay returns how long to wait after so many attempts, counted from 1; random is in [0, 1). It
// returns false if no further attempt is to be made.
func (p RetryPolicy) Delay(attempts uint32, random float64) (time.Duration, bool) {
	if attempts == 0 || int(attempts) > len(p.Delays) {
		return 0, false
	}
	delay := float64(p.Delays[attempts-1])
	return time.Duration(delay * (1 + p.Jitter*(2*random-1))), true
}
