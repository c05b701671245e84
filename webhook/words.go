package webhook

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Words describes the policy to customers.
func (p RetryPolicy) Words() string {
	if len(p.Delays) == 0 {
		return "A message is sent once. If that fails, it is not sent again."
	}
	delays, total := make([]string, len(p.Delays)), time.Duration(0)
	for i, delay := range p.Delays {
		delays[i], total = DurationWords(delay), total+delay
	}
	list := delays[len(delays)-1]
	if len(delays) > 1 {
		list = strings.Join(delays[:len(delays)-1], ", ") + " and " + list
	}
	text := fmt.Sprintf("A message that fails is sent again after %s: up to %d attempts over about %s.", list, len(delays)+1, DurationWords(total))
	if jitter := math.Round(100 * p.Jitter); jitter > 0 {
		text += fmt.Sprintf(" Each delay varies by up to %.0f %%.", jitter)
	}
	return text
}

// DurationWords returns a duration in English, in its two largest units from days to seconds.
func DurationWords(d time.Duration) string {
	var words []string
	for _, unit := range []struct {
		name string
		size time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		if n := d / unit.size; n > 0 && len(words) < 2 {
			d -= n * unit.size
			if words = append(words, fmt.Sprintf("%d %s", n, unit.name)); n > 1 {
				words[len(words)-1] += "s"
			}
		} else if len(words) > 0 {
			break // the rest is too small to matter
		}
	}
	if len(words) == 0 {
		return "less than a second"
	}
	return strings.Join(words, " ")
}
