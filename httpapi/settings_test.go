package httpapi_test

import (
	"encoding/base64"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hookwheel/config"
	"hookwheel/webhook"
)

type settingsView struct {
	DisplayName, CustomLogoURL, CustomLogoURLDark, CustomFontFamily *string
	ColorPaletteLight, ColorPaletteDark                             map[string]*string
	Delivery                                                        struct {
		Description                      string
		RetrySchedule                    []int64
		TimeoutSeconds, RetentionSeconds int64
		SourceAddresses                  []string
	}
	UpdatedAt *time.Time
}

// image returns a data URL of an image with so many bytes.
func image(size int) string {
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(make([]byte, size))
}

func TestSettings(t *testing.T) {
	a := apiStart(t, func(c *config.Config) {
		c.Delivery.Retry = webhook.DefaultRetryPolicy()
		c.Delivery.SourceAddresses = []netip.Prefix{netip.MustParsePrefix("203.0.113.7/32"), netip.MustParsePrefix("2001:db8:1::/48")}
	})
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	var fresh, put, got settingsView
	a.call("GET", "/environment/settings", "", 200, &fresh)
	if fresh.DisplayName != nil || fresh.UpdatedAt != nil || len(fresh.ColorPaletteLight) != 11 || fresh.ColorPaletteLight["primary"] != nil {
		t.Errorf("fresh: %+v", fresh)
	}
	d := fresh.Delivery
	if !slices.Equal(d.RetrySchedule, []int64{5, 300, 1800, 7200, 18000, 36000, 36000}) || d.TimeoutSeconds != 15 || d.RetentionSeconds != 30*24*3600 ||
		!slices.Equal(d.SourceAddresses, []string{"203.0.113.7", "2001:db8:1::/48"}) ||
		!strings.HasPrefix(d.Description, "A message that fails is sent again after 5 seconds, 5 minutes, 30 minutes, 2 hours, 5 hours, 10 hours and 10 hours: up to 8 attempts over about 1 day 3 hours.") {
		t.Errorf("deliveries: %+v", d)
	}
	large := image(24_000)
	a.call("PUT", "/environment/settings", `{"displayName":"Ärger & Söhne","customLogoUrl":"https://example.com/a.png?b=c","customLogoUrlDark":"`+large+`","customFontFamily":"Open Sans",
		"colorPaletteLight":{"primary":"#1a2B3c","textDanger":null},"colorPaletteDark":null,"enableChannels":true,"delivery":{"sourceAddresses":[]},"updatedAt":null}`, 200, &put)
	a.call("GET", "/environment/settings", "", 200, &got)
	for _, s := range []settingsView{put, got} {
		if *s.DisplayName != "Ärger & Söhne" || *s.CustomLogoURL != "https://example.com/a.png?b=c" || *s.CustomLogoURLDark != large || *s.CustomFontFamily != "Open Sans" ||
			*s.ColorPaletteLight["primary"] != "#1a2B3c" || s.ColorPaletteLight["textDanger"] != nil || s.UpdatedAt == nil || len(s.Delivery.SourceAddresses) != 2 {
			t.Errorf("%+v", s)
		}
	}
	// A customer sees the same.
	var portal authKey
	a.call("POST", "/auth/app-portal-access/acme", `{"readOnly":true}`, 200, &portal)
	if _, text := a.raw("GET", "/api/v1/environment/settings", "Bearer "+portal.Token, nil); !strings.Contains(string(text), "Open Sans") {
		t.Errorf("a customer sees %.300s", text)
	}
	if list := a.audit("change=settings.updated"); len(list) != 1 || list[0].Actor.Type != "configuration" {
		t.Errorf("audit: %+v", list)
	}
	a.call("PUT", "/environment/settings", `{}`, 200, &got)
	var empty settingsView
	a.call("GET", "/environment/settings", "", 200, &empty)
	if empty.DisplayName != nil || empty.CustomLogoURLDark != nil || empty.ColorPaletteLight["primary"] != nil {
		t.Errorf("cleared: %+v", empty)
	}
}

