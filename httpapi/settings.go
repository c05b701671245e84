package httpapi

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// DeliveryFacts are what customers should know about deliveries of this installation.
type DeliveryFacts struct {
	Retry     webhook.RetryPolicy
	Timeout   time.Duration // of one attempt
	Retention time.Duration // of messages and attempts
	Sources   []netip.Prefix
}

// factsOut is DeliveryFacts in numbers, for pages in any language, and in English.
type factsOut struct {
	Description      string   `json:"description"`
	RetrySchedule    []int64  `json:"retrySchedule"` // seconds
	TimeoutSeconds   int64    `json:"timeoutSeconds"`
	RetentionSeconds int64    `json:"retentionSeconds"`
	SourceAddresses  []string `json:"sourceAddresses"`
}

func (f *DeliveryFacts) show() factsOut {
	out := factsOut{RetrySchedule: []int64{}, TimeoutSeconds: int64(f.Timeout / time.Second), RetentionSeconds: int64(f.Retention / time.Second),
		SourceAddresses: []string{}, Description: fmt.Sprintf("%s An attempt may take %s. Messages and attempts are kept for %s, unless a message says otherwise.",
			f.Retry.Words(), webhook.DurationWords(f.Timeout), webhook.DurationWords(f.Retention))}
	for _, delay := range f.Retry.Delays {
		out.RetrySchedule = append(out.RetrySchedule, int64(delay/time.Second))
	}
	for _, source := range f.Sources {
		text := source.String()
		if source.IsSingleIP() {
			text = source.Addr().String()
		}
		out.SourceAddresses = append(out.SourceAddresses, text)
	}
	return out
}

// settingsOut is named as at Svix, except for customLogoUrlDark, delivery and updatedAt.
type settingsOut struct {
	DisplayName       *string            `json:"displayName"`
	CustomLogoURL     *string            `json:"customLogoUrl"`
	CustomLogoURLDark *string            `json:"customLogoUrlDark"`
	CustomFontFamily  *string            `json:"customFontFamily"`
	ColorPaletteLight map[string]*string `json:"colorPaletteLight"`
	ColorPaletteDark  map[string]*string `json:"colorPaletteDark"`
	Delivery          factsOut           `json:"delivery"`
	UpdatedAt         *time.Time         `json:"updatedAt"`
}

func showSettings(r *request, s *webhook.Settings) settingsOut {
	return settingsOut{DisplayName: optional(s.DisplayName), CustomLogoURL: optional(s.Logo), CustomLogoURLDark: optional(s.LogoDark),
		CustomFontFamily: optional(s.Font), ColorPaletteLight: showPalette(&s.Light), ColorPaletteDark: showPalette(&s.Dark),
		Delivery: r.server.live.Load().Delivery.show(), UpdatedAt: optional(s.UpdatedAt)}
}

func showPalette(p *webhook.Palette) map[string]*string {
	out := make(map[string]*string)
	for _, color := range p.Colors() {
		out[color.Name] = optional(*color.Value)
	}
	return out
}

func getSettings(r *request) (*response, error) {
	if err := r.current(); err != nil {
		return nil, err
	}
	settings, err := r.store().Settings()
	if err != nil {
		return nil, err
	}
	return tagged(r, fasthttp.StatusOK, tagOfSettings(&settings), showSettings(r, &settings)), nil
}

// putSettings replaces the settings. It ignores delivery and updatedAt, so that what getSettings
// returned can be sent back.
func putSettings(r *request) (*response, error) {
	b, err := parseBody(r.body())
	if err != nil {
		return nil, err
	}
	var settings webhook.Settings
	b.each(func(name string, v gjson.Result) {
		switch name {
		case "displayName":
			settings.DisplayName = b.optionalString(name, v)
		case "customLogoUrl":
			settings.Logo = b.optionalString(name, v)
		case "customLogoUrlDark":
			settings.LogoDark = b.optionalString(name, v)
		case "customFontFamily":
			settings.Font = b.optionalString(name, v)
		case "colorPaletteLight":
			settings.Light = b.palette(name, v)
		case "colorPaletteDark":
			settings.Dark = b.palette(name, v)
		}
	})
	if err := b.err(); err != nil {
		return nil, err
	}
	if err := settings.Validate(); err != nil {
		return nil, err
	}
	made, err := update(r, func() (*webhook.Settings, error) {
		if err := r.current(); err != nil {
			return nil, err
		}
		before, err := r.store().Settings()
		if err != nil {
			return nil, err
		}
		settings.Revision = before.Revision
		if err := checkMatch(r, tagOfSettings(&before)); err != nil {
			return nil, err
		}
		return r.writer().PutSettings(r.context(), settings)
	})
	if err != nil {
		return nil, err
	}
	return tagged(r, fasthttp.StatusOK, tagOfSettings(made), showSettings(r, made)), nil
}

// palette reads the colors that a palette has; null is one without colors.
func (b *body) palette(field string, v gjson.Result) (p webhook.Palette) {
	if isNull(v) {
		return p
	}
	if !v.IsObject() {
		b.fail(field, "must be an object of colors")
		return p
	}
	colors := p.Colors()
	b.items(field, v, func(name string, value gjson.Result) {
		for _, color := range colors {
			if color.Name == name {
				*color.Value = b.optionalString(field+"/"+name, value)
				if value.Type == gjson.String && *color.Value == "" {
					b.fail(field+"/"+name, `must be a color such as "#1a2b3c", or null for none`)
				}
				return
			}
		}
		b.fail(field+"/"+name, "is not a color of a palette")
	})
	return p
}
