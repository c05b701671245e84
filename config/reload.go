package config

import (
	"maps"
	"strings"
)

// changeable are the settings that can change while a node runs.
var changeable = map[string]func(to, from *Config){
	"log_level":                 func(to, from *Config) { to.LogLevel = from.LogLevel },
	"api.token":                 func(to, from *Config) { to.API.Token = from.API.Token },
	"api.jwt_secret":            func(to, from *Config) { to.API.JWTSecret = from.API.JWTSecret },
	"api.portal_url":            func(to, from *Config) { to.API.PortalURL = from.API.PortalURL },
	"api.access_log":            func(to, from *Config) { to.API.AccessLog = from.API.AccessLog },
	"api.cors":                  func(to, from *Config) { to.API.CORS = from.API.CORS },
	"portal.frame_ancestors":    func(to, from *Config) { to.Portal.FrameAncestors = from.Portal.FrameAncestors },
	"portal.refresh_url":        func(to, from *Config) { to.Portal.RefreshURL = from.Portal.RefreshURL },
	"delivery.allow":            func(to, from *Config) { to.Delivery.Allow = from.Delivery.Allow },
	"delivery.deny":             func(to, from *Config) { to.Delivery.Deny = from.Delivery.Deny },
	"delivery.source_addresses": func(to, from *Config) { to.Delivery.SourceAddresses = from.Delivery.SourceAddresses },
	"limits.applications":       func(to, from *Config) { to.Limits.Applications = from.Limits.Applications },
	"limits.event_types":        func(to, from *Config) { to.Limits.EventTypes = from.Limits.EventTypes },
	"limits.endpoints":          func(to, from *Config) { to.Limits.Endpoints = from.Limits.Endpoints },
	"limits.replays":            func(to, from *Config) { to.Limits.Replays = from.Limits.Replays },
	"limits.manual_sends":       func(to, from *Config) { to.Limits.ManualSends = from.Limits.ManualSends },
	"limits.key_requests":       func(to, from *Config) { to.Limits.KeyRequests = from.Limits.KeyRequests },
	"limits.portal_requests":    func(to, from *Config) { to.Limits.PortalRequests = from.Limits.PortalRequests },
}

// CanChange reports whether a setting changes when the configuration is reloaded.
func CanChange(setting string) bool { return changeable[setting] != nil }

// Reload reads the configuration again from where Load has read it. It returns the same one if
// that was not called.
func (c *Config) Reload() (Config, error) {
	if !c.loaded {
		return *c, nil
	}
	return Load(c.path)
}

// IsLoaded reports whether Load has read the configuration, so that Reload can read it again.
func (c *Config) IsLoaded() bool { return c.loaded }

// With returns the configuration of a node that runs with c after next was read: c, with what can
// change. The names are those of the settings that do, and of those that only a restart would
// change.
func (c *Config) With(next *Config) (now Config, changed, restart []string) {
	now = *c
	now.sources = maps.Clone(c.sources)
	for name, take := range changeable {
		take(&now, next)
		delete(now.sources, name)
		if source := next.sources[name]; source != "" {
			now.sources[name] = source
		}
	}
	return now, now.differences(c), now.differences(next)
}

// differences returns the names of the settings that two configurations do not share.
func (c *Config) differences(other *Config) []string {
	names := []string{} // as JSON, a list
	exact, exactOther := c.exact(), other.exact()
	theirs := other.Effective()
	for i, setting := range c.Effective() {
		if setting.Value != theirs[i].Value || exact[setting.Name] != exactOther[setting.Name] {
			names = append(names, setting.Name)
		}
	}
	return names
}

// exact returns the values that Effective hides or rounds.
func (c *Config) exact() map[string]any {
	values := map[string]any{
		"api.token": c.API.Token, "api.jwt_secret": c.API.JWTSecret, "cluster.secret": c.Cluster.Secret,
		"backup.encryption_key": c.Backup.EncryptionKey, "backup.s3.secret_access_key": c.Backup.S3.SecretAccessKey,
		"backup.s3.session_token": c.Backup.S3.SessionToken,
		"tracing.headers":         headersText(c.Tracing.Headers),
		"encryption_keys":         strings.Join(c.EncryptionKeys, "\n"),
		"api.max_body":            c.API.MaxBody, "api.max_batch": c.API.MaxBatch, "storage.min_free": c.Storage.MinFree, "storage.max_size": c.Storage.MaxSize,
		"storage.max_endpoints": c.Storage.MaxEndpoints,
	}
	if c.Delivery.Proxy != nil {
		values["delivery.proxy"] = c.Delivery.Proxy.String()
	}
	return values
}
