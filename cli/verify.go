package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const maxVerifyBody = 64 << 20

type verifyOptions struct {
	verifier verifier
	headers  []string
	file     string // with headers
}

func newVerifyCommand() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Check the signature of a webhook, and explain why it is not valid",
		Long: `Check the signature of a request as its receiver should, from its headers, its
body, byte for byte, and the secret of the endpoint. The body is read from FILE,
or from standard input.

It prints that the signature is valid; otherwise it explains why it is not, and
the exit code is 1.`,
		Example: `  # the headers as they arrived, one flag each
  hookwheel verify --secret whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD \
      --tolerance 1000000h \
      -H 'webhook-id: msg_27UH4WbU6Z5A5EzD8u03UvzRbpk' \
      -H 'webhook-timestamp: 1649367553' \
      -H 'webhook-signature: v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=' \
      body.json

  # all headers in a file, "Name: value" on each line; the body from stdin
  hookwheel verify --secret whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4= \
      --headers headers.txt < body.json

  # a receiver that was written for GitHub
  hookwheel verify --style github --secret "$SECRET" \
      -H "x-hub-signature-256: $SIGNATURE" body.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	flags := cmd.Flags()
	o.verifier.addFlags(flags)
	flags.StringArrayVarP(&o.headers, "header", "H", nil, "`header` of the request, \"Name: value\"; may be repeated")
	flags.StringVar(&o.file, "headers", "", "`file` with headers, one on each line")
	return cmd
}

func (o *verifyOptions) run(cmd *cobra.Command, args []string) error {
	if err := o.verifier.open(); err != nil {
		return usageError(err)
	}
	if len(o.verifier.keys) == 0 {
		return usageError(errors.New("no secret: use --secret, or set WEBHOOK_SECRET"))
	}
	header, err := o.readHeaders()
	if err != nil {
		return err
	}
	body, err := readBody(cmd.Context(), cmd.InOrStdin(), args)
	if err != nil {
		return err
	}
	if err := o.verifier.verify(header, body, time.Now()); err != nil {
		return fmt.Errorf("not valid: %w", err)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "valid: the signature matches the %d bytes of the body\n", len(body))
	return err
}

func (o *verifyOptions) readHeaders() (http.Header, error) {
	header := make(http.Header)
	add := func(from, line string) error {
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return usageErrorf(`%s: expected a header such as "webhook-id: msg_1"`, from)
		}
		header.Add(name, strings.TrimSpace(value))
		return nil
	}
	for _, line := range o.headers {
		if err := add("--header", line); err != nil {
			return nil, err
		}
	}
	if o.file == "" {
		return header, nil
	}
	file, err := os.Open(o.file)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || n == 1 && strings.Contains(line, "HTTP/") { // a request or status line
			continue
		}
		if err := add(fmt.Sprintf("%s:%d", o.file, n), line); err != nil {
			return nil, err
		}
	}
	return header, lines.Err()
}

// readBody reads the file that is given, or stdin.
func readBody(ctx context.Context, stdin io.Reader, args []string) ([]byte, error) {
	from := stdin
	if len(args) == 1 && args[0] != "-" {
		file, err := os.Open(args[0])
		if err != nil {
			return nil, err
		}
		defer file.Close()
		from = file
	}
	body, err := readAll(ctx, from, maxVerifyBody+1)
	if err == nil && len(body) > maxVerifyBody {
		err = fmt.Errorf("the body is larger than %s", size(maxVerifyBody))
	}
	return body, err
}
