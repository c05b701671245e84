package config

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// Setting is a setting as it is in effect, to be shown to operators.
type Setting struct {
	Name    string // with its blocks: api.tls.cert
	Value   string // as in a file; lists as JSON; empty: none
	Secret  bool   // Value says only whether there is one
	Default bool   // Value is what a configuration without the setting gives
	Source  string // where it is set: "file:line" or an environment variable; empty: nowhere
}

// Effective returns all settings by block, without secrets.
func (c *Config) Effective() []Setting {
	list, standard := c.settings(), Default()
	for i, setting := range standard.settings() {
		list[i].Default = list[i].Value == setting.Value
		list[i].Source = c.sources[setting.Name]
	}
	return list
}

func (c *Config) settings() []Setting {
	list := []Setting{
		{Name: "node", Value: c.Node},
		{Name: "data", Value: c.Data},
		{Name: "log_level", Value: strings.ToLower(c.LogLevel.String())},
		{Name: "log_format", Value: logFormat(c.LogJSON)},
		secretSetting("encryption_keys", strings.Join(c.EncryptionKeys, "")),
	}
	list = append(list, c.API.settings()...)
	list = append(list,
		Setting{Name: "portal.listen", Value: c.Portal.Listen},
		Setting{Name: "portal.frame_ancestors", Value: listText(c.Portal.FrameAncestors)}, Setting{Name: "portal.refresh_url", Value: c.Portal.RefreshURL})
	list = append(list, c.Cluster.settings()...)
	list = append(list,
		Setting{Name: "storage.min_free", Value: limitSize(c.Storage.MinFree)},
		Setting{Name: "storage.max_size", Value: limitSize(c.Storage.MaxSize)},
		Setting{Name: "storage.max_endpoints", Value: limitSize(c.Storage.MaxEndpoints)},
		Setting{Name: "storage.retention", Value: durationText(c.Storage.Retention)})
	list = append(list, c.Delivery.settings()...)
	list = append(list, c.Limits.settings()...)
	list = append(list, c.Tracing.settings()...)
	return append(list, c.Backup.settings()...)
}

func (a *API) settings() []Setting {
	return []Setting{
		{Name: "api.listen", Value: a.Listen},
		secretSetting("api.token", a.Token),
		secretSetting("api.jwt_secret", a.JWTSecret),
		{Name: "api.portal_url", Value: a.PortalURL},
		{Name: "api.cors", Value: listText(a.CORS)},
		{Name: "api.metrics", Value: a.Metrics.text()},
		{Name: "api.access_log", Value: strconv.FormatBool(a.AccessLog)},
		{Name: "api.pprof", Value: strconv.FormatBool(a.Pprof)},
		{Name: "api.max_body", Value: formatSize(a.MaxBody)},
		{Name: "api.max_batch", Value: formatSize(a.MaxBatch)},
		{Name: "api.tails", Value: strconv.Itoa(a.Tails)},
		{Name: "api.drain", Value: durationText(a.Drain)},
		{Name: "api.tls.cert", Value: a.TLS.Cert},
		{Name: "api.tls.key", Value: a.TLS.Key},
	}
}

// text is the value of api.metrics.
func (m Metrics) text() string {
	switch {
	case m.Token:
		return "token"
	case m.Listen != "":
		return m.Listen
	}
	return "open"
}

func (c *Cluster) settings() []Setting {
	peers := make(map[string]string)
	for _, peer := range c.Peers {
		peers[peer.ID] = peer.Address
	}
	return []Setting{
		{Name: "cluster.listen", Value: c.Listen},
		{Name: "cluster.address", Value: c.Address},
		{Name: "cluster.join", Value: listText(c.Join)},
		{Name: "cluster.voter", Value: strconv.FormatBool(c.Voter)},
		secretSetting("cluster.secret", c.Secret),
		{Name: "cluster.peer", Value: jsonText(peers)},
		{Name: "cluster.tls.ca", Value: c.TLS.CA},
		{Name: "cluster.tls.cert", Value: c.TLS.Cert},
		{Name: "cluster.tls.key", Value: c.TLS.Key},
	}
}