func TestSettingsRefused(t *testing.T) {
	a := apiStart(t)
	a.call("PUT", "/environment/settings", `{"displayName":"before"}`, 200, nil)
	for body, field := range map[string]string{
		`{"displayName":"<script>"}`:                                                "displayName",
		`{"displayName":"two\nlines"}`:                                              "displayName",
		`{"displayName":"\u202egnp"}`:                                               "displayName",
		`{"displayName":"` + strings.Repeat("ä", 65) + `"}`:                         "displayName",
		`{"displayName":7}`:                                                         "displayName",
		`{"customLogoUrl":"http://example.com/a.png"}`:                              "customLogoUrl",
		`{"customLogoUrl":"javascript:alert(1)"}`:                                   "customLogoUrl",
		`{"customLogoUrl":"https://"}`:                                              "customLogoUrl",
		`{"customLogoUrl":"https://me:pass@example.com/"}`:                          "customLogoUrl",
		`{"customLogoUrl":"https://example.com/\")"}`:                               "customLogoUrl",
		`{"customLogoUrl":"https://example.com/');x:url('"}`:                        "customLogoUrl",
		`{"customLogoUrl":"https://example.com/` + strings.Repeat("a", 2048) + `"}`: "customLogoUrl",
		`{"customLogoUrlDark":"data:image/svg+xml;base64,PHN2Zz4="}`:                "customLogoUrlDark",
		`{"customLogoUrlDark":"data:text/html;base64,PHN2Zz4="}`:                    "customLogoUrlDark",
		`{"customLogoUrlDark":"data:image/png;base64,PHN2\nZz4="}`:                  "customLogoUrlDark",
		`{"customLogoUrlDark":"data:image/png;base64,PHN2Zz4"}`:                     "customLogoUrlDark",
		`{"customLogoUrlDark":"data:image/png;base64,"}`:                            "customLogoUrlDark",
		`{"customLogoUrlDark":"` + image(25_000) + `"}`:                             "customLogoUrlDark",
		`{"customFontFamily":"a;b"}`:                                                "customFontFamily",
		`{"customFontFamily":"a, b"}`:                                               "customFontFamily",
		`{"customFontFamily":" "}`:                                                  "customFontFamily",
		`{"customFontFamily":"` + strings.Repeat("a", 65) + `"}`:                    "customFontFamily",
		`{"colorPaletteLight":{"primary":"red"}}`:                                   "primary",
		`{"colorPaletteLight":{"primary":"#12345"}}`:                                "primary",
		`{"colorPaletteDark":{"primary":"#12345g"}}`:                                "primary",
		`{"colorPaletteDark":{"other":"#123456"}}`:                                  "other",
		`{"colorPaletteDark":[]}`:                                                   "colorPaletteDark",
		`[]`:                                                                        "object",
		``:                                                                          "empty",
	} {
		response, text := a.raw("PUT", "/api/v1/environment/settings", "Bearer "+apiToken, []byte(body))
		if response.StatusCode != 422 || !strings.Contains(string(text), field) {
			t.Errorf("%.80s: %d %.200s", body, response.StatusCode, text)
		}
	}
	var got settingsView
	a.call("GET", "/environment/settings", "", 200, &got)
	if *got.DisplayName != "before" {
		t.Errorf("a refused change left %+v", got)
	}
}

// TestSettingsCommand edits what the command shows.
func TestSettingsCommand(t *testing.T) {
	a := apiStart(t)
	for _, args := range [][]string{{"settings", "put", `{"displayName":"Example Webhooks"}`}, {"settings", "get"}, {"settings", "get", "--json"}} {
		if out, said, err := a.hookwheel(args...); err != nil || !strings.Contains(out, "Example Webhooks") {
			t.Errorf("%v: %s%s%v", args, out, said, err)
		}
	}
	out, said, err := a.hookwheel("audit", "--change", "settings.updated")
	if err != nil || !strings.Contains(out, "configuration") {
		t.Errorf("audit: %s%s%v", out, said, err)
	}
}
