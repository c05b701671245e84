package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

type listenOptions struct {
	listen   string
	verifier verifier
	fault    fault
	count    int
	json     bool
}

func newListenCommand() *cobra.Command {
	var o listenOptions
	cmd := &cobra.Command{
		Use:   "listen",
		Short: "Receive webhooks, print and verify them, or fail on purpose",
		Long: `Receive webhooks and print a line for each: time, response, webhook-id, how
often that id has arrived, whether the signature is valid, and the beginning of
the body. With --json each line is an object with all headers and the whole
body.

With --secret, a request whose signature is not valid gets a 401. With --status,
--hang, --drip or --reset the receiver fails on purpose, to show how a sender
copes; with --fail-rate it does so at random, for a share of the requests.

It ends with ctrl-C, or after --count requests; then the exit code is 1 if a
signature was not valid.`,
		Example: `  # print what arrives, verified
  hookwheel listen --secret whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD

  # return 503 for every third request, all responses after two seconds
  hookwheel listen --status 503 --fail-rate 0.33 --delay 2s

  # accept requests and never respond
  hookwheel listen --hang

  # in a script: the body of the next event
  hookwheel listen --count 1 --json | jq -r .body`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.fault.isSet() && !cmd.Flags().Changed("fail-rate") {
				o.fault.rate = 1
			}
			return o.run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.listen, "listen", "127.0.0.1:9000", "`address` to receive at; port 0 picks a free one")
	o.verifier.addFlags(flags)
	flags.IntVar(&o.fault.status, "status", http.StatusNoContent, "`status` to respond with, 200 to 599")
	flags.Float64Var(&o.fault.rate, "fail-rate", 0,
		"`share` of requests that fail, 0 to 1: with 500 unless another flag says how (default 1 if one does)")
	flags.DurationVar(&o.fault.delay, "delay", 0, "wait before each response")
	flags.BoolVar(&o.fault.hang, "hang", false, "never respond")
	flags.BoolVar(&o.fault.drip, "drip", false, "respond with 200, then send a byte of the body each second, forever")
	flags.BoolVar(&o.fault.reset, "reset", false, "reset the connection")
	flags.IntVar(&o.count, "count", 0, "end after this `number` of requests; 0: never")
	flags.BoolVar(&o.json, "json", false, "print a JSON object for each request")
	cmd.MarkFlagsMutuallyExclusive("hang", "drip", "reset")
	return cmd
}

func (o *listenOptions) run(cmd *cobra.Command) error {
	if err := errors.Join(o.verifier.open(), o.fault.validate()); err != nil {
		return usageError(err)
	}
	if o.count < 0 {
		return usageError(errors.New("--count must not be negative: it is a number of requests, or 0 for no limit"))
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	b := &inbox{verifier: o.verifier, fault: o.fault, limit: o.count, json: o.json, out: cmd.OutOrStdout(),
		seen: make(map[string]int), stop: cancel}
	server := &http.Server{Handler: b, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(cmd.ErrOrStderr(), "listening at http://%s/; Ctrl-C stops it\n", listener.Addr())
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	patience, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer stop()
	if server.Shutdown(patience) != nil { // a response is still being dripped
		server.Close()
	}
	<-served
	return b.err()
}
