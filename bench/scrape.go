package bench

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/valyala/fasthttp"
)

// samples are the values that a node's metrics have without labels, by name; of a summary it is the
// count.
type samples map[string]float64

// scrape reads the metrics of a node, which may ask for the token.
func scrape(url, token string) (samples, error) {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	link := strings.TrimRight(url, "/") + "/metrics"
	request.SetRequestURI(link)
	request.Header.Set("Authorization", "Bearer "+token)
	if err := fasthttp.DoTimeout(request, response, callTimeout); err != nil {
		return nil, fmt.Errorf("GET %s: %w", link, err)
	}
	if status := response.StatusCode(); status != 200 {
		return nil, fmt.Errorf("GET %s: status %d", link, status)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(response.Body()))
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", link, err)
	}
	found := make(samples)
	for name, family := range families {
		for _, m := range family.Metric {
			switch {
			case len(m.Label) > 0:
			case m.Gauge != nil:
				found[name] = m.Gauge.GetValue()
			case m.Counter != nil:
				found[name] = m.Counter.GetValue()
			case m.Summary != nil:
				found[name] = float64(m.Summary.GetSampleCount())
			}
		}
	}
	return found, nil
}

// of returns the values with these names, of which none may be missing.
func (s samples) of(names ...string) ([]float64, error) {
	values := make([]float64, len(names))
	for i, name := range names {
		value, ok := s[name]
		if !ok {
			return nil, fmt.Errorf("the metrics have no %s", name)
		}
		values[i] = value
	}
	return values, nil
}
