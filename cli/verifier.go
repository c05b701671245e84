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

// verifier checks requests as the receiver of an endpoint does.
type verifier struct {
	secrets   []string
	style     string
	tolerance time.Duration

	keys []webhook.VerifyKey
}

func (v *verifier) addFlags(flags *pflag.FlagSet) {
	flags.StringArrayVar(&v.secrets, "secret", nil,
		"what to verify with: whsec_…, the public key whpk_… or, for other styles, any text; may be repeated, then one of them is enough (default $WEBHOOK_SECRET)")
	flags.StringVar(&v.style, "style", "standard", "which signature to verify: standard (webhook- or svix- headers), github, stripe or hex")
	flags.DurationVar(&v.tolerance, "tolerance", 5*time.Minute, "how far the request's time and the clock here may be apart")
}

// open reads the secrets; without any it verifies nothing.
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

// verify says exactly why a request does not pass.
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

// bodyMistakes are what usually happens to a body after it has arrived.
var bodyMistakes = []struct {
	undo func(body []byte) []byte
	hint string
}{
	{func(body []byte) []byte { return bytes.TrimRight(body, "\r\n") },
		"without the line break at the end of the body it passes: an editor or echo may have added it"},
	{func(body []byte) []byte { return append(bytes.Clone(body), '\n') },
		"with a line break at the end of the body it passes: $(…) or a trim may have taken it away"},
	{func(body []byte) []byte { return bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")) },
		"with line breaks of LF instead of CR LF it passes: a tool may have converted them"},
	{func(body []byte) []byte { return bytes.TrimPrefix(body, []byte("\ufeff")) },
		"without the byte order mark before the body it passes: an editor may have added it"},
	{compactJSON,
		"without the spaces in the JSON it passes: the body was parsed and written anew, but the signature is over the bytes as they arrived"},
}

// compactJSON is the body itself if it is no JSON.
func compactJSON(body []byte) []byte {
	var compact bytes.Buffer
	if json.Compact(&compact, body) != nil {
		return body
	}
	return compact.Bytes()
}

func (v *verifier) verifyBody(header http.Header, body []byte, now time.Time) error {
	style := webhook.SignatureStyle(v.style)
	err := errors.New("there is no secret to verify with")
	for _, key := range v.keys {
		if style == webhook.StyleStandard {
			err = key.Verify(standardHeader(header, "Id"), standardHeader(header, "Timestamp"), standardHeader(header, "Signature"), body, now, v.tolerance)
		} else {
			err = style.Verify(key, header.Get(style.Header()), body, now, v.tolerance)
		}
		if err == nil {
			return nil
		}
	}
	return err
}

// standardHeader is a header of Standard Webhooks, or what Svix calls it. Several are as one, with a space between them: so signatures are
// listed anyway.
func standardHeader(header http.Header, name string) string {
	if values := header.Values("Webhook-" + name); len(values) > 0 {
		return strings.Join(values, " ")
	}
	return strings.Join(header.Values("Svix-"+name), " ")
}
