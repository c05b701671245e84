package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"hookwheel/cluster"
	"hookwheel/node"
	"hookwheel/wal"
)

type checkOptions struct {
	compare bool
	json    bool
	temp    string
	stderr  io.Writer
}

func newCheckCommand() *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check DATA...",
		Short: "Verify the data folders of stopped nodes",
		Long: `Read the data folders of stopped nodes, both store and Raft log, and verify that
they are consistent: every cursor is in its log, every retry has its message,
every attempt is in the index, the log continues where the store ends, and so
on. The data is not modified.

With --compare, also check that the folders of several nodes hold the same
state. Nodes that stopped at different entries are first brought to the same
one, in a copy, with entries from another node's log.

Progress goes to stderr, the report to stdout. The exit code is 1 if anything is
wrong.`,
		Example: `  hookwheel check /var/lib/hookwheel

  # the folders of three stopped nodes, copied to one machine
  hookwheel check --compare n1 n2 n3`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, folders []string) error {
			return interruptible(cmd.Context(), func() error { return o.run(cmd, folders) })
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.compare, "compare", false, "check that the folders hold the same state")
	flags.BoolVar(&o.json, "json", false, "print the report as JSON")
	flags.StringVar(&o.temp, "temp", "", "with --compare: `folder` for copies, each as large as a store (default: the system's)")
	return cmd
}

// checkReport is the result for all folders.
type checkReport struct {
	OK         bool              `json:"ok"`
	Folders    []*folderReport   `json:"folders"`
	Comparison *comparisonReport `json:"comparison,omitempty"`
}

type folderReport struct {
	Folder  string             `json:"folder"`
	Error   string             `json:"error,omitempty"` // why it could not be checked
	Seconds float64            `json:"seconds"`
	Store   *wal.Report        `json:"store,omitempty"`
	Backup  *wal.BackupHeader  `json:"backup,omitempty"` // that the store was restored from
	Log     *cluster.LogReport `json:"log,omitempty"`
}

func (r *folderReport) ok() bool {
	return r.Error == "" && r.Store.Err() == nil && (r.Log == nil || r.Log.Err() == nil)
}

func (o *checkOptions) run(cmd *cobra.Command, folders []string) error {
	if o.compare && len(folders) < 2 {
		return usageError(errors.New("--compare needs the folders of two nodes at least"))
	}
	o.stderr = cmd.ErrOrStderr()
	report := &checkReport{OK: true}
	for _, folder := range folders {
		f := o.checkFolder(folder)
		report.Folders = append(report.Folders, f)
		report.OK = report.OK && f.ok()
	}
	if o.compare {
		report.Comparison = o.compareFolders(report.Folders)
		report.OK = report.OK && report.Comparison.Same
	}
	if err := o.print(cmd.OutOrStdout(), report); err != nil {
		return err
	}
	if !report.OK {
		return errors.New("check failed; see the report above")
	}
	return nil
}

// checkFolder checks a node's store and log.
func (o *checkOptions) checkFolder(folder string) *folderReport {
	start := time.Now()
	report := &folderReport{Folder: folder}
	if err := o.check(folder, report); err != nil {
		report.Error = err.Error()
	}
	report.Seconds = time.Since(start).Round(time.Millisecond).Seconds()
	return report
}

func (o *checkOptions) check(folder string, report *folderReport) error {
	if err := node.RefuseHalfRestored(folder); err != nil { // as a start does
		return err
	}
	store := storeFolder(folder)
	if info, err := os.Stat(store); err != nil || !info.IsDir() {
		return fmt.Errorf("%s is not the data folder of a node: it has no subfolder %q", folder, filepath.Base(store))
	}
	progress := &checkProgress{to: o.stderr, folder: folder}
	var err error
	report.Store, err = wal.Check(store, wal.CheckOptions{Logger: quietLogger(o.stderr), Progress: progress.report})
	if errors.Is(err, wal.ErrInUse) {
		return fmt.Errorf("%s is in use by a running node: stop it first, or check a copy", folder)
	}
	if err != nil {
		return err
	}
	progress.end()
	log, err := cluster.CheckLog(folder, report.Store.Index)
	if errors.Is(err, cluster.ErrNoLog) {
		return nil
	}
	report.Log = &log
	return err
}

