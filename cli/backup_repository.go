package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"hookwheel/backup"
	"hookwheel/config"
	"hookwheel/wal"
)

const repositoryHelp = `Locations are s3://bucket/prefix and file:///folder. The key of encrypted
backups, and how a bucket is reached, are in the block backup of --config FILE
or in variables: HOOKWHEEL_BACKUP_ENCRYPTION_KEY, HOOKWHEEL_BACKUP_S3_ENDPOINT
and so on; or AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION.`

// repositoryOptions say where backups are.
type repositoryOptions struct {
	config string // file
}

func (o *repositoryOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.config, "config", "", "configuration `file` of a node (HCL), with its block backup")
}

// load returns what the configuration says.
func (o *repositoryOptions) load() (backup.Options, error) {
	settings, err := config.LoadBackup(o.config)
	return settings.Options(), err
}

// options returns how to open what is at a location, or if that is empty where the configuration
// says.
func (o *repositoryOptions) options(location string) (backup.Options, error) {
	options, err := o.load()
	if err != nil {
		return options, err
	}
	return withLocation(options, location)
}

func withLocation(options backup.Options, location string) (backup.Options, error) {
	if location != "" {
		at, err := backup.ParseLocation(location)
		if err != nil {
			return options, usageErrorf("%s %w", location, err)
		}
		options.To = at
	}
	if options.To.IsZero() {
		return options, usageErrorf("no location of backups is set: name s3://bucket/prefix or file:///folder, or a configuration with backup.to")
	}
	return options, nil
}

// watchedReader cancels when nothing comes for a time. Pauses between two reads do not count.
type watchedReader struct {
	from    io.Reader
	silence time.Duration
	cancel  context.CancelCauseFunc
}

func (r watchedReader) Read(data []byte) (int, error) {
	silence := time.AfterFunc(r.silence, func() {
		r.cancel(fmt.Errorf("the node sent nothing for %s; try again, or another node with --url", r.silence))
	})
	defer silence.Stop()
	return r.from.Read(data)
}

// backUpTo stores a backup at a location.
func backUpTo(cmd *cobra.Command, c *client, options backup.Options) error {
	repository, err := backup.Open(options)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(cmd.Context())
	defer cancel(nil)
	response, err := c.request(ctx, "GET", "/cluster/backup", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	progress := newTransfer(cmd.ErrOrStderr())
	made, m, err := repository.Save(ctx, backup.Manual, watchedReader{response.Body, backupSilence, cancel}, response.ContentLength, progress.report)
	progress.end()
	if err != nil {
		return fmt.Errorf("no complete backup was written: %w", err)
	}
	how := "encrypted"
	if !m.Encrypted {
		how = "not encrypted"
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Backup complete: the state of %s as of entry %d, %s; %s, %s.\n",
		m.Backup.Node, m.Backup.Index, m.Backup.Made.Format(time.RFC3339), size(m.Bytes), how)
	_, err = fmt.Fprintln(cmd.OutOrStdout(), made.Location)
	return err
}

func newBackupList() *cobra.Command {
	var o repositoryOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [LOCATION]",
		Short: "List the complete backups at a location",
		Long: `List the complete backups at a location, those of each cluster together, oldest
first; without LOCATION, those at backup.to in the configuration. Interrupted
ones are not listed.

` + repositoryHelp,
		Example: `  hookwheel backup list s3://acme-backups/hookwheel
  hookwheel backup list --config /etc/hookwheel.hcl --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := o.options(optionalFile(args))
			if err != nil {
				return err
			}
			repository, err := backup.Open(options)
			if err != nil {
				return err
			}
			list, err := repository.List(cmd.Context(), "")
			if err != nil {
				return err
			}
			return printBackups(cmd.OutOrStdout(), list, asJSON)
		},
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printBackups(out io.Writer, list []backup.Backup, asJSON bool) error {
	if asJSON {
		type view struct {
			backup.Backup
			Location string `json:"location"`
		}
		views := []view{}
		for _, b := range list {
			views = append(views, view{b, b.Location.String()})
		}
		return printJSON(out, views)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MADE\tENTRY\tSIZE\tKIND\tBACKUP")
	for _, b := range list {
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\n", b.Made.Format(time.RFC3339), b.Index, size(b.Bytes), b.Kind, b.Location)
	}
	return table.Flush()
}

// source is a backup that is read: from a repository, from a file or from standard input.
type source struct {
	io.Reader
	name  string
	close func() error
}

// openSource opens the backup with a name, which may be "-". load is called if it is needed.
func openSource(ctx context.Context, name string, stdin io.Reader, load func() (backup.Options, error)) (*source, error) {
	if backup.IsLocation(name) {
		o, err := load()
		if err == nil {
			o, err = withLocation(o, name)
		}
		if err != nil {
			return nil, err
		}
		found, err := backup.OpenSource(ctx, o)
		if err != nil {
			return nil, err
		}
		return &source{found, found.Name, found.Close}, nil
	}
	in, end := stdin, func() error { return nil }
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		in, end = file, file.Close
	}
	plain, err := backup.Unseal(ctx, in, func() (string, error) {
		o, err := load()
		return o.Key, err
	})
	if err != nil {
		return nil, errors.Join(err, end())
	}
	return &source{plain, name, end}, nil
}

// checkBackup restores a backup into a folder that is removed again, and checks it there.
func checkBackup(s *source, temp string, stderr io.Writer) (*folderReport, error) {
	begin := time.Now()
	dir, err := os.MkdirTemp(temp, "hookwheel-verify-")
	if err != nil {
		return nil, err
	}
	report := &folderReport{Folder: s.name}
	progress := newTransfer(stderr)
	header, err := wal.Restore(storeFolder(dir), s, wal.RestoreOptions{Logger: quietLogger(stderr), Progress: progress.report})
	progress.end()
	if err == nil {
		report.Backup = &header
		checked := &checkProgress{to: stderr, folder: s.name}
		report.Store, err = wal.Check(storeFolder(dir), wal.CheckOptions{Logger: quietLogger(stderr), Progress: checked.report})
		checked.end()
	}
	report.Seconds = time.Since(begin).Round(time.Millisecond).Seconds()
	return report, errors.Join(err, os.RemoveAll(dir))
}

func newBackupVerify() *cobra.Command {
	var o repositoryOptions
	var temp string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify BACKUP",
		Short: "Read a whole backup and check every record in it",
		Long: `Read a whole backup, verify its checksums, restore it into a temporary folder
and check every record there, as "hookwheel check" does. It shows what is in the
backup. BACKUP is a file, "-", the location of a backup as "hookwheel backup
list" shows it, or a location with backups, of which the newest is verified.

` + repositoryHelp,
		Example: `  hookwheel backup verify s3://acme-backups/hookwheel
  hookwheel backup verify hookwheel-2026-11-23.backup`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := openSource(cmd.Context(), args[0], cmd.InOrStdin(), o.load)
			if err != nil {
				return err
			}
			report, err := checkBackup(s, temp, cmd.ErrOrStderr())
			if err := errors.Join(err, s.close()); err != nil {
				return fmt.Errorf("%s can't be restored: %w", s.name, err)
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), report)
			} else {
				report.print(cmd.OutOrStdout())
			}
			return errors.Join(err, report.Store.Err())
		},
	}
	o.addFlags(cmd)
	cmd.Flags().StringVar(&temp, "temp", "", "`folder` for a copy as large as the store (default: the system's)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}
