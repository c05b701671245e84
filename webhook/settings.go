package webhook

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Settings say how the pages that customers see look. All pages of an installation share them.
type Settings struct {
	DisplayName string    `json:"displayName,omitempty"`
	Logo        string    `json:"logo,omitempty"`     // URL, https or data
	LogoDark    string    `json:"logoDark,omitempty"` // on a dark background; empty: Logo
	Font        string    `json:"font,omitempty"`     // name of a font family
	Light       Palette   `json:"light,omitzero"`
	Dark        Palette   `json:"dark,omitzero"`
	UpdatedAt   time.Time `json:"updatedAt,omitzero"` // zero: never
	Revision    uint64    `json:"revision"`           // Raft index of the entry that changed it last
}

// Palette has the colors of Svix's pages, each empty or #rrggbb.
type Palette struct {
	Primary             string `json:"primary,omitempty"`
	BackgroundPrimary   string `json:"backgroundPrimary,omitempty"`
	BackgroundSecondary string `json:"backgroundSecondary,omitempty"`
	BackgroundHover     string `json:"backgroundHover,omitempty"`
	BorderPrimary       string `json:"borderPrimary,omitempty"`
	ButtonPrimary       string `json:"buttonPrimary,omitempty"`
	InteractiveAccent   string `json:"interactiveAccent,omitempty"`
	NavigationAccent    string `json:"navigationAccent,omitempty"`
	TextDanger          string `json:"textDanger,omitempty"`
	TextPrimary         string `json:"textPrimary,omitempty"`
	TextSecondary       string `json:"textSecondary,omitempty"`
}

// PaletteColor is one color of a palette, with its name in the API.
type PaletteColor struct {
	Name  string
	Value *string
}

// Colors returns all colors of a palette, in the order of their names in the API.
func (p *Palette) Colors() []PaletteColor {
	return []PaletteColor{
		{"backgroundHover", &p.BackgroundHover}, {"backgroundPrimary", &p.BackgroundPrimary},
		{"backgroundSecondary", &p.BackgroundSecondary}, {"borderPrimary", &p.BorderPrimary},
		{"buttonPrimary", &p.ButtonPrimary}, {"interactiveAccent", &p.InteractiveAccent},
		{"navigationAccent", &p.NavigationAccent}, {"primary", &p.Primary},
		{"textDanger", &p.TextDanger}, {"textPrimary", &p.TextPrimary}, {"textSecondary", &p.TextSecondary},
	}
}

// Limits of settings, in bytes.
const (
	maxDisplayName = 128
	maxLogoURL     = 2048
	maxLogo        = 32 << 10 // of an image within a URL
	maxFont        = 64
)

// Validate checks the fields that a user may set. Pages put them into HTML and CSS, so none may
// contain what either would take for its own.
func (s *Settings) Validate() error {
	if err := validDisplayName(s.DisplayName); err != nil {
		return err
	}
	if err := validLogo("customLogoUrl", s.Logo); err != nil {
		return err
	}
	if err := validLogo("customLogoUrlDark", s.LogoDark); err != nil {
		return err
	}
	if err := validFont(s.Font); err != nil {
		return err
	}
	if err := s.Light.validate("colorPaletteLight"); err != nil {
		return err
	}
	return s.Dark.validate("colorPaletteDark")
}

func (p *Palette) validate(field string) error {
	for _, color := range p.Colors() {
		if *color.Value != "" && !isColor(*color.Value) {
			return Invalid(field+"/"+color.Name, `must be a color such as "#1a2b3c"`)
		}
	}
	return nil
}

func validDisplayName(name string) error {
	const field = "displayName"
	switch {
	case len(name) > maxDisplayName:
		return Invalid(field, fmt.Sprintf("must not be longer than %d bytes", maxDisplayName))
	case !utf8.ValidString(name):
		return Invalid(field, "must be UTF-8")
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == '<' || r == '>' }):
		return Invalid(field, "must be one line of text, without < and >")
	}
	return nil
}

// logoTypes are the images that a URL may contain. SVG is not among them: it may hold scripts.
var logoTypes = []string{"image/png", "image/jpeg", "image/gif", "image/webp"}

func validLogo(field, logo string) error {
	if logo == "" {
		return nil
	}
	if data, is := strings.CutPrefix(logo, "data:"); is {
		return validImage(field, data)
	}
	if len(logo) > maxLogoURL {
		return Invalid(field, fmt.Sprintf("must not be longer than %d bytes", maxLogoURL))
	}
	for _, c := range []byte(logo) {
		if !isWordByte(c, "-._~:/?#[]@!$&*+,;=%") {
			return Invalid(field, "may hold only letters, digits and - . _ ~ : / ? # [ ] @ ! $ & * + , ; = %; escape others as in %27")
		}
	}
	u, err := url.Parse(logo)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return Invalid(field, "must be an https URL without a user, or a data URL of an image")
	}
	return nil
}

// validImage checks a data URL without its scheme.
func validImage(field, data string) error {
	if len(data) > maxLogo {
		return Invalid(field, fmt.Sprintf("must not be longer than %d KiB as a data URL", maxLogo>>10))
	}
	for _, mediaType := range logoTypes {
		if text, is := strings.CutPrefix(data, mediaType+";base64,"); is && text != "" {
			// The decoder skips line breaks.
			if _, err := base64.StdEncoding.Strict().DecodeString(text); err == nil && !strings.ContainsAny(text, "\r\n") {
				return nil
			}
		}
	}
	return Invalid(field, "must be data:TYPE;base64, and base64 with padding, where TYPE is "+strings.Join(logoTypes, ", "))
}

func validFont(font string) error {
	if font == "" {
		return nil
	}
	plain := len(font) <= maxFont && font[0] != ' ' && font[len(font)-1] != ' '
	for _, c := range []byte(font) {
		plain = plain && isWordByte(c, " -_")
	}
	if !plain {
		return Invalid("customFontFamily", fmt.Sprintf("must be the name of a font family: up to %d letters, digits, spaces, - and _", maxFont))
	}
	return nil
}

func isColor(text string) bool {
	if len(text) != 7 || text[0] != '#' {
		return false
	}
	for _, c := range []byte(text[1:]) {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
			return false
		}
	}
	return true
}
