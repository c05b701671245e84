package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"hookwheel/webhook"
)

// verifier checks requests as the receiver at an endpoint does.
type verifier struct {
	secrets   []string
	style     string
	tolerance time.Duration

	keys []webhook.VerifyKey
}

func (v *verifier) addFlags(flags *pflag.FlagSet) {
	flags.StringArrayVar(&v.secrets, "secret", nil,
		"`secret` to verify with: whsec_..., the public key whpk_... or, for other styles, any text; if repeated, one of them must match (default $WEBHOOK_SECRET)")
	flags.StringVar(&v.style, "style", "standard",
		"signature `style`: standard (webhook- or svix- headers), github, stripe or hex")
	flags.DurationVar(&v.tolerance, "tolerance", 5*time.Minute,
		"maximum difference between the request's timestamp and the local clock")
}

// open parses the secrets; without any, nothing is verified.
func (v *verifier) open() error {
	if secret := os.Getenv("WEBHOOK_SECRET"); secret != "" && len(v.secrets) == 0 {
		v.secrets = []string{secret}
	}
	switch webhook.SignatureStyle(v.style) {
	case "standard":
		v.style = string(webhook.StyleStandard)
	case webhook.StyleGitHub, webhook.StyleStripe, webhook.StyleHex:
	default:
		return errors.New("--style must be standard, github, stripe or hex")
	}
	for _, text := range v.secrets {
		key, err := webhook.ParseVerifyKey(strings.TrimSpace(text))
		if err != nil {
			return fmt.Errorf("--%w", err) // it names the field: secret
		}
		if err := key.Fits(webhook.SignatureStyle(v.style)); err != nil {
			return fmt.Errorf("--%w", err)
		}
		v.keys = append(v.keys, key)
	}
	return nil
}

// verify returns why a request is not valid, as exactly as possible.
func (v *verifier) verify(header http.Header, body []byte, now time.Time) error {
	err := v.verifyBody(header, body, now)
	if err == nil {
		return nil
	}
	for _, m := range bodyMistakes {
		if v.verifyBody(header, m.undo(body), now) == nil {
			return fmt.Errorf("%w; %s", err, m.hint)
		}
	}
	return err
}

// bodyMistakes are usual ways in which a body changes after its arrival.
var bodyMistakes = []struct {
	undo func(body []byte) []byte
	hint string
}{
	{func(body []byte) []byte { return bytes.TrimRight(body, "\r\n") },
		"it is valid without the line break at the end of the body: an editor or echo may have added it"},
	{func(body []byte) []byte { return append(bytes.Clone(body), '\n') },
		"it is valid with a line break at the end of the body: $(...) or a trim may have removed it"},
	{func(body []byte) []byte { return bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")) },
		"it is valid with LF instead of CR LF as line breaks: a tool may have converted them"},
	{func(body []byte) []byte { return bytes.TrimPrefix(body, []byte("\ufeff")) },
		"it is valid without the byte order mark at the start of the body: an editor may have added it"},
	{compactJSON,
		"it is valid without the spaces in the JSON: the body was parsed and serialized again, but the signature covers the bytes as they arrived"},
}

// compactJSON returns the body without spaces, or as it is if it is not JSON.
func compactJSON(body []byte) []byte {
	var compact bytes.Buffer
	if json.Compact(&compact, body) != nil {
		return body
	}
	return compact.Bytes()
}

func (v *verifier) verifyBody(header http.Header, body []byte, now time.Time) error {
	style := webhook.SignatureStyle(v.style)
	err := errors.New("no secret to verify with")
	for _, key := range v.keys {
		if style == webhook.StyleStandard {
			err = key.Verify(standardHeader(header, "Id"), standardHeader(header, "Timestamp"),
				standardHeader(header, "Signature"), body, now, v.tolerance)
		} else {
			err = style.Verify(key, header.Get(style.Header()), body, now, v.tolerance)
		}
		if err == nil {
			return nil
		}
	}
	return err
}

// standardHeader returns a header of Standard Webhooks, or Svix's header of that meaning. Several
// are joined by spaces, which is how one header lists signatures.
func standardHeader(header http.Header, name string) string {
	if values := header.Values("Webhook-" + name); len(values) > 0 {
		return strings.Join(values, " ")
	}
	return strings.Join(header.Values("Svix-"+name), " ")
}
