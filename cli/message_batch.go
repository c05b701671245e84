package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hookwheel/webhook"
)

const (
	batchMessages = 1000    // of a request, which is what the API takes
	batchBytes    = 4 << 20 // of a request, unless one message has more
	batchTimeout  = time.Minute
	batchTries    = 30 // of a request that a node refuses for the time being
	shownRefusals = 20 // messages whose errors are printed
)

// withBatch is the command of an operation that sends one message, which with --batch sends many.
func (r *resource) withBatch(o operation) *cobra.Command {
	cmd := r.command(o)
	one := cmd.RunE
	var from, key string
	cmd.Flags().StringVar(&from, "batch", "", "send the messages in this `file`; - is standard input")
	cmd.Flags().StringVar(&key, "key", "", "idempotency `key` of --batch (default: a random one)")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if from == "" {
			return cobra.ExactArgs(3)(cmd, args)
		}
		return cobra.ExactArgs(1)(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if from == "" {
			return one(cmd, args)
		}
		if key == "" {
			key = rand.Text()
		}
		s := &batchSender{resource: r, cmd: cmd, path: apiPath("/app/%s/msg/batch", args[0]), key: key}
		return s.sendFile(from)
	}
	return cmd
}

// batchSender sends the messages of a file.
type batchSender struct {
	*resource
	cmd       *cobra.Command
	path, key string

	sent, accepted, refused int
	said                    time.Time
}

func (s *batchSender) sendFile(name string) (err error) {
	in := s.cmd.InOrStdin()
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	err = interruptible(s.cmd.Context(), func() error { return s.sendAll(s.cmd.Context(), in) })
	if s.cmd.Context().Err() != nil {
		return err
	}
	out := s.cmd.ErrOrStderr()
	if isTerminal(out) {
		fmt.Fprint(unwrap(out), "\r\x1b[K")
	}
	fmt.Fprintf(out, "%d accepted, %d refused\n", s.accepted, s.refused)
	if err == nil && s.refused > 0 {
		err = fmt.Errorf("%d of %d messages were refused", s.refused, s.sent)
	}
	return err
}

// sendAll reads JSON values, or the items of an array of them.
func (s *batchSender) sendAll(ctx context.Context, in io.Reader) error {
	reader := bufio.NewReader(in)
	decoder := json.NewDecoder(reader)
	inArray := beginsArray(reader)
	if inArray {
		if _, err := decoder.Token(); err != nil {
			return err
		}
	}
	var list []json.RawMessage
	for size := 0; ; {
		var message json.RawMessage
		err := io.EOF
		if !inArray || decoder.More() {
			err = decoder.Decode(&message)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("message %d: %w", s.sent+len(list)+1, err)
		}
		if len(list) > 0 && (err != nil || len(list) == batchMessages || size+len(message) > batchBytes) {
			if err := s.send(ctx, list); err != nil {
				return err
			}
			list, size = list[:0], 0
		}
		if err != nil {
			return endOf(decoder, inArray)
		}
		list, size = append(list, message), size+len(message)
	}
}

// beginsArray reports whether the first character that is not space is a bracket.
func beginsArray(reader *bufio.Reader) bool {
	for {
		c, err := reader.ReadByte()
		switch {
		case err != nil:
			return false
		case strings.ContainsRune(" \t\r\n", rune(c)):
			continue
		default:
			return reader.UnreadByte() == nil && c == '['
		}
	}
}

// endOf returns an error unless an array ends, and nothing follows.
func endOf(decoder *json.Decoder, inArray bool) error {
	if !inArray {
		return nil
	}
	if _, err := decoder.Token(); err != nil {
		return fmt.Errorf("the array does not end: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the array")
	}
	return nil
}

// send sends one batch, under a key of its own.
func (s *batchSender) send(ctx context.Context, list []json.RawMessage) error {
	body := append(append([]byte{'['}, bytes.Join(rawTexts(list), []byte{','})...), ']')
	header := http.Header{"Idempotency-Key": {fmt.Sprintf("%s-%d", s.key, s.sent)}, "Content-Type": {"application/json"}}
	text, err := s.post(ctx, header, body)
	if err != nil {
		return fmt.Errorf("after %d messages: %w", s.sent, err)
	}
	var results []struct {
		ID     string
		Errors []struct {
			Loc []string
			Msg string
		}
	}
	if err := json.Unmarshal(text, &results); err != nil {
		return err
	}
	if len(results) != len(list) {
		return fmt.Errorf("the response to %d messages has %d results", len(list), len(results))
	}
	for i, r := range results {
		if r.ID != "" {
			s.accepted++
			continue
		}
		if s.refused++; s.refused > shownRefusals || len(r.Errors) == 0 {
			continue
		}
		where := strings.Join(r.Errors[0].Loc[min(2, len(r.Errors[0].Loc)):], ".")
		if where != "" {
			where += ": "
		}
		fmt.Fprintf(s.cmd.ErrOrStderr(), "message %d: %s%s\n", s.sent+i+1, printable(where), printable(r.Errors[0].Msg))
	}
	s.sent += len(list)
	s.report()
	if !s.asJSON {
		return nil
	}
	return s.printResults(text)
}

func rawTexts(list []json.RawMessage) [][]byte {
	texts := make([][]byte, len(list))
	for i := range list {
		texts[i] = list[i]
	}
	return texts
}

// printResults prints a line of JSON for each message.
func (s *batchSender) printResults(text []byte) error {
	var results []json.RawMessage
	if err := json.Unmarshal(text, &results); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s.cmd.OutOrStdout(), "%s\n", bytes.Join(rawTexts(results), []byte{'\n'}))
	return err
}

// report shows the progress on a terminal.
func (s *batchSender) report() {
	out := s.cmd.ErrOrStderr()
	if now := time.Now(); isTerminal(out) && now.Sub(s.said) > 200*time.Millisecond {
		s.said = now
		fmt.Fprintf(unwrap(out), "\r%d accepted, %d refused\x1b[K", s.accepted, s.refused)
	}
}

// post posts a batch until a node takes it: the key makes it safe to repeat.
func (s *batchSender) post(ctx context.Context, header http.Header, body []byte) (text []byte, err error) {
	for try := 1; ; try++ {
		if text, err = s.postOnce(ctx, header, body); err == nil {
			return text, nil
		}
		var refused *webhook.Error
		if !errors.As(err, &refused) || try == batchTries {
			return nil, err
		}
		switch refused.Code {
		case webhook.CodeUnavailable, "too_many_requests", "rate_limited":
		default:
			return nil, err
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *batchSender) postOnce(ctx context.Context, header http.Header, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	response, err := s.exchange(ctx, http.MethodPost, s.path, header, body)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(io.LimitReader(response.Body, maxResponse))
}