func storeFolder(data string) string { return filepath.Join(data, "store") }

// quietLogger logs warnings and errors only.
func quietLogger(to io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// checkProgress prints every few seconds how many records have been read.
type checkProgress struct {
	to     io.Writer
	folder string
	last   time.Time
	said   bool
}

const checkInterval = 2 * time.Second

func (p *checkProgress) report(records int64) {
	if p.last.IsZero() {
		p.last = time.Now()
	}
	if time.Since(p.last) > checkInterval {
		p.last, p.said = time.Now(), true
		fmt.Fprintf(p.to, "%s: %d records\n", p.folder, records)
	}
}

func (p *checkProgress) end() {
	if p.said {
		fmt.Fprintf(p.to, "%s: all records read\n", p.folder)
	}
}

func (o *checkOptions) print(to io.Writer, report *checkReport) error {
	if o.json {
		encoder := json.NewEncoder(to)
		encoder.SetIndent("", "  ")
		return encoder.Encode(report)
	}
	for _, f := range report.Folders {
		f.print(to)
	}
	if report.Comparison != nil {
		report.Comparison.print(to)
	}
	return nil
}

func (r *folderReport) print(to io.Writer) {
	verdict := "ok"
	switch {
	case r.Error != "":
		verdict = "NOT CHECKED"
	case !r.ok():
		verdict = "SOMETHING IS WRONG"
	}
	fmt.Fprintf(to, "%s: %s (%.1f s)\n", r.Folder, verdict, r.Seconds)
	if r.Error != "" {
		fmt.Fprintf(to, "  %s\n", r.Error)
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	if b := r.Backup; b != nil {
		fmt.Fprintf(table, "  backup\tof %s in the cluster %s, made %s by version %s\n", b.Node, b.Cluster, b.Made.Format(time.RFC3339), b.Version)
	}
	if s := r.Store; s != nil {
		fmt.Fprintf(table, "  store\tentry %d of term %d, clock %s\n", s.Index, s.Term, s.Clock.Format(time.RFC3339))
		fmt.Fprintf(table, "  fingerprint\t%s\n", s.Fingerprint)
		fmt.Fprintf(table, "  content\t%d messages, %d attempts, %s\n", s.Messages, s.Attempts, size(s.Bytes))
		for _, kind := range slices.Sorted(maps.Keys(s.Records)) {
			fmt.Fprintf(table, "    %s\t%d\n", kind, s.Records[kind])
		}
		if s.Repeated > 0 {
			fmt.Fprintf(table, "  repeated\t%d attempts have the number of a previous one\n", s.Repeated)
		}
	}
	if l := r.Log; l != nil {
		fmt.Fprintf(table, "  log\tentries %d to %d, %d commands, %s; term %d\n", l.First, l.Last, l.Commands, size(l.Bytes), l.Term)
	}
	table.Flush()
	if r.Log != nil {
		for _, note := range r.Log.Notes {
			fmt.Fprintf(to, "  note: %s\n", note)
		}
	}
	if r.Store != nil {
		printViolations(to, "store", r.Store.Violations, r.Store.Unnamed)
	}
	if r.Log != nil {
		printViolations(to, "log", r.Log.Violations, r.Log.Unnamed)
	}
}

func printViolations(to io.Writer, where string, list []string, unnamed int) {
	for _, violation := range list {
		fmt.Fprintf(to, "  %s: %s\n", where, violation)
	}
	if unnamed > 0 {
		fmt.Fprintf(to, "  %s: and %d more\n", where, unnamed)
	}
}
