package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
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
		Short: "Receive webhooks here: print them, verify them, misbehave on demand",
		Long: `Receive webhooks and print a line for each: when, what it was answered, its webhook-id, how often it has come, whether its
signature is right, and how its body begins. With --json each line is an object with all headers and the whole body.

With --secret a request that does not verify is answered with 401. With --status, --hang, --drip or --reset the receiver
misbehaves, to see how a sender copes; with --fail-rate it does so at random, for a share of the requests.

It ends with ctrl-C, or after --count requests; then the exit status is 1 if any of them did not verify.`,
		Example: `  # what arrives, verified
  hookwheel listen --secret whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD

  # every third request is answered with 503, all of them after two seconds
  hookwheel listen --status 503 --fail-rate 0.33 --delay 2s

  # a receiver that takes requests and never answers
  hookwheel listen --hang

  # in a script: the body of the next event
  hookwheel listen --count 1 --json | jq -r .body`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.fault.any() && !cmd.Flags().Changed("fail-rate") {
				o.fault.rate = 1
			}
			return o.run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.listen, "listen", "127.0.0.1:9000", "host:port to receive at; port 0 takes a free one")
	o.verifier.addFlags(flags)
	flags.IntVar(&o.fault.status, "status", http.StatusNoContent, "status to answer with, 200 to 599")
	flags.Float64Var(&o.fault.rate, "fail-rate", 0, "share of requests, 0 to 1, that fail, with 500 if no other option says how (default 1 if one does)")
	flags.DurationVar(&o.fault.delay, "delay", 0, "wait before each answer")
	flags.BoolVar(&o.fault.hang, "hang", false, "never answer")
	flags.BoolVar(&o.fault.drip, "drip", false, "answer with 200, and then one byte of the body each second, for ever")
	flags.BoolVar(&o.fault.reset, "reset", false, "reset the connection")
	flags.IntVar(&o.count, "count", 0, "end after so many requests; 0: never")
	flags.BoolVar(&o.json, "json", false, "print a JSON object for each request")
	cmd.MarkFlagsMutuallyExclusive("hang", "drip", "reset")
	return cmd
}

func (o *listenOptions) run(cmd *cobra.Command) error {
	if err := errors.Join(o.verifier.open(), o.fault.validate()); err != nil {
		return err
	}
	if o.count < 0 {
		return errors.New("--count must not be negative: it is a number of requests, or 0 for no end")
	}
	ctx, cancel := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	b := &inbox{verifier: o.verifier, fault: o.fault, most: o.count, json: o.json, out: cmd.OutOrStdout(), seen: make(map[string]int), full: cancel}
	server := &http.Server{Handler: b, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(cmd.ErrOrStderr(), "listening at http://%s/, ctrl-C ends it\n", listener.Addr())
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	patience, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer stop()
	if server.Shutdown(patience) != nil { // somebody drips
		server.Close()
	}
	<-served
	return b.err()
}