func (d *Delivery) settings() []Setting {
	return []Setting{
		{Name: "delivery.timeout", Value: durationText(d.Timeout)},
		{Name: "delivery.workers", Value: strconv.Itoa(d.Workers)},
		{Name: "delivery.per_endpoint", Value: strconv.Itoa(d.PerEndpoint)},
		{Name: "delivery.allow", Value: listText(d.Allow)},
		{Name: "delivery.deny", Value: listText(d.Deny)},
		{Name: "delivery.proxy", Value: proxyText(d.Proxy)},
		{Name: "delivery.no_proxy", Value: listText(d.NoProxy)},
		{Name: "delivery.source_addresses", Value: listText(d.SourceAddresses)},
		{Name: "delivery.disable_after", Value: durationText(d.Breaker.Disable)},
		{Name: "delivery.retry.schedule", Value: delaysText(d.Retry.Delays)},
		{Name: "delivery.retry.jitter", Value: numberText(d.Retry.Jitter)},
		{Name: "delivery.breaker.window", Value: durationText(d.Breaker.Window)},
		{Name: "delivery.breaker.min_attempts", Value: strconv.Itoa(d.Breaker.MinAttempts)},
		{Name: "delivery.breaker.failure_rate", Value: numberText(d.Breaker.FailureRate)},
		{Name: "delivery.breaker.probe", Value: durationText(d.Breaker.Probe)},
		{Name: "delivery.breaker.max_probe", Value: durationText(d.Breaker.MaxProbe)},
	}
}

func (l *Limits) settings() []Setting {
	return []Setting{
		{Name: "limits.applications", Value: strconv.Itoa(l.Applications)},
		{Name: "limits.event_types", Value: strconv.Itoa(l.EventTypes)},
		{Name: "limits.endpoints", Value: strconv.Itoa(l.Endpoints)},
		{Name: "limits.replays", Value: strconv.Itoa(l.Replays)},
		{Name: "limits.manual_sends", Value: strconv.Itoa(l.ManualSends)},
		{Name: "limits.key_requests", Value: strconv.Itoa(l.KeyRequests)},
		{Name: "limits.portal_requests", Value: strconv.Itoa(l.PortalRequests)},
	}
}

func (t *Tracing) settings() []Setting {
	return []Setting{
		{Name: "tracing.endpoint", Value: t.Endpoint},
		secretSetting("tracing.headers", headersText(t.Headers)),
		{Name: "tracing.sample", Value: numberText(t.Sample)},
		{Name: "tracing.propagate_to", Value: listText(t.PropagateTo)},
	}
}

func headersText(headers http.Header) string {
	if len(headers) == 0 {
		return ""
	}
	return jsonText(headers)
}

func secretSetting(name, value string) Setting {
	setting := Setting{Name: name, Secret: true}
	if value != "" {
		setting.Value = "set"
	}
	return setting
}

func logFormat(isJSON bool) string {
	if isJSON {
		return "json"
	}
	return "text"
}

func durationText(d time.Duration) string { return model.Duration(d).String() }

func delaysText(delays []time.Duration) string {
	texts := make([]string, len(delays))
	for i, delay := range delays {
		texts[i] = durationText(delay)
	}
	return listText(texts)
}

func numberText(n float64) string { return strconv.FormatFloat(n, 'g', -1, 64) }

// limitSize writes a size whose zero means that there is no fixed one.
func limitSize(n int64) string {
	if n == 0 {
		return ""
	}
	return formatSize(n)
}

// proxyText leaves out the user and the password, which a proxy's URL may contain.
func proxyText(proxy *url.URL) string {
	if proxy == nil {
		return ""
	}
	shown := *proxy
	shown.User = nil
	return shown.String()
}

func listText[T any](list []T) string {
	if len(list) == 0 {
		return ""
	}
	return jsonText(list)
}

// jsonText writes lists of texts and maps of them, which cannot fail.
func jsonText(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
